"""Preflight: what the API says of a manifest before anything is spent."""
