"""`batcher bench`: load an API at a given rate and say how it bears it."""
