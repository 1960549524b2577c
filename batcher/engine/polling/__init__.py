"""Polling: which job is read when, what a read means, and what reads teach."""
