"""Finding a limit: it converges from above and below, stays, and is cautious near what refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.pacing.finding import CLIMB_S_MAX, FAST, KEEP, SLOW, SLOW_S, Change, Finder

STEP_S = 5.0


def search(
    finder: Finder, limit: float, seconds: float, begin: float = 0.0
) -> tuple[list[float], list[float]]:
    """Let it use an API that refuses above *limit*; return the levels, and when it was refused."""
    levels, refusals, now = [], [], begin
    while now < begin + seconds:
        now += STEP_S
        if finder.level > limit:
            refusals.append(now)
            finder.refused(now)
            now += 6.0  # closed, and back

        finder.stepped(now, STEP_S, 0.3)
        levels.append(finder.level)

    return levels, refusals


@pytest.mark.parametrize("start", [0.2, 5.0, 500.0])
@pytest.mark.parametrize("limit", [0.5, 4.9, 40.0, 300.0])
def test_it_converges_and_stays(start: float, limit: float) -> None:
    """From far below or above: soon within 15 % of a limit that nobody told, and hardly refused."""
    finder = Finder(start, 1 / 60, float("inf"))
    search(finder, limit, 1_200.0)
    levels, refusals = search(finder, limit, 3_600.0, begin=1_200.0)

    assert min(levels) >= 0.85 * limit
    assert max(levels) <= 1.15 * limit
    assert sum(levels) / len(levels) >= 0.93 * limit
    assert len(refusals) <= 60 / 2.0


def test_it_is_the_more_patient_the_more_often_it_was_refused_there() -> None:
    """Refusals near the same level come further and further apart, up to ten minutes or so."""
    finder = Finder(5.0, 1 / 60, float("inf"))
    _, refusals = search(finder, 10.0, 7_200.0)

    gaps = [b - a for a, b in pairwise(refusals)]
    assert gaps[2] > gaps[1]
    assert min(gaps[3:]) > CLIMB_S_MAX / 2


def test_it_finds_out_that_there_is_more() -> None:
    """A limit that was raised is used after a while: the curve bends up beyond the old level."""
    finder = Finder(5.0, 1 / 60, float("inf"))
    search(finder, 10.0, 600.0)
    levels, _ = search(finder, 40.0, 3_600.0, begin=600.0)

    assert levels[-1] >= 0.85 * 40.0


def test_it_never_leaves_its_bounds() -> None:
    """What is published, or what the user allows, is the ceiling."""
    finder = Finder(30.0, 1.0, 20.0)
    assert finder.level == 20.0
    levels, refusals = search(finder, 100.0, 600.0)
    assert refusals == []
    assert set(levels) == {20.0}
    for second in range(0, 3_600, 20):
        finder.refused(float(1_000 + second))

    assert finder.level == 1.0


def test_a_level_that_is_not_used_does_not_grow() -> None:
    """What was not tried proves nothing."""
    finder = Finder(5.0, 1 / 60, float("inf"))
    for step in range(100):
        assert finder.stepped(STEP_S * step, 0.0, 0.3) is None

    assert finder.level == 5.0


def test_many_refusals_of_one_event_are_one() -> None:
    """A lane full of 429s lowers the level once."""
    finder = Finder(100.0, 1.0, float("inf"))
    changes = [finder.refused(10.0 + late / 10) for late in range(50)]

    assert [change is not None for change in changes] == [True] + [False] * 49
    assert finder.level == KEEP * 100.0


def test_what_was_taken_of_late_is_the_better_guess() -> None:
    """An API that counts minutes refuses late: then the minute says what it allows."""
    finder = Finder(60.0, 1 / 60, float("inf"))
    change = finder.refused(50.0, seen=20.0)

    assert change == Change(KEEP * 20.0, "refused at 60, it took 20")


def test_slow_answers_lower_it_before_anything_is_refused() -> None:
    """A service that queues is left alone; one slow step is chance."""
    finder = Finder(10.0, 1.0, float("inf"))
    for step in range(5):
        finder.stepped(STEP_S * step, 0.0, 0.4)

    slow_s = 0.4 * SLOW + SLOW_S + 0.1
    assert finder.stepped(30.0, STEP_S, slow_s) is not None  # grown, not lowered
    grown = finder.level
    change = finder.stepped(35.0, STEP_S, slow_s)
    assert change is not None
    assert "usual" in change.reason
    assert finder.level < grown


def test_slowness_that_is_not_ours_does_not_stop_it() -> None:
    """Where going slower does not help the new times are the usual ones, and it grows again."""
    finder = Finder(10.0, 0.1, float("inf"))
    for step in range(400):
        finder.stepped(STEP_S * step, STEP_S, 0.4 if step < 5 else 3.0)

    assert finder.level > 10.0


@given(
    start=st.floats(0.01, 1e4),
    events=st.lists(
        st.tuples(st.sampled_from(["refused", "used", "idle"]), st.floats(0.01, 100)), max_size=200
    ),
)
def test_whatever_comes_the_level_is_sane(start: float, events: list[tuple[str, float]]) -> None:
    """It stays within its bounds, never grows by more than a quarter, and tells every change."""
    finder, now = Finder(start, 0.05, 1_000.0), 0.0
    for kind, value in events:
        before, now = finder.level, now + value
        if kind == "refused":
            change = finder.refused(now, value if value > 50 else None)
            assert finder.level <= before
        else:
            change = finder.stepped(now, STEP_S if kind == "used" else 0.0, value / 10)

        assert 0.05 <= finder.level <= 1_000.0
        assert finder.level <= before * FAST * 1.000001
        assert (change is not None) == (finder.level != before)
