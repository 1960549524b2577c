"""Adapters: each does one kind of I/O, and decides nothing."""
