"""Whether a 429 is let pass: where holding spares no refusals, and nowhere else."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.pacing.strays import HELPS, LONG_S, LOOK, RARE, START, Strays

TOLD_S = 1.0


def decide(strays: Strays, refusals: int, held: int, passed: int) -> list[bool]:
    """Return what is decided if so many are taken after each hold, and after each pass."""
    decisions: list[bool] = []
    strays.run = START
    for _ in range(refusals):
        decisions.append(strays.passes(TOLD_S))
        strays.run = passed if decisions[-1] else held

    return decisions


@pytest.mark.parametrize("share", [0.01, 0.02, 0.05])
def test_strays_pass(share: float) -> None:
    """Refusals by chance, of one in twenty at most: hardly any holds the lane."""
    passed = 0
    for seed in range(20):
        rng, strays = Random(seed), Strays()
        strays.run = START
        for _ in range(200):
            passed += strays.passes(TOLD_S)
            while rng.random() >= share:
                strays.run += 1

    assert passed >= 0.9 * 20 * 200


@given(passed=st.integers(0, 200), factor=st.floats(2 * HELPS, 100.0))
def test_where_holding_helps_the_lane_is_held(passed: int, factor: float) -> None:
    """A limit that recovers while nothing is sent: two dozen passes are tried of a thousand."""
    held = int((passed + 1) * factor) + 2 * START
    decisions = decide(Strays(), 1_000, held=held, passed=passed)

    assert sum(decisions) <= 3 * LOOK
    assert sum(decisions[-100:]) <= 2


@given(passed=st.integers(0, int(RARE) - 3))
def test_what_is_frequent_is_no_accident(passed: int) -> None:
    """More than one in ten refused: held, even if that does not help."""
    decisions = decide(Strays(), 1_000, held=passed, passed=passed)

    assert sum(decisions[100:]) <= 6


def test_a_limit_that_is_lifted_is_found_out() -> None:
    """Where holding helped and does not any more, the lane comes to let 429s pass."""
    strays = Strays()
    decide(strays, 50, held=500, passed=0)

    assert all(decide(strays, 2_000, held=50, passed=50)[-500:-100:7])


def test_a_beginning_holds() -> None:
    """Nothing is known of a lane before a few requests were taken in a row."""
    strays = Strays()
    strays.run = START - 1
    assert not strays.passes(TOLD_S)
    strays.run = START
    assert strays.passes(TOLD_S)


def test_who_is_asked_to_wait_for_long_waits() -> None:
    """A minute or more is about a limit, however well it went before."""
    strays = Strays()
    for _ in range(10):
        strays.run = 1_000
        assert not strays.passes(LONG_S)


def test_errors_are_learned_from() -> None:
    """A pass that met a wall costs more than it could gain, and is not repeated at once."""
    strays = Strays()
    tries = 0
    for _ in range(100):
        strays.run = 50
        if strays.passes(TOLD_S):
            tries += 1
            strays.erred(2)

    assert 1 <= tries <= 6
