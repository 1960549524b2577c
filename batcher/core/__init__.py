"""The pure core: no I/O, no clock, no event loop, no randomness of its own.

Time, randomness and bytes come in as arguments; decisions go out as values. So everything here is
tested as tables and properties, and the engine above it only performs what is decided here.
"""
