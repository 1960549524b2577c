"""Rows that several runs have in common, in bounded memory: a sample that falls out alike in each.

Rule: which rows are kept is decided by a hash of their ids alone, never by their place or by what
became of them. So two runs with the same ids keep the same rows, in whatever order they ended, and
what is said of the sample is true of all within its interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

KEPT_MAX = 20_000  # rows: 3 MB a run; a median of so many is known to about 1 %
_BITS = 64


@dataclass(frozen=True, slots=True)
class Kept:
    """What is wanted of one row."""

    succeeded: bool
    job_s: float | None


class Sample:
    """All rows while they are few, later one in 2, in 4, in 8, …"""

    def __init__(self, kept_max: int = KEPT_MAX) -> None:
        self.level = 0  # one in 2**level is kept
        self._kept_max = kept_max
        self._rows: dict[int, Kept] = {}

    def offer(self, row_id: str, row: Kept) -> None:
        """Take a row or leave it. Of an id that is there twice the one with a job counts."""
        mark = int.from_bytes(blake2b(row_id.encode("utf-8", "replace"), digest_size=8).digest())
        if mark >> (_BITS - self.level):
            return

        if mark not in self._rows or self._rows[mark].job_s is None:
            self._rows[mark] = row

        while len(self._rows) > self._kept_max:
            self.level += 1
            bits = _BITS - self.level
            self._rows = {mark: row for mark, row in self._rows.items() if not mark >> bits}

    def shared(self, other: Sample) -> tuple[list[tuple[Kept, Kept]], int]:
        """Return the rows that both kept, and one of how many these are."""
        level = max(self.level, other.level)
        bits = _BITS - level
        mine, theirs = self._rows, other._rows
        marks = [mark for mark in mine.keys() & theirs.keys() if not mark >> bits]
        return [(mine[mark], theirs[mark]) for mark in sorted(marks)], 1 << level
