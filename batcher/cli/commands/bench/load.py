"""`bench.json`: the load of a load test, in its run directory.

Rule: written before the first job is sent and never changed, so that what a test measured can be
told from its records at any time, also after a crash.
"""

from __future__ import annotations

import msgspec

from batcher.adapters.atomic import write_atomically
from batcher.adapters.rundir import RunDirectory
from batcher.core.errors import UsageError
from batcher.core.load import Load

NAME = "bench.json"


def write_load(directory: RunDirectory, load: Load) -> None:
    """Note the load of a run. Raises `OSError`."""
    write_atomically(directory.path / NAME, msgspec.json.encode(load) + b"\n")


def read_load(directory: RunDirectory) -> Load | None:
    """Return the load of a run; None = it is no load test. Raises `UsageError` if damaged."""
    path = directory.path / NAME
    try:
        load = msgspec.json.decode(path.read_bytes(), type=Load)
    except FileNotFoundError:
        return None
    except (OSError, RecursionError, ValueError, msgspec.MsgspecError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error

    if not load.steps or any(step.per_s <= 0 or step.jobs < 1 for step in load.steps):
        raise UsageError(f"{path}: is damaged: a step without jobs or without a rate")

    return load
