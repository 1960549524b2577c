"""Rate limits as the simulated APIs keep them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batcher.simulator.quota import DAY_S, MINUTE_S, Limit, Quota

gaps = st.lists(st.floats(0.0, 90.0), min_size=1, max_size=200)


@given(gaps, st.integers(1, 5))
def test_no_window_lets_more_through_than_its_limit(gaps_s: list[float], per_minute: int) -> None:
    """A window runs 60 s from its first request; inside it, at most the limit is let through."""
    quota, now_s = Quota(), 0.0
    opened_at, passed = -MINUTE_S, 0
    for gap_s in gaps_s:
        now_s += gap_s
        if now_s >= opened_at + MINUTE_S:
            opened_at, passed = now_s, 0

        standing = quota.take(Limit(per_minute), now_s)
        assert bool(standing.refused) is (passed >= per_minute)
        passed += not standing.refused
        assert standing.minute_left == per_minute - passed


@given(gaps)
def test_who_waits_as_told_is_let_through(gaps_s: list[float]) -> None:
    """After `retry_after_s` the next request passes, whichever window was full."""
    quota, now_s, limit = Quota(), 0.0, Limit(2, 5)
    for gap_s in gaps_s:
        now_s += gap_s
        standing = quota.take(limit, now_s)
        if standing.refused:
            assert 0 < standing.retry_after_s <= DAY_S
            now_s += standing.retry_after_s + 1e-6
            assert not quota.take(limit, now_s).refused


@given(st.floats(0, 3 * DAY_S), gaps)
def test_the_calendars_days_end_at_midnight(now_s: float, gaps_s: list[float]) -> None:
    """The day's count starts anew at a multiple of a day, never in between."""
    quota, limit = Quota(), Limit(0, 3, calendar=True)
    passed: dict[int, int] = {}
    for gap_s in gaps_s:
        now_s += gap_s * 300
        standing = quota.take(limit, now_s)
        assert standing.day_resets_at == (now_s // DAY_S + 1) * DAY_S
        day = int(now_s // DAY_S)
        assert bool(standing.refused) is (passed.get(day, 0) == 3)
        passed[day] = passed.get(day, 0) + (not standing.refused)


def test_a_refused_request_uses_nothing_up() -> None:
    """Asking too often does not cost the next window, nor the day."""
    quota, limit = Quota(), Limit(1, 2)
    assert [quota.take(limit, now_s).refused for now_s in (0, 1, 2, 60, 61, 120)] == [
        "",
        "minute",
        "minute",
        "",
        "daily",
        "daily",
    ]
