"""ci-gate: a pipeline gate for sensitive files in container images."""

__version__ = "0.1.0"
