"""Removit: background removal and product compositions."""
