"""Money: whole nanos, and amounts that nobody can mean are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.money import JOB_COST_MAX, amount, amount_text, job_cost, nanos


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (0.00136, 1_360_000),
        (0.0, 0),
        (JOB_COST_MAX, 1_000_000_000_000),
        (None, None),
        (-0.01, None),
        (1_000.01, None),
        (1e300, None),
        (float("inf"), None),
        (float("nan"), None),
    ],
)
def test_only_what_a_job_can_cost_is_kept(said: float | None, kept: int | None) -> None:
    """A sum over a run must hold whatever an API says: nonsense is not known."""
    assert job_cost(said) == kept


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (17_900_000, "0.0179"),
        (5_000_000_000, "5"),
        (0, "0"),
        (1, "0.000000001"),
        (-250_000_000, "-0.25"),
    ],
)
def test_amounts_are_written_as_people_write_them(value: int, text: str) -> None:
    """No exponent, no trailing zeros, nothing rounded away."""
    assert amount_text(value) == text


@given(st.integers(0, 10**18))
def test_the_text_of_an_amount_is_the_amount(value: int) -> None:
    """Nothing between a sum and what a person reads of it is lost, up to what a double can hold."""
    if value < 2**53:
        assert nanos(float(amount_text(value))) == value
        assert nanos(amount(value)) == value
