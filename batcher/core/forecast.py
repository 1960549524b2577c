"""How long a run takes, before one of its rows is sent, and which limit makes it so long.

Rule: each limit alone needs some time; the longest of them binds, and the jobs that are submitted
last take their own time after it. Ranges come from drawing durations out of what was learned, as
often as was seen, so few jobs seen make a wide range. What is not known is not made up: without
durations there is only a time that it takes at least.

Pure arithmetic; randomness is passed in. Time is counted as if nothing had been sent before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from heapq import heappop, heappush
from math import ceil
from random import Random

from batcher.core.backoff import Backoff
from batcher.core.pacing.rates import HOUR_S, Rate
from batcher.core.pacing.turns import turns_by, turns_s
from batcher.core.polling.durations import Durations
from batcher.core.polling.looking import (
    COUNTED_MAX,
    ENDS_MIN,
    READS_MIN,
    READS_WISHED,
    Looking,
    affordable,
)

READS_UNKNOWN = 5.0  # a job, where nobody knows how long it takes and nothing asks for fewer
READS_CALLED = 1.0  # of a job whose end the API reports
PAUSES = Backoff(4.0, 1.5, 30.0)
AIMED = 2  # times: the first aim shows how many looks the longest pause adds
DRAWS = 60  # of whole runs
SAMPLE_MAX = 100  # jobs that one draw goes by: what is not seen oftener is not more certain
PLAYED_MAX = 1_000  # rows of a draw that are played through one by one
QUANTILES = 1_000
SPARE = 1.2  # places for each job that is open on average: they vary


class Limit(StrEnum):
    """What a run can be held back by, before it begins."""

    SUBMIT = "submit limit"
    STATUS = "status limit"
    PRICE = "price limit"
    IN_FLIGHT = "in-flight limit"


@dataclass(frozen=True, slots=True)
class Jobs:
    """How long the jobs of a run take: one in a thousand of them, in rising order."""

    quantiles_s: Sequence[float]
    ends: int  # jobs that it was learned from
    share: float = 1.0  # of the run's rows whose class is known

    @property
    def mean_s(self) -> float:
        """The mean duration."""
        return sum(self.quantiles_s) / len(self.quantiles_s)

    def age_s(self, share: float) -> float:
        """Return the age by which *share* of the jobs have ended."""
        return self.quantiles_s[min(int(share * len(self.quantiles_s)), len(self.quantiles_s) - 1)]

    def later_than(self, age_s: float) -> float:
        """Return the share of the jobs that take longer."""
        return sum(duration > age_s for duration in self.quantiles_s) / len(self.quantiles_s)


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done, and within which limits."""

    rows: int  # jobs that are to be made
    submit: Rate
    status: Rate | None  # None = no limit known
    in_flight: int
    jobs: Jobs | None = None  # None = nothing is known of how long they take
    learned: Mapping[str, Durations] | None = None  # of the classes among the rows, for the reads
    pauses: Backoff = PAUSES  # plain ones between two looks, as the API has them
    pause_max_s: float = 300.0  # where reads are scarce
    calls: bool = False  # the API reports the end of a job
    prices: int = 0  # questions for prices
    price: Rate | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """What one limit alone makes a run take."""

    limit: Limit
    said: str  # the limit as it is written: `100/d`, `200`
    count: int  # requests, or jobs
    seconds: float
    days: int = 0  # of a day's cap that binds: how many days' shares it takes


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long it takes: once in ten less than `p10_s`, once in ten more than `p90_s`."""

    bounds: tuple[Bound, ...]  # the one that binds first
    p10_s: float
    p50_s: float
    p90_s: float
    reads: float  # a job
    is_known: bool  # else: at least this long, because nobody knows how long the jobs take
    lag_s: float = 0.0  # mean, between the end of a job and the read that sees it

    @property
    def binding(self) -> Bound:
        """The limit that makes it so long."""
        return self.bounds[0]


def jobs_of(rows: Mapping[str, int], learned: Mapping[str, Durations]) -> Jobs | None:
    """Return how long the jobs of *rows* (by class) take, or None if of no class enough is known.

    Rows of a class that is not known are taken to be like the others; `share` says how many are.
    """
    known = {name: durations for name, durations in learned.items() if name in rows}
    known = {name: durations for name, durations in known.items() if durations.ends >= ENDS_MIN}
    total = sum(rows[name] for name in known)
    if not total:
        return None

    drawn: list[float] = []
    for name, durations in known.items():
        curve, parts = durations.curve(), max(1, round(QUANTILES * rows[name] / total))
        drawn += [curve.age_s((n + 0.5) / parts) for n in range(parts)]

    ends = sum(durations.ends for durations in known.values())
    return Jobs(sorted(drawn), ends, total / sum(rows.values()))


def forecast(work: Work, rng: Random) -> Forecast:
    """Return how long *work* takes; *rng* is seeded by whoever wants the same words twice."""
    reads, lag_s = _looks(work)
    bounds = sorted(_bounds(work, reads, lag_s), key=lambda bound: -bound.seconds)
    if work.jobs is None or not work.rows:
        least_s = bounds[0].seconds
        return Forecast(tuple(bounds), least_s, least_s, least_s, reads, is_known=not work.rows)

    drawn = sorted(_drawn_s(work, bounds, lag_s, rng) for _ in range(DRAWS))
    p10_s, p50_s, p90_s = (drawn[int(DRAWS * share)] for share in (0.1, 0.5, 0.9))
    return Forecast(tuple(bounds), p10_s, p50_s, p90_s, reads, is_known=True, lag_s=lag_s)


def rows_by(work: Work, seconds: float, outlook: Forecast) -> int:
    """Return about how many rows are done within *seconds*."""
    jobs = work.jobs
    stay_s = 0.0 if jobs is None else jobs.age_s(0.5) + outlook.lag_s
    open_s = max(0.0, seconds - stay_s)
    most = [float(work.rows), turns_by(open_s, work.submit)]
    if work.status is not None:
        most.append(turns_by(seconds, work.status) / max(outlook.reads, 1.0))

    if jobs is not None and stay_s:
        most.append(work.in_flight * seconds / (jobs.mean_s + outlook.lag_s))

    return int(min(most))


def with_room(work: Work, outlook: Forecast) -> Work:
    """Return the same work with as many rows in flight as its rates can keep busy (Little)."""
    if work.jobs is None:
        return work

    others = [b.seconds for b in outlook.bounds if b.limit is not Limit.IN_FLIGHT]
    busy = work.rows * (work.jobs.mean_s + outlook.lag_s) / max([*others, 1e-9])
    unit = 10 ** max(0, len(str(int(busy))) - 2)
    return replace(
        work, in_flight=max(work.in_flight, min(work.rows, ceil(SPARE * busy / unit) * unit))
    )


def _bounds(work: Work, reads: float, lag_s: float) -> list[Bound]:
    bounds = [_of_rate(Limit.SUBMIT, work.rows, work.submit)]
    if work.status is not None:
        bounds.append(_of_rate(Limit.STATUS, ceil(work.rows * reads), work.status))

    if work.price is not None and work.prices:
        bounds.append(_of_rate(Limit.PRICE, work.prices, work.price))

    if work.jobs is not None:
        seconds = work.rows * (work.jobs.mean_s + lag_s) / work.in_flight
        bounds.append(Bound(Limit.IN_FLIGHT, f"{work.in_flight:,}", work.rows, seconds))

    return bounds


def _of_rate(limit: Limit, count: int, rate: Rate) -> Bound:
    seconds, days = turns_s(count, rate)
    return Bound(limit, str(_of_windows(rate, days)), count, seconds, days)


def _of_windows(rate: Rate, days: int) -> object:
    """Return the window of *rate* that makes it so slow."""
    if days:
        return max(rate.day_caps, key=lambda cap: cap.period_s / cap.count)

    short = [window for window in rate.windows if window.period_s <= HOUR_S]
    return max(short, key=lambda window: window.period_s / window.count, default=rate)


def _looks(work: Work) -> tuple[float, float]:
    """Return the reads a job that there will be, and the mean delay that they leave."""
    if work.calls:
        return READS_CALLED, 0.0

    most = _affordable(work)
    known = [each for each in (work.learned or {}).values() if each.ends >= ENDS_MIN]
    ends = sum(each.ends for each in known)
    if not ends:
        return READS_UNKNOWN if most is None else max(READS_MIN, min(READS_UNKNOWN, most)), 0.0

    looks = [(each.ends / ends, *_looks_at(work, each, most)) for each in known]
    return sum(part * reads for part, reads, _ in looks), sum(part * lag for part, _, lag in looks)


def _looks_at(work: Work, durations: Durations, most: float | None) -> tuple[float, float]:
    """Return reads and delay of the jobs of one class, as a run plans them."""
    pauses = work.pauses
    looking = Looking(pauses, reads=READS_WISHED, cap_s=pauses.cap_s, durations=durations)
    for _ in range(AIMED):
        looking.aim_within(most, work.pause_max_s)

    reads, plan = looking.reads(COUNTED_MAX), looking.plan
    assert reads is not None and plan is not None  # noqa: PT018, S101  # enough ends are known
    return max(READS_MIN, reads), plan.lag_s


def _affordable(work: Work) -> float | None:
    """Return how many reads a job may take so that submits need not wait for them; None = any."""
    if work.status is None or not work.rows:
        return None

    mean_s, median_s = (0.0, 0.0) if work.jobs is None else (work.jobs.mean_s, work.jobs.age_s(0.5))
    others_s = max(turns_s(work.rows, work.submit)[0], work.rows * mean_s / work.in_flight)
    over_s = max(others_s + median_s, 1.0)
    return affordable(turns_by(over_s, work.status) / over_s, work.rows, over_s)


def _drawn_s(work: Work, bounds: Sequence[Bound], lag_s: float, rng: Random) -> float:
    """Return how long one run of those that may come takes.

    Its last rows are played through; those before them go as steadily as rate and places allow.
    """
    jobs = work.jobs
    assert jobs is not None  # noqa: S101  # whoever draws has something to draw from
    some = rng.choices(jobs.quantiles_s, k=min(jobs.ends, SAMPLE_MAX))
    mean_s = sum(some) / len(some) + lag_s
    played = min(work.rows, PLAYED_MAX)
    before_s = (work.rows - played) * max(work.submit.interval_s, mean_s / work.in_flight)
    last_start_s, end_s = _played_s(work, rng.choices(some, k=played), lag_s)
    waits = {bound.limit: bound.seconds for bound in bounds}
    asked_s = max(waits[Limit.SUBMIT], waits.get(Limit.PRICE, 0.0)) - work.submit.interval_s
    tail_s = end_s - last_start_s
    return max(before_s + end_s, asked_s + tail_s, waits.get(Limit.STATUS, 0.0))


def _played_s(work: Work, durations_s: Sequence[float], lag_s: float) -> tuple[float, float]:
    """Return when the last of these jobs starts and when all have ended.

    Each starts when it is its turn and a place is free.
    """
    places = [0.0] * min(work.in_flight, len(durations_s))
    turn = start = end = 0.0
    for duration_s in durations_s:
        start = max(turn, heappop(places))
        done = start + duration_s + lag_s
        heappush(places, done)
        end = max(end, done)
        turn = start + work.submit.interval_s

    return start, end
