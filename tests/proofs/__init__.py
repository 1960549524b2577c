"""Proofs: what holds when the machine itself fails."""
