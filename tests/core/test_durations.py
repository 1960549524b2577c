"""Durations: what reads say is counted for what it is, and forgotten when the service changed."""

from __future__ import annotations

import json
from itertools import pairwise
from math import exp, inf, log, nan
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.core.polling.durations import LOOKS_MAX, Durations, Look

ages = st.floats(min_value=0.0, max_value=1e7)


def follow(durations: Durations, job_s: float, every_s: float, until_s: float = inf) -> None:
    """Look at a job at even intervals, until it has ended or is no longer looked at."""
    low_s = 0.0
    while low_s < until_s:
        high_s = low_s + every_s
        durations.add(Look(low_s, high_s, ended=job_s <= high_s))
        if job_s <= high_s:
            return

        low_s = high_s


def test_reads_far_apart_do_not_bend_the_estimate() -> None:
    """Ends known only to lie between two looks give the true shares, not those of the looks."""
    rng, durations = Random(1), Durations()
    for _ in range(400):
        follow(durations, rng.expovariate(1 / 50), every_s=rng.uniform(20, 60))

    curve = durations.curve()
    for age in (20.0, 50.0, 100.0):
        assert curve.running_at(age) == pytest.approx(exp(-age / 50), abs=0.06)


def test_jobs_that_still_run_are_counted() -> None:
    """Jobs seen pending and never seen to end keep their share: they are not taken for short."""
    rng, durations = Random(2), Durations()
    for _ in range(150):
        follow(durations, rng.choice((10.0, 1e9)), every_s=4.0, until_s=60.0)

    curve = durations.curve()
    assert curve.running_at(40.0) == pytest.approx(0.5, abs=0.1)
    assert curve.age_s(0.4) == pytest.approx(10.0, abs=2.5)


def test_two_kinds_of_jobs_stay_two() -> None:
    """Between two peaks, where no job ends, the curve is level."""
    rng, durations = Random(3), Durations()
    for _ in range(300):
        follow(durations, rng.choice((15.0, 150.0)) * rng.uniform(0.9, 1.1), rng.uniform(4, 6))

    curve = durations.curve()
    assert curve.running_at(30) == pytest.approx(curve.running_at(120), abs=0.02)


@pytest.mark.parametrize("after_s", [20.0, 120.0])
def test_a_service_that_changed_is_followed(after_s: float) -> None:
    """120 jobs after a step, faster or slower, the estimate is the new service's."""
    rng, durations = Random(4), Durations()
    for n in range(620):
        job_s = (60.0 if n < 500 else after_s) * exp(rng.gauss(0, 0.1))
        follow(durations, job_s, every_s=rng.uniform(5, 10))
        if n > 10 and n % 20 == 0:
            median_s = durations.curve().age_s(0.5)

    assert median_s == pytest.approx(after_s, rel=0.15)


def test_the_same_service_is_remembered_for_long() -> None:
    """Without a change the patient estimate stays: it is smoother than the last 50 jobs are."""
    rng, durations = Random(5), Durations()
    medians = []
    for n in range(1_200):
        follow(durations, 60 * exp(rng.gauss(0, 0.8)), every_s=20.0)
        if n > 600 and n % 20 == 0:
            medians.append(log(durations.curve().age_s(0.5)))

    assert max(medians) - min(medians) < 0.25  # the last 50 jobs alone differ by 0.6


@settings(max_examples=25)
@given(st.lists(st.tuples(ages, ages, st.booleans()), max_size=60))
def test_any_reads_give_a_curve(reads: list[tuple[float, float, bool]]) -> None:
    """Whatever was read, the ages rise from 0 and the share that runs falls from 1, above 0."""
    durations = Durations(Look(*read) for read in reads)
    durations.add(Look(1.0, 2.0, ended=True))
    for _ in range(2):
        curve = durations.curve()
        assert curve.ages_s[0] == 0
        assert curve.running[0] == 1
        assert all(low < high for low, high in pairwise(curve.ages_s))
        assert all(more >= fewer > 0 for more, fewer in pairwise(curve.running))
        assert curve.mean_s() > 0
        durations.add(Look(3.0, 4.0, ended=True))


@pytest.mark.parametrize(
    ("low_s", "high_s"), [(5.0, 5.0), (6.0, 5.0), (-1.0, 5.0), (nan, 5.0), (0.0, nan), (0.0, inf)]
)
def test_a_clock_that_jumped_teaches_nothing(low_s: float, high_s: float) -> None:
    """A read that cannot have been is dropped."""
    durations = Durations()
    durations.add(Look(low_s, high_s, ended=True))
    assert durations.ends == 0
    assert durations.kept()["looks"] == []


def test_pending_reads_alone_give_a_curve() -> None:
    """A flood of pending reads that pushed every end out of memory raises nothing."""
    durations = Durations(Look(n, n + 1.0, ended=False) for n in range(50))
    assert durations.curve().running_at(40) > 0.9


def test_memory_is_bounded() -> None:
    """However many reads there are, only the latest are kept."""
    durations = Durations(Look(n, n + 1.0, ended=False) for n in range(LOOKS_MAX + 500))
    kept = durations.kept(count_max=LOOKS_MAX * 2)["looks"]
    assert len(kept) == LOOKS_MAX
    assert kept[-1] == [LOOKS_MAX + 499, LOOKS_MAX + 500, 0]


def test_what_was_learned_survives_as_json() -> None:
    """The next run begins where this one ended, also between the looks of now."""
    rng, durations = Random(6), Durations()
    for n in range(400):
        every_s = rng.uniform(5, 10) if n < 200 else 70.0
        follow(durations, 60 * exp(rng.gauss(0, 0.05)), every_s)
        if n % 20 == 19:
            curve = durations.curve()

    again = Durations.from_kept(json.loads(json.dumps(durations.kept(count_max=200))))
    assert again.curve().age_s(0.1) == pytest.approx(curve.age_s(0.1), rel=0.1)
    assert 190 < again.ends <= 200


LOOK, CURVE = [1, 2, 1], [[0, 1], [5, 0.5]]


@pytest.mark.parametrize(
    "kept",
    [
        *(None, 7, "x", [], {}, {"looks": 7}, {"looks": [7, [1], [1, 2]]}),
        *({"looks": [["1", 2, 1]]}, {"looks": [[True, 2, 1]]}, {"looks": [[1, None, 1]]}),
        *({"looks": [], "curve": CURVE}, {"looks": [[2, 1, 1]], "curve": CURVE}),
    ],
)
def test_a_damaged_memory_is_no_memory(kept: object) -> None:
    """What is no read is left out, nothing is raised, and a curve without reads is not believed."""
    durations = Durations.from_kept(kept)
    assert durations.kept() == {"looks": [], "curve": []}


@pytest.mark.parametrize(
    "curve", [7, [], [[0, 1]], [[1, 1], [2, 0]], [[0, 1], [0, 0.5]], [[0, 1], [5, 0.5], [6, 0.6]]]
)
def test_a_damaged_curve_is_left_out(curve: object) -> None:
    """The reads beside it are kept."""
    durations = Durations.from_kept({"looks": [LOOK], "curve": curve})
    assert durations.kept() == {"looks": [[1, 2, 1]], "curve": []}
