"""The policy language: its model (``schema``), its reader (``load``, ``checks``), and what it says of findings (``evaluate``).

Nothing is imported here: ``evaluate`` works without pydantic and ruamel.yaml, which only ``schema`` and ``yamltree`` need.
"""
