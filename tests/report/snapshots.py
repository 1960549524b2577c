"""Snapshots for the views: one of an ordinary run in the middle, to be varied."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from batcher.core.model import ErrorKind
from batcher.core.stats import ErrorView, LaneView, Snapshot

LANES = (
    LaneView("submit", started=1_250, per_s=4.84, limit="300/m", open=12, waiting=150),
    LaneView("status", 9_000, 21.2, None, 8, 90, closed_s=12.0, closed_why="throttled"),
    LaneView("download", 0, 0.0, None, 0, 0),
)
MIDDLE = Snapshot(
    at=1_800_000_000.0,
    elapsed_s=250.0,
    counters={
        "rows": 1_500,
        "pending": 150,
        "accepted": 180,
        "succeeded": 1_100,
        "failed": 60,
        "exhausted": 8,
        "in_doubt": 2,
    },
    rows_total=4_000,
    in_flight=180,
    in_flight_max=200,
    lanes=LANES,
    errors={ErrorKind.REJECTED: ErrorView(60, "the picture cannot be read")},
    binding="submit limit (300/m)",
    eta_s=640.0,
)


def middle(**changes: Any) -> Snapshot:
    """Return the ordinary snapshot with some fields changed."""
    return replace(MIDDLE, **changes)
