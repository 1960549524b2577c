"""Times in fine bins, and sums of numbers: a million values in a few thousand numbers.

Rule: a bin is 0.55 % wide, so what is read back is within 0.28 %; an interval reaches to the outer
edges of its bins, so that the bins cannot make it look surer than it is. Records have milliseconds,
so nothing below one is told apart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import ceil, exp, inf, log, sqrt

from batcher.report.compare.intervals import Estimate, Interval, mean, quantile_ranks

BINS_PER_DOUBLING = 128
PRECISION = 0.0028  # the largest relative error of a quantile
SHORTEST_S = 0.001
LONGEST_S = 1e9  # thirty years; a longer time is a clock that jumped
_STEP = log(2) / BINS_PER_DOUBLING


class Times:
    """Takes times in, one by one, in bounded memory."""

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()

    def add(self, seconds: float | None) -> None:
        """Count one time; what is none (absent, below zero: a clock that was set back) is not."""
        if seconds is None or not 0 <= seconds <= LONGEST_S:
            return

        self._bins[int(log(seconds if seconds > SHORTEST_S else SHORTEST_S) // _STEP)] += 1

    def distribution(self) -> Distribution | None:
        """Return what was counted; None = nothing."""
        if not self._bins:
            return None

        numbers = sorted(self._bins)
        return Distribution(tuple(numbers), tuple(accumulate(self._bins[n] for n in numbers)))


@dataclass(frozen=True)
class Distribution:
    """Times as they were distributed: numbers of bins, ascending, and how many up to each."""

    numbers: tuple[int, ...]
    up_to: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many times there are."""
        return self.up_to[-1]

    def quantile(self, level: float) -> Estimate:
        """Return the time that a share of *level* took at most, with its 95 % interval."""
        low, high = quantile_ranks(self.count, level)
        number = self._bin(max(1, ceil(level * self.count)))
        return Estimate(
            sqrt(_edge(number) * _edge(number + 1)),
            Interval(
                _edge(self._bin(low)) if low >= 1 else 0.0,
                _edge(self._bin(high) + 1) if high <= self.count else inf,
            ),
        )

    def curve(self, points_max: int = 200) -> list[tuple[float, float]]:
        """Return (seconds, share that took at most so long), ascending, from share 0 to 1."""
        points = [(_edge(self.numbers[0]), 0.0)]
        points += [
            (_edge(number + 1), seen / self.count)
            for number, seen in zip(self.numbers, self.up_to, strict=True)
        ]
        step = ceil(len(points) / points_max)
        return points if step == 1 else [*points[:-1:step], points[-1]]

    @cached_property
    def span(self) -> tuple[float, float]:
        """The shortest and the longest time, as far as bins tell."""
        return _edge(self.numbers[0]), _edge(self.numbers[-1] + 1)

    def _bin(self, rank: int) -> int:
        return self.numbers[bisect_left(self.up_to, rank)]


def _edge(number: int) -> float:
    return exp(number * _STEP)


class Sums:
    """The mean of numbers, as they come."""

    def __init__(self) -> None:
        self.count, self._total, self._squares = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        """Take one number in."""
        self.count += 1
        self._total += value
        self._squares += value * value

    def mean(self) -> Estimate | None:
        """Return their mean; None = there are none."""
        return mean(self.count, self._total, self._squares)
