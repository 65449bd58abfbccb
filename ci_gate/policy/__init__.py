"""Policies: the language (``language``), what is left when it is resolved (``effective``), and what that says of findings (``judging``).

Nothing is imported here: judging works without pydantic and ruamel.yaml, which only the language needs.
"""
