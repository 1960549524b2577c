"""Windows kept exactly, whatever is late, changes or stands still."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.pacing.rates import Rate, Window, parse_rate
from batcher.core.pacing.windows import EXACT_MAX, Trail, guarded


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("5/m,100/d", [(5, 60.3)]),
        ("0.1/s", [(1, 10.05)]),
        ("2.5/s", [(25, 10.05)]),
        ("2/s,60/m", [(2, 1.005), (60, 60.3)]),
        ("100000/s", []),
        ("200/d", []),
    ],
)
def test_small_windows_are_kept_one_by_one(text: str, windows: list[tuple[int, float]]) -> None:
    """Whole counts only, a fraction over more time; days and large counts are others' affair."""
    assert [(count, round(held, 6)) for count, held in guarded(parse_rate(text))] == windows


def test_no_rate_has_no_windows() -> None:
    """Without a rate nothing is kept."""
    assert guarded(None) == ()
    assert Trail().wait_s((), 0.0, 1_000) == 0


rates = st.lists(
    st.builds(Window, st.integers(1, 40), st.sampled_from([1.0, 7.0, 60.0])), min_size=1, max_size=2
)


@given(
    changes=st.lists(rates, min_size=1, max_size=4),
    steps=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5), st.integers(0, 3)), max_size=120),
)
def test_no_window_is_ever_exceeded(
    changes: list[list[Window]], steps: list[tuple[float, int, int]]
) -> None:
    """Pauses of any length, batches, and a rate that changes to and fro: each window holds."""
    trail, now, starts = Trail(), 1_000.0, list[tuple[float, int]]()
    for pause, amount, which in steps:
        now += pause
        rate = Rate(tuple(changes[which % len(changes)]))
        amount = min(amount, *(int(window.count) for window in rate.windows))
        now += max(trail.wait_s(guarded(rate), now, amount), 0.0)
        trail.note(now, amount)
        starts += [(now, which % len(changes))] * amount
        assert trail.wait_s(guarded(rate), now + 61.0, amount) <= 0, "it never waits in vain"
        times = [at for at, _ in starts]
        for window in rate.windows:  # the rate that holds now: what was started before it counts
            recent = len(times) - bisect_left(times, now - window.period_s)
            assert recent <= window.count


def test_memory_is_bounded() -> None:
    """A night of starts takes no more room than a few hundred of them."""
    trail = Trail()
    for second in range(5_000):
        trail.note(float(second), 3)

    assert len(trail._starts) == EXACT_MAX
