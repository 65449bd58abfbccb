"""The policy language: from a file to an effective policy, or to everything that is wrong with it."""
