"""`batcher plan`: how long a manifest takes, which limit makes it so long, what it costs."""
