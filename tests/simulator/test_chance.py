"""Chance that can be repeated, and the times that are drawn with it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.simulator import Spread
from batcher.simulator.chance import Chance


@given(st.integers(), st.text(), st.integers(0, 10**6))
def test_a_draw_is_a_function_of_what_it_is_for(seed: int, key: str, ordinal: int) -> None:
    """Same seed, purpose, key and ordinal: same number, in [0, 1)."""
    draw = Chance(seed).draw("drop", key, ordinal)
    assert draw == Chance(seed).draw("drop", key, ordinal)
    assert 0.0 <= draw < 1.0


def test_draws_differ_by_seed_purpose_key_and_ordinal() -> None:
    """Nothing that a draw is for is left out of it."""
    chance = Chance(1)
    draws = {
        chance.draw("drop", "a", 0),
        chance.draw("drop", "a", 1),
        chance.draw("drop", "b", 0),
        chance.draw("hang", "a", 0),
        Chance(2).draw("drop", "a", 0),
    }
    assert len(draws) == 5


def test_draws_are_evenly_spread() -> None:
    """A share of 0.05 strikes one in twenty."""
    chance = Chance(7)
    struck = sum(chance.draw("drop", f"https://example.com/{n}.jpg") < 0.05 for n in range(20_000))
    assert 900 < struck < 1100


def test_ids_have_the_shape_of_a_uuid_and_never_meet() -> None:
    """36 characters, five groups, another one for every row and submit."""
    chance = Chance(0)
    ids = {chance.uuid("job", str(key), ordinal) for key in range(1000) for ordinal in (0, 1)}
    assert len(ids) == 2000
    assert all([len(part) for part in one.split("-")] == [8, 4, 4, 4, 12] for one in ids)


@pytest.mark.parametrize(
    ("text", "median"),
    [
        ("2.5", 2.5),
        ("constant:2.5", 2.5),
        ("uniform:1:3", 2.0),
        ("exponential:2", 2 * math.log(2)),
        ("lognormal:4:0.5", 4.0),
        ("bimodal:1:30:0.1", 1.0),
        ("bimodal:1:30:0.9", 30.0),
    ],
)
def test_a_spread_has_its_median_and_reads_back(text: str, median: float) -> None:
    """Every law as it is written, and `str` writes it again."""
    spread = Spread.parse(text)
    assert spread.at(0.5) == pytest.approx(median)
    assert Spread.parse(str(spread)) == spread


@given(st.sampled_from(["uniform:1:3", "exponential:2", "lognormal:4:2", "bimodal:1:30:0.1"]))
def test_a_spread_grows_with_its_draw_and_has_no_infinite_end(text: str) -> None:
    """Quantiles: 0 and (almost) 1 give finite times, and none below 0."""
    spread = Spread.parse(text)
    times = [spread.at(draw) for draw in (0.0, 0.25, 0.5, 0.75, 1.0 - 2**-53)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert math.isfinite(times[-1])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "-1",
        "nan",
        "inf",
        "uniform:1",
        "lognormal:4",
        "bimodal:1:2:1.5",
        "gauss:1:2",
        "1:2",
    ],
)
def test_a_spread_that_is_none_is_refused(text: str) -> None:
    """The message says what is possible."""
    with pytest.raises(ValueError, match=r"lognormal:median:sigma|share of slow"):
        Spread.parse(text)
