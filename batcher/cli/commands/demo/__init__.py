"""`batcher demo`: a whole run against the simulator, in one process."""
