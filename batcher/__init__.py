"""batcher: an async, high-throughput batch processor for asynchronous job APIs."""

__version__ = "0.1.0"
