"""A run in several processes: what the processes tell each other, and what cannot be shared."""
