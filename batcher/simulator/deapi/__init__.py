"""deAPI, simulated."""
