"""Saved results as a source of findings: read and held against themselves (``saved``), proven and judged again (``evidence``, ``again``).

Nothing in a document is taken on trust that can be worked out from the rest of it. Who judges is the caller's business.
"""
