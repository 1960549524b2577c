"""Flags, variables and `batcher.toml`: what a person may write, and the values made of it."""
