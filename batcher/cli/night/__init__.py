"""What surrounds a run that nobody watches: its numbers, and what is told at its end."""
