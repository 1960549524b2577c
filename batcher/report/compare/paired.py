"""The same rows in two runs: what became of each in the one and in the other.

Rule: a row is its id. Pairs take out of a comparison what the rows themselves differ by, so they
see smaller differences than the runs as wholes do.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from batcher.report.compare.intervals import Estimate, Interval, mcnemar, quantile_ranks
from batcher.report.compare.measure import Run

PAIRS_MIN = 2
LIKELY = 0.05  # a split that is rarer than that is no chance


@dataclass(frozen=True, slots=True)
class Paired:
    """What the rows tell that a run shares with the first one."""

    letter: str
    rows: int  # with an outcome in both
    one_of: int  # rows: 1 = all of them, else a sample by a hash of their ids
    only_before: int  # succeeded in the first run alone
    only_after: int
    p_value: float  # of such a split, if both are equally good
    jobs: int  # rows with a job time in both
    median: Estimate | None  # of the differences of their job times

    @property
    def differs(self) -> bool:
        """Whether one of the two loses more rows, beyond chance."""
        return self.p_value < LIKELY


def pair(before: Run, after: Run) -> Paired | None:
    """Compare the rows that two runs share; None if they share hardly any."""
    rows, one_of = before.measured.sample.shared(after.measured.sample)
    if len(rows) < PAIRS_MIN:
        return None

    only_before = sum(one.succeeded and not other.succeeded for one, other in rows)
    only_after = sum(other.succeeded and not one.succeeded for one, other in rows)
    longer = sorted(
        other.job_s - one.job_s
        for one, other in rows
        if one.job_s is not None and other.job_s is not None
    )
    return Paired(
        letter=after.letter,
        rows=len(rows),
        one_of=one_of,
        only_before=only_before,
        only_after=only_after,
        p_value=mcnemar(only_before, only_after),
        jobs=len(longer),
        median=_median(longer),
    )


def _median(values: list[float]) -> Estimate | None:
    """Return the median of sorted *values*, and between which of them it lies."""
    count = len(values)
    if not count:
        return None

    middle = (values[(count - 1) // 2] + values[count // 2]) / 2
    low, high = quantile_ranks(count, 0.5)
    return Estimate(
        middle,
        Interval(
            values[low - 1] if low >= 1 else -inf,
            values[high - 1] if high <= count else inf,
        ),
    )
