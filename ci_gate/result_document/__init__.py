"""The versioned result document (``-o json=…``): its shapes and schema, how it is written from a run, and how it is read back.

Mapped by hand, never a dump of internals. Nothing in it was an excerpt of a secret: those are dropped where the service's answers are read.
"""
