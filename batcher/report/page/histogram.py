"""How long things took, in bins that grow: a million times in a few hundred numbers.

Rule: a bin is 4.4 % wide, so what is read back is within 2.2 % of what was put in, whatever the
scale. Smallest, largest and mean are exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, exp, log, sqrt

BINS_PER_DOUBLING = 16
PRECISION = 0.022  # half a bin: the largest relative error of a quantile
SHORTEST_S = 0.001  # records have milliseconds
LONGEST_S = 1e9  # thirty years; a longer time is a clock that jumped
_STEP = log(2) / BINS_PER_DOUBLING


@dataclass(frozen=True, slots=True)
class Distribution:
    """Times in seconds, as they were distributed."""

    count: int
    smallest: float
    largest: float
    mean: float
    bins: tuple[tuple[float, float, int], ...]  # (from, to, how many), ascending, none empty

    def quantile(self, share: float) -> float:
        """Return the time that *share* of all took at most, within `PRECISION`."""
        rank, seen = max(1, ceil(share * self.count)), 0
        for low, high, count in self.bins:
            seen += count
            if seen >= rank:
                return min(max(sqrt(low * high), self.smallest), self.largest)

        return self.largest

    def curve(self, points_max: int = 160) -> list[tuple[float, float]]:
        """Return (seconds, share that took at most so long), ascending, from share 0 to 1."""
        points, seen = [(self.smallest, 0.0)], 0
        for _, high, count in self.bins:
            seen += count
            points.append((min(high, self.largest), seen / self.count))

        step = ceil(len(points) / points_max)
        return points if step == 1 else [*points[:-1:step], points[-1]]


class Histogram:
    """Takes times in, one by one, in bounded memory."""

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()
        self._smallest, self._largest, self._sum = LONGEST_S, 0.0, 0.0

    def add(self, seconds: float | None) -> None:
        """Count one time; what is none (absent, below zero: a clock that was set back) is not."""
        if seconds is None or not 0 <= seconds <= LONGEST_S:
            return

        self._bins[int(log(seconds if seconds > SHORTEST_S else SHORTEST_S) // _STEP)] += 1
        self._sum += seconds
        if seconds < self._smallest:
            self._smallest = seconds

        if seconds > self._largest:
            self._largest = seconds

    def distribution(self) -> Distribution | None:
        """Return what was counted; None = nothing."""
        count = self._bins.total()
        if not count:
            return None

        return Distribution(
            count, self._smallest, self._largest, self._sum / count, tuple(self._edges())
        )

    def _edges(self) -> Iterator[tuple[float, float, int]]:
        for number in sorted(self._bins):
            yield exp(number * _STEP), exp((number + 1) * _STEP), self._bins[number]
