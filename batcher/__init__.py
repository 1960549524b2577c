"""batcher: an async, high-throughput batch processor for asynchronous job APIs.

`batcher.run`, `run_sync`, `stream`, `stream_sync` and what they return are in `batcher.api`; they
are loaded when they are first asked for, so that the command line pays nothing for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from batcher.api import (
        Outcome,
        Summary,
        outcomes,
        register,
        run,
        run_sync,
        stream,
        stream_sync,
        to_arrow,
        to_pandas,
        to_polars,
    )

__all__ = [
    "Outcome",
    "Summary",
    "outcomes",
    "register",
    "run",
    "run_sync",
    "stream",
    "stream_sync",
    "to_arrow",
    "to_pandas",
    "to_polars",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    from batcher import api

    return getattr(api, name)
