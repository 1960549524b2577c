"""What the page's numbers promise: a stated precision, nothing lost, bounded memory."""

from __future__ import annotations

from math import ceil, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.report.page.charts import Axis, Scale, Series, nice_top, places, steps
from batcher.report.page.histogram import PRECISION, Histogram
from batcher.report.page.timeline import COLUMNS_MAX, GAP_S, TimeBins, ticks
from batcher.report.page.words import rate_text, seconds_text, share_text

WEEK_S = 7 * 86_400.0


# --- Durations -----------------------------------------------------------------------------------


def histogram(*times: float | None) -> Histogram:
    """Count some times."""
    counted = Histogram()
    for seconds in times:
        counted.add(seconds)

    return counted


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_as_precise_as_the_page_says(times: list[float], share: float) -> None:
    """It is within the stated error of the exact one, whatever the times."""
    found = histogram(*times).distribution()
    assert found is not None
    exact = sorted(times)[max(1, ceil(share * len(times))) - 1]
    assert found.quantile(share) == pytest.approx(exact, rel=PRECISION)
    assert (found.smallest, found.largest, found.count) == (min(times), max(times), len(times))


def test_what_is_no_time_is_not_counted() -> None:
    """A clock that was set back, or an edited record, does not make a job fast."""
    assert histogram(None, -1.0, nan, 1e12).distribution() is None


def test_a_curve_rises_to_one_in_few_points() -> None:
    """However many bins there are, the curve is short, ascends and ends with everybody."""
    found = histogram(*(1.05**n for n in range(400))).distribution()
    assert found is not None
    points = found.curve(points_max=50)
    assert len(points) <= 52
    assert points == sorted(points)
    assert points[-1] == (found.largest, 1.0)


# --- The time line -------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 1e10), st.integers(1, 9)), max_size=80)
)
def test_nothing_is_lost_in_bounded_bins(events: list[tuple[str, float, int]]) -> None:
    """Whatever times come, bins and columns stay few, ascend, and hold every event."""
    bins = TimeBins(bins_max=16)
    for kind, at, count in events:
        bins.add(kind, at, count)

    columns = bins.columns()
    assert len(bins._bins) <= 16
    assert len(columns) <= COLUMNS_MAX + 16
    assert [c.at for c in columns] == sorted(c.at for c in columns)
    for kind in "ab":
        assert sum(c.counts.get(kind, 0) for c in columns) == bins.totals[kind]


def test_wider_bins_hold_what_was_in_the_narrow_ones() -> None:
    """A run that takes long is told more coarsely, and whole."""
    bins = TimeBins(bins_max=16)
    for n in range(1_000):
        bins.add("ab"[n % 2], float(n))

    assert sum(c.counts["a"] for c in bins.columns()) == 500
    assert sum(c.counts["b"] for c in bins.columns()) == 500


def test_a_week_of_nothing_costs_no_detail() -> None:
    """A run that was resumed a week later is shown as finely as one that was not."""
    bins = TimeBins()
    for start in (1_000.0, 1_000.0 + WEEK_S):
        for n in range(40):
            bins.add("a", start + n / 4)

    columns = bins.columns()
    assert len(columns) == 80
    assert {c.width_s for c in columns} == {0.25}
    assert [round(c.gap_s) for c in columns if c.gap_s] == [round(WEEK_S - 10)]


def test_a_pause_of_a_run_is_shown() -> None:
    """A wait that a run sits out is no gap."""
    bins = TimeBins()
    bins.add("a", 1_000.0)
    bins.add("a", 1_000.0 + GAP_S)
    assert not any(c.gap_s for c in bins.columns())


def test_what_is_open_is_what_began_and_has_not_ended() -> None:
    """The level is carried on, over columns without events too."""
    bins = TimeBins()
    bins.add("in", 0.0, 5)
    bins.add("out", 1.0, 2)
    bins.add("lost", 2.0, 3)
    assert [c.open_max for c in bins.columns("in", ("out", "lost"))] == [5] * 5 + [3] * 4
    assert bins.columns("in", ("out",))[-1].open_max == 3


def test_ticks_stand_at_round_times() -> None:
    """A few of them, in order, within the columns."""
    bins = TimeBins()
    for n in range(100):
        bins.add("a", 1_000_003.0 + n)

    columns = bins.columns()
    found = list(ticks(columns, 6))
    assert 2 <= len(found) <= 6
    assert all(at % 10 == 0 and 0 <= place < len(columns) for place, at in found)
    assert found == sorted(found)


def test_no_tick_stands_between_two_seconds() -> None:
    """Labels tell whole seconds: in a run of two seconds none is told twice, or of another time."""
    bins = TimeBins()
    for n in range(9):
        bins.add("a", 1_000_003.0 + n / 4)

    assert [at for _, at in ticks(bins.columns(), 6)] == [1_000_003.0, 1_000_004.0, 1_000_005.0]


def test_no_time_is_no_event() -> None:
    """What stands in an edited file as a time that is none does nothing."""
    bins = TimeBins()
    bins.add("a", nan)
    assert bins.columns() == []


# --- Charts --------------------------------------------------------------------------------------


def test_steps_are_interrupted_at_a_gap() -> None:
    """What was not measured is not drawn, and an area is closed on both sides of it."""
    bins = TimeBins()
    for at in (0.0, 0.25, WEEK_S):
        bins.add("a", at)

    edges = places(bins.columns())
    series = [Series("x", "x", [1, 2, 1], is_area=True)]
    chart = steps("name", "about", Axis(edges), Scale(2.0, ()), series)
    assert 'd="M0 1000V500H200V0H400V1000ZM800 1000V500H1000V1000Z"' in chart


@given(st.floats(1e-6, 1e9))
def test_a_scale_holds_its_largest_value(value: float) -> None:
    """And is at most two and a half times as high."""
    assert value * 0.999 <= nice_top(value) <= value * 2.5 * 1.001


# --- Words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "0 %"),
        (0, 5, "0 %"),
        (5, 5, "100 %"),
        (1, 1_000_000, "under 0.1 %"),
        (999_999, 1_000_000, "over 99.9 %"),
        (1, 8, "12.5 %"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(part: int, whole: int, text: str) -> None:
    """One bad row of a million is not none."""
    assert share_text(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 ms"), (0.0734, "73 ms"), (1.0, "1 s"), (59.94, "59.9 s"), (7_500.0, "2 h 5 min")],
)
def test_durations_have_the_unit_that_reads_best(seconds: float, text: str) -> None:
    """From milliseconds to days."""
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("per_s", "text"), [(1_250.0, "1,250/s"), (0.5, "30/min"), (0.001, "3.6/h"), (0.0, "0/s")]
)
def test_rates_have_the_unit_that_reads_best(per_s: float, text: str) -> None:
    """A slow lane is not told as a fraction."""
    assert rate_text(per_s) == text
