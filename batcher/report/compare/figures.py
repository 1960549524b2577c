"""The numbers that runs are compared by, and what is to be said of their differences.

Rule: everything that can vary by chance has an interval, and only where that does not hold 0 a
difference is called one. A number that is one for the whole run (pace, 429s) is shown without a
judgement, because one run says nothing of its chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from math import isinf

from batcher.core.lifecycle import State
from batcher.report.compare.intervals import Estimate, difference, share
from batcher.report.compare.measure import Run
from batcher.report.compare.times import Times

LEVELS = (0.5, 0.9, 0.99)
PER_REQUESTS = 1_000


class Unit(StrEnum):
    """What a number counts."""

    SHARE = "share"
    SECONDS = "s"
    PER_SECOND = "per_s"
    NUMBER = "number"
    MONEY = "money"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of every run: None where a run has none."""

    key: str  # in JSON
    name: str
    unit: Unit
    values: tuple[Estimate | None, ...]
    words: tuple[str, str] | None  # what a larger and a smaller one is; None: chance is not known


@dataclass(frozen=True, slots=True)
class Difference:
    """What a run has more of than the first one."""

    figure: Figure
    letter: str
    change: Estimate
    before: Estimate

    @property
    def is_noise(self) -> bool:
        """Whether it may as well be nothing."""
        interval = self.change.interval
        return self.change.value == 0 or (interval is not None and interval.holds_zero)

    @property
    def is_unknown(self) -> bool:
        """Whether so few were measured that it could be anything."""
        interval = self.change.interval
        return interval is not None and isinf(interval.low) and isinf(interval.high)

    @property
    def word(self) -> str:
        """What it comes to."""
        if self.is_unknown:
            return "too few to say"

        if self.change.value == 0 and self.change.interval is None:
            return "the same"

        if self.is_noise:
            return "within noise"

        more, less = self.figure.words or ("more", "less")
        return more if self.change.value > 0 else less


def figures(runs: Sequence[Run]) -> list[Figure]:
    """Return all numbers, in the order in which they are told."""
    return [figure for figure in _all(runs) if any(value is not None for value in figure.values)]


def differences(found: Sequence[Figure], runs: Sequence[Run]) -> list[Difference]:
    """Return how every other run differs from the first."""
    return list(_differences(found, runs))


def _differences(found: Sequence[Figure], runs: Sequence[Run]) -> Iterator[Difference]:
    for figure in found:
        first = figure.values[0]
        for run, value in zip(runs[1:], figure.values[1:], strict=True):
            comparable = figure.unit is not Unit.MONEY or run.currency == runs[0].currency
            is_told = figure.words is not None and comparable
            if is_told and first is not None and value is not None and (first.value or value.value):
                yield Difference(figure, run.letter, difference(first, value), first)


def _all(runs: Sequence[Run]) -> Iterator[Figure]:
    make = partial(_figure, runs)
    for state in (State.SUCCEEDED, State.FAILED, State.EXHAUSTED, State.IN_DOUBT):
        name = str(state).replace("_", " ")
        yield make(f"{state}", name, Unit.SHARE, partial(_share, state))

    pace, length = ("slower", "faster"), ("longer", "shorter")
    for key, name, times, words in (
        ("submit_s", "submit", lambda run: run.measured.answered, pace),
        ("job_s", "job", lambda run: run.measured.job, pace),
        ("lag_s", "lag bound", lambda run: run.measured.lag, length),
    ):
        for level in LEVELS:
            told = f"{name} P{100 * level:.0f}"
            quantile = partial(_quantile, times, level)
            yield make(f"{key}_p{100 * level:.0f}", told, Unit.SECONDS, quantile, words)

    yield make("reads_per_job", "reads a job", Unit.NUMBER, lambda r: r.measured.reads.mean())
    yield make("cost_per_success", "cost a success", Unit.MONEY, _cost, ("dearer", "cheaper"))
    yield make("rows_per_s", "rows ended", Unit.PER_SECOND, _pace, None)
    yield make("throttled_per_1000", "429s in 1,000", Unit.NUMBER, _throttled, None)


def _figure(
    runs: Sequence[Run],
    key: str,
    name: str,
    unit: Unit,
    value: Callable[[Run], Estimate | None],
    words: tuple[str, str] | None = ("more", "less"),
) -> Figure:
    return Figure(key, name, unit, tuple(value(run) for run in runs), words)


def _share(state: State, run: Run) -> Estimate | None:
    return share(run.measured.ends[state], run.measured.ended)


def _quantile(times: Callable[[Run], Times], level: float, run: Run) -> Estimate | None:
    found = times(run).distribution()
    return None if found is None else found.quantile(level)


def _pace(run: Run) -> Estimate | None:
    summary = run.summary
    return Estimate(summary.ended / summary.wall_s) if summary.wall_s and summary.ended else None


def _throttled(run: Run) -> Estimate | None:
    requests = run.summary.submits + run.summary.status_reads
    return Estimate(PER_REQUESTS * run.summary.throttled / requests) if requests else None


def _cost(run: Run) -> Estimate | None:
    return run.measured.cost_per_success()
