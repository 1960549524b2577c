"""Looking: the plan is the best there is, follows the budget, and never waits without a bound."""

from __future__ import annotations

import json
from functools import cache
from itertools import accumulate, pairwise
from math import exp
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.backoff import Backoff
from batcher.core.polling.durations import Durations, Look
from batcher.core.polling.looking import (
    ENDS_MIN,
    READS_MAX,
    READS_MIN,
    Looking,
    affordable,
)
from batcher.core.polling.planning import plan_at, plan_for
from batcher.core.polling.survival import Curve

BACKOFF = Backoff(first_s=4.0, factor=2.0, cap_s=60.0)


def curve_of(steps: list[tuple[float, float]]) -> Curve:
    """Return a curve from (width of a bin, weight of its ends)."""
    total = sum(weight for _, weight in steps) * 1.01
    ages = list(accumulate((width for width, _ in steps), initial=0.0))
    ended = accumulate((weight for _, weight in steps), initial=0.0)
    return Curve(ages, [1.0 - share / total for share in ended])


def follow(looking: Looking, job_s: float, rng: Random, now: float) -> tuple[int, float]:
    """Look at one job until its end is seen; return the reads and the delay."""
    low_s, reads = 0.0, 0
    while True:
        age_s = looking.next_age_s(low_s, reads, rng.random())
        reads += 1
        looking.saw(Look(low_s, age_s, ended=job_s <= age_s), now + age_s)
        if job_s <= age_s:
            return reads, age_s - job_s

        low_s = age_s


def taught(median_s: float, jobs: int = 200, sigma: float = 0.05, reads: float = 4.0) -> Looking:
    """Return what has followed jobs of about one duration."""
    rng, looking = Random(7), Looking(BACKOFF, reads=reads)
    for n in range(jobs):
        follow(looking, median_s * exp(rng.gauss(0, sigma)), rng, now=n * 10.0)

    return looking


@cache
def well_taught() -> Looking:
    """Return one that knows jobs of a minute, for those who only ask it."""
    return taught(60.0)


positive = st.floats(min_value=0.01, max_value=100.0)


@given(st.lists(st.tuples(positive, positive), min_size=2, max_size=12), positive)
def test_no_schedule_costs_less(steps: list[tuple[float, float]], price_s: float) -> None:
    """The hull finds the same least cost as trying every next look from every age."""
    curve = curve_of(steps)
    ages, running = curve.ages_s, curve.running
    spans = zip(pairwise(ages), pairwise(running), strict=True)
    area = list(accumulate(((b - a) * (p + q) / 2 for (a, b), (p, q) in spans), initial=0.0))
    last = len(ages) - 1
    costs = [0.0] * last + [running[last] * (2 * price_s + ages[last] / 2)]
    for n in range(last - 1, -1, -1):
        costs[n] = price_s * running[n] + min(
            running[n] * (ages[k] - ages[n]) - (area[k] - area[n]) + costs[k]
            for k in range(n + 1, last + 1)
        )

    plan = plan_at(curve, price_s)
    assert plan.lag_s + price_s * plan.reads == pytest.approx(costs[0], rel=1e-6)


def test_a_memoryless_service_is_read_evenly() -> None:
    """Where nothing can be learned from the age, the plan is the fixed interval."""
    curve = Curve([n / 2 for n in range(1_000)], [exp(-n / 100) for n in range(1_000)])
    plan = plan_for(curve, reads=4.0)
    ages = [0.0]
    while ages[-1] < 150:
        ages.append(plan.looks_after(ages[-1])[0])

    gaps = [high - low for low, high in pairwise(ages)]
    assert plan.reads == pytest.approx(4.0, rel=0.05)
    assert max(gaps) - min(gaps) < 1.0


@pytest.mark.parametrize("reads", [2.0, 4.0, 8.0])
def test_the_price_meets_the_number_of_reads(reads: float) -> None:
    """More reads are bought at a lower price, and shorten the delay."""
    curve = curve_of([(1.0, exp(-(((n - 50) / 10) ** 2))) for n in range(120)])
    plan, more = plan_for(curve, reads), plan_for(curve, reads * 1.5)
    assert plan.reads == pytest.approx(reads, rel=0.06)
    assert more.price_s < plan.price_s
    assert more.lag_s < plan.lag_s


def test_without_knowledge_the_backoff_decides() -> None:
    """Before enough ends are seen, the looks are those of the backoff."""
    looking = Looking(BACKOFF)
    for n in range(ENDS_MIN - 1):
        looking.saw(Look(0.0, 50.0, ended=True), now=float(n))
        looking.saw(Look(0.0, 40.0, ended=False), now=float(n))

    assert looking.plan is None
    assert looking.stay_s is None
    assert looking.chance(10.0, 20.0) == 1.0
    expected = 30.0 + BACKOFF.delay_s(3, Random(5))
    assert looking.next_age_s(30.0, 3, Random(5).random()) == expected


def test_a_known_service_is_seen_soon_with_few_reads() -> None:
    """Of jobs of 60 s ± 5 %, the end is seen within 2 s at four reads; the backoff takes 16 s."""
    looking, rng = taught(60.0), Random(8)
    seen = [follow(looking, 60 * exp(rng.gauss(0, 0.05)), rng, 1e4 + n) for n in range(200)]
    assert sum(reads for reads, _ in seen) / 200 == pytest.approx(4.0, rel=0.1)
    assert sum(delay for _, delay in seen) / 200 < 2.0


