"""How much lies ahead while a manifest is still being read: its rough number of rows fills the gap.

Rule: a number that the run knows itself always wins; the count by newlines is only for the bar.
"""

from __future__ import annotations

from dataclasses import replace

from batcher.core.stats import Snapshot

NEEDS_ROWS = 5  # that have ended in this process, before a speed can be told


class Ahead:
    """Adds total and time to go to snapshots that lack them."""

    def __init__(self, rows: int | None) -> None:
        self._rows = rows
        self._ended_before: int | None = None

    def complete(self, shot: Snapshot) -> Snapshot:
        """Return *shot*, with what can be said of the rest of the run."""
        if self._ended_before is None and shot.counters:
            self._ended_before = shot.ended

        if shot.rows_total is not None or self._rows is None:
            return shot

        total = max(self._rows, shot.count("rows"))
        ended = shot.ended - (self._ended_before or 0)
        if ended < NEEDS_ROWS or shot.elapsed_s <= 0:
            return replace(shot, rows_total=total)

        left_s = (total - shot.ended) * shot.elapsed_s / ended
        return replace(shot, rows_total=total, eta_s=left_s)
