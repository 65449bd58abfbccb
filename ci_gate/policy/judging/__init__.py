"""What an effective policy says of findings. Pure: neither pydantic nor YAML is imported here."""
