"""Lanes: how many requests of one kind may start, and when."""
