"""Removit, simulated."""
