"""The command line: the only folder that prints or exits, and the only one that knows click."""
