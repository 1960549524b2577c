"""What happened when, in bins of time: any number of events over any time, in bounded memory.

Rule: only bins in which something happened exist, and their width doubles when there are too many.
So a run that was resumed a week later costs no more than one that was not, and both keep their
detail. For the page the bins become at most about a hundred columns; a long time in which nothing
at all happened (nobody worked on the run) is left out and told.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite

WIDTH_S = 0.25
BINS_MAX = 4_096
COLUMNS_MAX = 96
GAP_S = 900.0  # a longer wait ends a run, unless it was told otherwise
GAP_SHARE = 0.05  # of the whole time; so at most twenty gaps are left out


@dataclass(frozen=True, slots=True)
class Column:
    """One stretch of time and how much of each kind happened in it."""

    at: float  # epoch seconds
    width_s: float
    counts: Mapping[str, int]
    open_max: int  # rows in flight, at most
    gap_s: float = 0.0  # left out before it, because nothing happened

    def rate(self, kind: str) -> float:
        """Return how many a second."""
        return self.counts.get(kind, 0) / self.width_s


class TimeBins:
    """Counts events of several kinds by their time."""

    def __init__(self, *, bins_max: int = BINS_MAX) -> None:
        self.width_s = WIDTH_S
        self.totals: Counter[str] = Counter()
        self._bins_max = bins_max
        self._bins: dict[int, dict[str, int]] = {}

    def add(self, kind: str, at: float, count: int = 1) -> None:
        """Count *count* events at *at*, in epoch seconds."""
        if not isfinite(at):
            return

        self.totals[kind] += count
        kinds = self._bins.setdefault(floor(at / self.width_s), {})
        kinds[kind] = kinds.get(kind, 0) + count
        while len(self._bins) > self._bins_max:
            self._double()

    def columns(
        self, starts: str = "", ends: Collection[str] = (), columns_max: int = COLUMNS_MAX
    ) -> list[Column]:
        """Return everything in about *columns_max* columns, ascending; one more for each gap.

        What is open is what *starts*, less what *ends* so far.
        """
        spans = self._spans()
        step = max(1, ceil(sum(last - first + 1 for first, last in spans) / columns_max))
        columns: list[Column] = []
        is_open, end = 0, None
        numbers = deque(sorted(self._bins))
        for first, last in spans:
            gap_s = 0.0 if end is None else (first - end - 1) * self.width_s
            for at in range(first, last + 1, step):
                counts: Counter[str] = Counter()
                open_max = is_open
                while numbers and numbers[0] < at + step:
                    kinds = self._bins[numbers.popleft()]
                    counts.update(kinds)
                    is_open += kinds.get(starts, 0) - sum(kinds.get(kind, 0) for kind in ends)
                    open_max = max(open_max, is_open)

                columns.append(
                    Column(at * self.width_s, step * self.width_s, counts, open_max, gap_s)
                )
                gap_s = 0.0

            end = last

        return columns

    def _spans(self) -> list[tuple[int, int]]:
        """Return the stretches of bins between the gaps that are left out."""
        numbers = sorted(self._bins)
        if not numbers:
            return []

        extent_s = (numbers[-1] - numbers[0]) * self.width_s
        bins = max(GAP_S, GAP_SHARE * extent_s) / self.width_s
        breaks = [at for at in range(1, len(numbers)) if numbers[at] - numbers[at - 1] > bins]
        edges = zip([0, *breaks], [*breaks, len(numbers)], strict=True)
        return [(numbers[first], numbers[end - 1]) for first, end in edges]

    def _double(self) -> None:
        self.width_s *= 2
        old, self._bins = self._bins, {}
        for number, kinds in old.items():
            new = self._bins.setdefault(number // 2, {})
            for kind, count in kinds.items():
                new[kind] = new.get(kind, 0) + count


STEPS_S = (  # whole seconds: labels have no less
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000),
)


def ticks(columns: Sequence[Column], ticks_max: int = 6) -> Iterator[tuple[float, float]]:
    """Yield (place among the columns, epoch seconds) of round times, *ticks_max* at the most."""
    whole_s = sum(column.width_s for column in columns)
    step_s = next((step for step in STEPS_S if whole_s / step <= ticks_max), STEPS_S[-1])
    told, last = 0, -len(columns) / ticks_max
    for place, column in enumerate(columns):
        at = ceil(column.at / step_s) * step_s
        where = place + (at - column.at) / column.width_s
        is_far = where - last >= len(columns) / (ticks_max + 1) / 1.5
        if at < column.at + column.width_s and is_far and told < ticks_max:
            yield where, at
            told, last = told + 1, where
