"""Polling: how long jobs take, as reads have shown, and when to look at one next."""
