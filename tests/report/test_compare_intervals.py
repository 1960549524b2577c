"""How sure numbers are: known values, and intervals that hold as often as they say."""

from __future__ import annotations

from math import inf, isinf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.report.compare.intervals import (
    Estimate,
    Interval,
    difference,
    mcnemar,
    mean,
    quantile_ranks,
    ratio,
    share,
)
from batcher.report.compare.sample import Kept, Sample
from batcher.report.compare.times import PRECISION, Times

TRIALS = 1_000
HELD_MIN = 0.93  # of 95 %: three deviations of 1,000 trials below
SHARES = st.tuples(st.integers(0, 400), st.integers(1, 400)).map(lambda n: (min(n), max(n)))


def held(found: Estimate | None, true: float) -> bool:
    """Whether a number lies where it is said to lie; without an interval it is sure."""
    assert found is not None
    interval = found.interval or Interval(found.value, found.value)
    return interval.low <= true <= interval.high


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (1, 100, 0.0018, 0.0545), (10, 10, 0.7225, 1)],
)
def test_wilson(part: int, whole: int, low: float, high: float) -> None:
    """The score interval as tables have it."""
    found = share(part, whole)
    assert found is not None
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("count", "level", "ranks"),
    [
        (5, 0.5, (0, 6)), (6, 0.5, (1, 6)), (10, 0.5, (2, 9)), (100, 0.5, (40, 61)),
        (20, 0.99, (19, 21)),
    ],
)  # fmt: skip
def test_ranks_of_a_quantile(count: int, level: float, ranks: tuple[int, int]) -> None:
    """The order statistics as tables of the sign test have them; too few values bound nothing."""
    assert quantile_ranks(count, level) == ranks


def test_newcombe() -> None:
    """56/70 less 48/80, the example of Newcombe's paper (1998, method 10): 0.0524 to 0.3339."""
    one, other = share(48, 80), share(56, 70)
    assert one is not None
    assert other is not None
    found = difference(one, other).interval
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


@pytest.mark.parametrize(
    ("before", "after", "p_value"),
    [(0, 0, 1.0), (5, 5, 1.0), (1, 9, 0.02148), (0, 6, 0.03125), (3_000, 3_200, 0.011494)],
)
def test_mcnemar(before: int, after: int, p_value: float) -> None:
    """Exact for few, by chi-squared for many; the order of the two runs is no matter."""
    assert mcnemar(before, after) == pytest.approx(p_value, rel=1e-3)
    assert mcnemar(after, before) == mcnemar(before, after)


def test_a_mean_of_few_says_nothing_and_of_equal_ones_all() -> None:
    """Three values: anywhere; ten equal ones: no interval, as nothing varies. 1 to 5: by t."""
    few, same, five = mean(3, 6, 14), mean(10, 20, 40), mean(5, 15, 55)
    assert few is not None
    assert few.interval == Interval(-inf, inf)
    assert same == Estimate(2.0)
    assert five is not None
    assert five.interval is not None
    assert five.interval.high - 3 == pytest.approx(2.776 * (2.5 / 5) ** 0.5, rel=0.01)


