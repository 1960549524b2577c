"""When each job of a load test is to leave, on the clock of the event loop.

Rule: the moments are those of the plan whatever became of earlier jobs. What is late leaves as soon
as it may, and its time is counted from when it was due.
"""

from __future__ import annotations

from collections.abc import Callable

from batcher.core.load import Load
from batcher.core.model import Row


class Arrivals:
    """Tells the run when a row's turn is; *wall* is the clock in which the load began."""

    def __init__(self, load: Load, wall: Callable[[], float]) -> None:
        self._load = load
        self._wall = wall
        self._began: float | None = None  # the event loop's time

    def __call__(self, row: Row, now: float) -> float:
        """Return the event loop's time at which *row*'s submit is due; not before *now*.

        The row's line is its place in the load. The wall clock is asked once: set meanwhile, it
        would move what is to come.
        """
        if self._began is None:
            self._began = now + self._load.began - self._wall()

        return max(now, self._began + self._load.due_s(row.line - 1))