@pytest.mark.parametrize("after_s", [15.0, 240.0])
def test_a_service_that_changed_is_found_out(after_s: float) -> None:
    """Four times as fast or as slow: 150 jobs later its ends are seen soon again."""
    looking, rng = taught(60.0), Random(9)
    seen = [follow(looking, after_s * exp(rng.gauss(0, 0.05)), rng, 1e4 + n) for n in range(150)]
    assert sum(delay for _, delay in seen[-30:]) / 30 < 0.1 * after_s


def test_some_jobs_are_looked_at_early() -> None:
    """About one in 16 first looks comes before the plan says, whatever was learned."""
    looking, rng = well_taught(), Random(10)
    firsts = [looking.next_age_s(0.0, 0, rng.random()) for _ in range(2_000)]
    usual = sorted(firsts)[1_000]
    assert 80 < sum(age < 0.92 * usual for age in firsts) < 170


@given(
    st.floats(min_value=0.0, max_value=1e6),
    st.integers(0, 2_000),
    st.floats(min_value=0.0, max_value=1.0, exclude_max=True),
)
def test_no_pause_is_without_a_bound(low_s: float, tries: int, luck: float) -> None:
    """A look comes after the last one, and never later than the cap or twice the age."""
    looking = well_taught()
    pause_s = looking.next_age_s(low_s, tries, luck) - low_s
    assert 0 < pause_s <= 3_600
    assert pause_s <= max(90.0, 1.1 * low_s)


def test_a_job_that_never_ends_is_not_hammered() -> None:
    """Soon after all that is known, looks are no denser than the backoff makes them at its cap."""
    looking, rng, ages = well_taught(), Random(11), [0.0]
    while ages[-1] < 20_000:
        ages.append(looking.next_age_s(ages[-1], len(ages) - 1, rng.random()))

    assert sum(age < 120 for age in ages) < 40
    assert min(high - low for low, high in pairwise(ages) if low > 1_800) >= 30.0


def test_the_cap_holds_for_what_was_learned() -> None:
    """A pause longer than the cap is never made, however long the jobs are known to take."""
    teacher = taught(600.0)
    looking = Looking(BACKOFF, cap_s=100.0, durations=teacher.durations)
    assert looking.plan is not None
    assert looking.next_age_s(0.0, 0, 0.9) <= 100.0


def test_earlier_runs_are_the_start() -> None:
    """What an earlier run saw makes a plan before the first job."""
    kept = json.loads(json.dumps(well_taught().durations.kept()))
    looking = Looking(BACKOFF, reads=4.0, durations=Durations.from_kept(kept))
    assert looking.stay_s == pytest.approx(60.0, rel=0.1)
    assert 45 < sorted(looking.next_age_s(0.0, 0, n / 99) for n in range(99))[50] < 65


def test_plans_are_not_made_too_often() -> None:
    """Many ends within a second make one plan."""
    looking = Looking(BACKOFF)
    plans = [looking.saw(Look(9.0, 10.0 + n / 100, ended=True), now=5.0) for n in range(100)]
    assert sum(plans) == 1
    assert looking.saw(Look(9.0, 10.0, ended=True), now=6.5)


def test_the_aim_follows_the_budget() -> None:
    """Fewer reads a job make a plan of fewer reads; a trifle makes none."""
    looking = taught(60.0, reads=6.0)
    assert looking.plan is not None
    before = looking.plan.reads
    assert not looking.aim(6.2)
    assert looking.aim(2.0)
    assert looking.plan.reads < before / 2
    looking.aim(0.0)
    assert looking.plan.reads >= 1.0
    assert looking.aim(1e9)
    assert looking.plan.reads < READS_MAX * 1.1
    assert READS_MIN > 1


def test_reads_are_shared_among_the_jobs_in_flight() -> None:
    """Little's law: 5 reads a second, 100 jobs of 60 s each: 3 a job, less a tenth."""
    assert affordable(5.0, 100, 60.0) == pytest.approx(2.7)
    assert affordable(5.0, 0, 60.0) == affordable(5.0, 1, 60.0)


def test_likelier_jobs_are_read_first() -> None:
    """Near the known duration a job is more likely to have ended than long before it."""
    looking = well_taught()
    assert looking.chance(0.0, 30.0) < 0.1 < 0.9 < looking.chance(0.0, 80.0)


def test_pioneers_are_few_and_only_while_nothing_is_known() -> None:
    """Of the first jobs one in eight is looked at densely, eight at most; with a plan none is."""
    looking = Looking(BACKOFF)
    enlisted = [looking.enlist() for _ in range(100)]

    assert [n for n, is_pioneer in enumerate(enlisted) if is_pioneer] == list(range(0, 64, 8))
    assert not any(taught(50.0).enlist() for _ in range(8))


def test_pioneers_find_the_way() -> None:
    """A pioneer's next look is near; others are not read at ages that pioneers were pending at."""
    looking = Looking(BACKOFF)
    for age in (10.0, 20.0, 40.0):
        looking.saw(Look(0.0, age, ended=False), 0.0)

    assert 44.0 <= looking.next_age_s(40.0, 5, 0.5, is_pioneer=True) <= 52.0
    assert looking.next_age_s(0.0, 0, 0.0) == 10.0  # the third oldest is believed
    assert looking.next_age_s(10.0, 1, 0.0) > 10.0
    looking.saw(Look(0.0, 3.0, ended=True), 0.0)
    assert looking.next_age_s(0.0, 0, 0.0) < 10.0  # some end sooner: nobody waits any more
