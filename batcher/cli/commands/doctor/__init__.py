"""`batcher doctor`: is this machine, the key and the API fit for a run?"""
