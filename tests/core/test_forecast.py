"""A forecast forgets no limit, and a run that is played through comes out as it says."""

from __future__ import annotations

import heapq
from dataclasses import replace
from math import exp
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.forecast import (
    Forecast,
    Limit,
    Work,
    forecast,
    jobs_of,
    rows_by,
    with_room,
)
from batcher.core.pacing.rates import DAY_S, DayCap, Rate, Window, parse_rate
from batcher.core.pacing.turns import turns_by, turns_s
from batcher.core.polling.durations import Durations, Look
from batcher.core.polling.looking import ENDS_MIN, READS_MIN, READS_WISHED

WINDOWS = st.lists(
    st.builds(
        Window, st.integers(1, 50).map(float), st.sampled_from([1.0, 60.0, 3_600.0, DAY_S])
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda window: window.period_s,
)  # fmt: skip


def started_s(count: int, rate: Rate) -> float:
    """Return when the last of *count* requests may start, played through."""
    caps = [DayCap(int(cap.count), cap.period_s) for cap in rate.day_caps]
    now = last = 0.0
    for _ in range(count):
        now = last = max([now, *(now + cap.wait_s(now) for cap in caps)])
        for cap in caps:
            cap.spend(now)

        now += rate.interval_s

    return last


@given(st.integers(1, 400), WINDOWS)
def test_no_window_is_forgotten(count: int, windows: list[Window]) -> None:
    """Requests that each start as early as every window lets them take as long as is told."""
    rate = Rate(tuple(windows))
    told, days = turns_s(count, rate)

    assert told == pytest.approx(started_s(count, rate) + rate.interval_s, abs=1e-6)
    assert (days > 1) == (days > 0)
    if days:
        assert (days - 1) * DAY_S <= told + 1e-6


@given(st.integers(1, 400), WINDOWS)
def test_what_starts_within_a_time(count: int, windows: list[Window]) -> None:
    """Asked the other way round, it is the same: so many in that time, and hardly more."""
    rate = Rate(tuple(windows))
    seconds, _ = turns_s(count, rate)

    assert count - 1e-6 <= turns_by(seconds + 1e-9, rate) or rate.interval_s == 0


def seen(*durations_s: float) -> Durations:
    """Return what is learned from jobs that were each seen running, and then seen to have ended."""
    looks = ((Look(0.0, 0.9 * s, False), Look(0.9 * s, 1.1 * s, True)) for s in durations_s)
    return Durations(look for pair in looks for look in pair)


def lognormal(median_s: float, sigma: float, count: int = 300) -> Durations:
    """Return what is learned from so many jobs of a broad service."""
    rng = Random(5)
    return seen(*(median_s * exp(rng.gauss(0.0, sigma)) for _ in range(count)))


def work(rows: int, submit: str, learned: Durations | None = None, **more: object) -> Work:
    """Return so many rows of one class."""
    known = {} if learned is None else {"a": learned}
    base = Work(rows, parse_rate(submit), None, 200, jobs_of({"a": rows}, known), known)
    return replace(base, **more)  # type: ignore[arg-type]  # by name


def told(of: Work) -> Forecast:
    """Return its forecast, always the same."""
    return forecast(of, Random(1))


def played_s(of: Work, rng: Random, lag_s: float) -> float:
    """Play one run through: each row goes when it is its turn and a place is free."""
    assert of.jobs is not None
    places = [0.0] * min(of.in_flight, of.rows)
    now = end = 0.0
    for _ in range(of.rows):
        now = max(now, heapq.heappop(places))
        done = now + rng.choice(of.jobs.quantiles_s) + lag_s
        heapq.heappush(places, done)
        end = max(end, done)
        now += of.submit.interval_s

    return end


@pytest.mark.parametrize(
    "of",
    [
        work(600, "300/m", lognormal(20, 0.5)),
        work(1_000, "50/s", lognormal(20, 0.5), in_flight=40),  # the places bind
        work(30, "50/s", lognormal(20, 0.8)),  # only the longest of a few jobs counts
        work(500, "5/s", seen(*([15.0] * 100 + [150.0] * 100))),
        work(3_000, "50/s", lognormal(20, 0.5), in_flight=100),
        work(1, "1/s", lognormal(20, 0.2)),
    ],
)
def test_a_run_that_is_played_through_comes_out_as_told(of: Work) -> None:
    """The median within a tenth or the jobs' own chance, and about eight of ten in the range."""
    outlook = told(of)
    rng = Random(7)
    runs = sorted(played_s(of, rng, outlook.lag_s) for _ in range(50))

    assert outlook.is_known
    assert outlook.p10_s <= outlook.p50_s <= outlook.p90_s
    assert outlook.p50_s == pytest.approx(runs[25], rel=0.15)
    inside = sum(0.95 * outlook.p10_s <= run <= 1.05 * outlook.p90_s for run in runs)
    assert inside >= 0.7 * len(runs)


@pytest.mark.parametrize(
    ("of", "limit", "said"),
    [
        (work(1_000, "300/m", seen(*[5.0] * 50)), Limit.SUBMIT, "300/m"),
        (work(1_000, "5/m,100/d", seen(*[5.0] * 50)), Limit.SUBMIT, "100/d"),
        (work(1_000, "50/s", seen(*[50.0] * 50), in_flight=10), Limit.IN_FLIGHT, "10"),
        (work(1_000, "50/s", seen(*[5.0] * 50), status=parse_rate("60/m")), Limit.STATUS, "60/m"),
        (
            work(1_000, "50/s", seen(*[5.0] * 50), status=parse_rate("50/m,200/d")),
            Limit.STATUS,
            "200/d",
        ),
        (work(9, "5/s", None, price=parse_rate("1/m"), prices=9), Limit.PRICE, "1/m"),
    ],
)
def test_the_limit_that_binds_is_told(of: Work, limit: Limit, said: str) -> None:
    """With the window that does it, and it takes the most time of all."""
    outlook = told(of)

    assert (outlook.binding.limit, outlook.binding.said) == (limit, said)
    assert outlook.binding.seconds == max(bound.seconds for bound in outlook.bounds)
    assert outlook.p50_s >= 0.9 * outlook.binding.seconds


def test_a_days_cap_makes_days() -> None:
    """1,000 rows under 200 status reads a day take as many days as their reads do."""
    outlook = told(work(1_000, "5/s", seen(*[5.0] * 50), status=parse_rate("50/m,200/d")))

    assert outlook.reads == pytest.approx(READS_MIN, rel=0.05)
    assert outlook.binding.days == 6
    assert 5 * DAY_S <= outlook.p10_s <= outlook.p90_s <= 6 * DAY_S


def test_reads_are_as_many_as_do_no_harm() -> None:
    """Where they are plenty nearly the plain pauses', where submits wait fewer, with calls one."""
    plenty = work(1_000, "1/s", lognormal(20, 0.5), status=parse_rate("50/s"))
    scarce = replace(plenty, status=parse_rate("2/s"))

    assert 3.0 < told(plenty).reads < READS_WISHED
    assert 1.5 < told(scarce).reads < 2.3
    assert told(scarce).lag_s > told(plenty).lag_s > 0
    assert told(replace(scarce, calls=True)).reads == 1.0


def test_what_is_not_known_is_not_made_up() -> None:
    """Without durations there is a least time and no range; few ends are not enough."""
    few = seen(*[5.0] * (ENDS_MIN - 1))
    for learned in (None, few):
        outlook = told(work(600, "300/m", learned))
        assert not outlook.is_known
        assert outlook.p10_s == outlook.p50_s == outlook.p90_s == 120.0


def test_classes_that_are_not_known_are_taken_to_be_like_the_others() -> None:
    """And it is said for how many rows that is."""
    jobs = jobs_of({"a": 30, "b": 10}, {"a": seen(*[5.0] * 50), "c": seen(*[900.0] * 50)})

    assert jobs is not None
    assert (jobs.share, jobs.ends) == (0.75, 50)
    assert jobs.age_s(0.5) == pytest.approx(5.0, rel=0.15)
    assert jobs.later_than(60.0) < 0.03


def test_few_jobs_seen_make_a_wide_range() -> None:
    """What was learned from ten jobs is less sure than what was learned from three hundred."""
    many = told(work(400, "50/s", lognormal(20, 0.5, 300), in_flight=20))
    few = told(work(400, "50/s", lognormal(20, 0.5, 10), in_flight=20))

    assert few.p90_s / few.p10_s > 1.5 * many.p90_s / many.p10_s


def test_more_room_in_flight_makes_the_rate_bind() -> None:
    """As many places as the jobs fill by Little's law, and some to spare."""
    tight = work(1_000, "10/s", seen(*[50.0] * 50), in_flight=10)
    room = with_room(tight, told(tight))

    assert 500 < room.in_flight < 700
    assert told(room).binding.limit is Limit.SUBMIT


def test_how_many_rows_a_night_has_room_for() -> None:
    """About as many as may be submitted and collected in that time."""
    of = work(10_000, "1/s", seen(*[50.0] * 50))

    assert 3_500 <= rows_by(of, 3_600.0, told(of)) <= 3_560
    assert rows_by(of, 20.0, told(of)) == 0
