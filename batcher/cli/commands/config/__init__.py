"""`batcher config`: which settings hold here, and where each comes from."""
