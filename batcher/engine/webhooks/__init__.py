"""Webhooks: what the API's own calls bring into a run."""
