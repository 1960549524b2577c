"""Pauses between tries."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from batcher.core.backoff import Backoff, after_retry_after

BACKOFF = Backoff(first_s=2.0, factor=1.5, cap_s=15.0)


@given(st.integers(0, 10_000), st.integers())
def test_every_pause_lies_between_half_and_the_whole(tries: int, seed: int) -> None:
    """A pause is never nothing and never longer than the cap, however many tries there were."""
    whole = min(15.0, 2.0 * 1.5 ** min(tries, 50))

    assert whole / 2 <= BACKOFF.delay_s(tries, Random(seed)) <= whole


def test_there_is_jitter_at_the_cap() -> None:
    """Jobs that all reached the cap do not march in step."""
    rng = Random(1)
    pauses = {round(BACKOFF.delay_s(40, rng), 3) for _ in range(100)}

    assert len(pauses) > 90


@given(st.floats(0, 1e6), st.integers())
def test_retry_after_is_never_undercut(wait_s: float, seed: int) -> None:
    """The jitter on Retry-After is positive only, and a wait for tomorrow is no longer a wait."""
    assert 0 <= after_retry_after(wait_s, Random(seed)) - wait_s <= min(0.1 * wait_s + 1.0, 61.0)
