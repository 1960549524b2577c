"""The engine: a thin anyio shell that performs what the pure parts decide.

Every task has an owner (a task group in `run.py` or `lane.py`), every wait has a named limit, and
state changes happen in plain functions without an await in the middle.
"""
