"""The Python interface: the same runs as on the command line, from a program or a notebook.

    summary = batcher.run_sync("photos.jsonl", provider="removit", rate="300/m")

    async for outcome in batcher.stream(rows, provider="removit", run_dir="runs/night"):
        print(outcome.id, outcome.outcome, outcome.urls)

Rule: what a flag of `batcher run` is called, a keyword is called, and it means the same. A run
lives in a thread of its own with its own event loop: nothing that the caller does can make it late,
and it works where an event loop runs already. Whatever it does is in its run directory, so the same
call again goes on, and every command of `batcher` works on it.
"""

from __future__ import annotations

from batcher.api.calls import run, run_sync, stream, stream_sync
from batcher.api.outcome import Attempts, Outcome, RowProblem, Times, outcomes
from batcher.api.own import register
from batcher.api.tables import to_arrow, to_pandas, to_polars
from batcher.report.summary import Summary

__all__ = [
    "Attempts",
    "Outcome",
    "RowProblem",
    "Summary",
    "Times",
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
