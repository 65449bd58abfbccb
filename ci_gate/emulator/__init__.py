"""The embedded endpoint: our own implementation of the service on loopback. Imports nothing of the gate but its catalog."""
