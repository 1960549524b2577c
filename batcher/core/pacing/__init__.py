"""Pacing: how fast a lane may go, and when not at all."""