@given(SHARES, SHARES)
def test_differences_turn_round(one: tuple[int, int], other: tuple[int, int]) -> None:
    """B less A is A less B with the other sign, and lies within its interval."""
    a, b = share(*one), share(*other)
    assert a is not None
    assert b is not None
    there, back = difference(a, b), difference(b, a)
    assert there.interval is not None
    assert back.interval is not None
    assert there.interval.low <= there.value <= there.interval.high
    assert (there.interval.low, there.interval.high) == pytest.approx(
        (-back.interval.high, -back.interval.low)
    )


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99]))
def test_quantiles_of_bins_are_those_of_the_values(values: list[float], level: float) -> None:
    """Within what is promised of the bins; and the interval holds the number itself."""
    times = Times()
    for value in values:
        times.add(value)

    seen = times.distribution()
    assert seen is not None
    rank = max(1, -int(-level * len(values) // 1))
    exact = sorted(values)[rank - 1]
    found = seen.quantile(level)
    assert found.value == pytest.approx(exact, rel=1.01 * PRECISION)
    assert held(found, found.value)
    curve = seen.curve()
    assert curve[0][1] == 0
    assert curve[-1][1] == 1
    assert curve == sorted(curve)


@pytest.mark.parametrize("count", [40, 3_000])
def test_intervals_of_quantiles_hold(count: int) -> None:
    """Of a lognormal, P50 and P90 lie in their intervals in 95 of 100 samples, and differences."""
    rng = Random(7)
    exact = {0.5: 1.0, 0.9: 1.89807}  # exp(0.5 z)
    trials = TRIALS if count < 100 else 150
    hits = dict.fromkeys(exact, 0)
    noise = 0
    for _ in range(trials):
        found = []
        for _run in range(2):
            times = Times()
            for _ in range(count):
                times.add(rng.lognormvariate(0, 0.5))

            found.append(times.distribution())

        one, other = found
        assert one is not None
        assert other is not None
        for level, true in exact.items():
            hits[level] += held(one.quantile(level), true)

        change = difference(one.quantile(0.5), other.quantile(0.5)).interval
        assert change is not None
        noise += change.holds_zero

    least = HELD_MIN if trials == TRIALS else 0.9
    assert all(number >= least * trials for number in hits.values()), hits
    assert noise >= least * trials


def test_intervals_of_shares_means_and_costs_hold() -> None:
    """The same of a share of 5 %, of a mean of reads, and of the cost of a success."""
    rng = Random(11)
    hits = [0, 0, 0]
    for _ in range(TRIALS):
        wins = [rng.random() < 0.9 for _ in range(120)]
        reads = [1 + int(rng.expovariate(0.7)) for _ in wins]
        costs = [0.05 if rng.random() < 0.5 else 0.15 for _ in wins]
        true_reads = 1 + 1 / (2.718281828459045**0.7 - 1)
        hits[0] += held(share(len(wins) - sum(wins), len(wins)), 0.1)
        hits[1] += held(mean(len(reads), sum(reads), sum(n * n for n in reads)), true_reads)
        pairs = list(zip(costs, wins, strict=True))
        sums = (
            sum(costs),
            float(sum(wins)),
            sum(c * c for c in costs),
            float(sum(wins)),
            sum(c for c, won in pairs if won),
        )
        hits[2] += held(ratio(len(pairs), sums), 0.1 / 0.9)

    assert all(number >= 0.92 * TRIALS for number in hits), hits


def test_a_sample_is_the_same_rows_in_both_runs() -> None:
    """Whatever the order; bounded; and what is shared is a fair part of what there is."""
    ids = [f"row-{n}" for n in range(5_000)]
    one, other = Sample(500), Sample(300)
    for row_id in ids:
        one.offer(row_id, Kept(True, float(row_id[4:])))

    for row_id in [*reversed(ids), "another"]:
        other.offer(row_id, Kept(False, float(row_id[4:]) + 1 if row_id != "another" else None))

    rows, one_of = one.shared(other)
    back, _ = other.shared(one)
    assert one_of in (16, 32)
    assert 0.7 * 5_000 / one_of < len(rows) < 1.3 * 5_000 / one_of
    assert all(
        after.job_s == before.job_s + 1 for before, after in rows if before.job_s is not None
    )
    assert [(b, a) for a, b in back] == rows


def test_too_few_times_have_no_end() -> None:
    """Three times say nothing of the P99, and nobody is told that they do."""
    times = Times()
    for seconds in (1.0, 2.0, 3.0):
        times.add(seconds)

    seen = times.distribution()
    assert seen is not None
    found = seen.quantile(0.99).interval
    assert found is not None
    assert isinf(found.high)
