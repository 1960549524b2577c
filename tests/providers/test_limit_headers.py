"""Rate headers: what they tell is bounded and sane, and what they do not tell is not guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.exchange import Response
from batcher.core.pacing.rates import WindowSeen
from batcher.providers.limit_headers import windows

NOW = 1_790_000_000.0
PREFIXES = ("x-ratelimit-", "x-ratelimit-daily-", "ratelimit-")
NAMES = [prefix + word for prefix in PREFIXES for word in ("limit", "remaining", "reset")]
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *(*NAMES, "ratelimit", "ratelimit-policy", "x-ratelimit-policy", "x-ratelimit-type"),
            *("x-ratelimit-source", "retry-after"),
        ]
    ),
    st.one_of(
        st.text(max_size=40),
        st.sampled_from(["0", "5", "60", "1790000030", "1789999990", "-1", "9" * 30, "minute"]),
        st.sampled_from(["daily", "5;w=60, 100;w=86400", '"a";q=5;w=60', '"a";r=1;t=9', "5;w=0"]),
        st.sampled_from(["limit=5, remaining=0, reset=9", "10, 10;w=1", "2026-09-21T14:13:50Z"]),
    ),
    max_size=8,
)


def seen(
    headers: dict[str, str], status: int = 200, unnamed_s: float | None = 60.0
) -> tuple[WindowSeen, ...]:
    """Return the windows that headers tell of."""
    return windows(Response(status, b"", headers, received_at=NOW), unnamed_s)


@given(
    headers=HEADERS,
    status=st.sampled_from([200, 422, 429, 503]),
    unnamed_s=st.sampled_from([None, 60.0]),
)
def test_any_headers_are_read(
    headers: dict[str, str], status: int, unnamed_s: float | None
) -> None:
    """Whatever the headers are, each window is told once, is finite, and opens in its own time."""
    found = seen(headers, status, unnamed_s)
    assert len({window.period_s for window in found}) == len(found)
    assert list(found) == sorted(found, key=lambda window: window.period_s)
    for window in found:
        assert 0 < window.period_s < 1e9
        assert window.count is None or window.count > 0
        assert window.left is None or window.left >= 0
        assert (window.count, window.left) != (None, None)
        if window.opens_at is not None:
            assert NOW < window.opens_at <= NOW + window.period_s


@given(headers=HEADERS)
def test_a_count_needs_a_length(headers: dict[str, str]) -> None:
    """Where neither the API nor a header says how long a window is, no count is told of it."""
    told = {name: text for name, text in headers.items() if "policy" not in name}
    told = {name: text for name, text in told.items() if "daily" not in name and "w=" not in text}
    assert all(window.count is None for window in seen(told, unnamed_s=None))


def test_a_skewed_clock_costs_one_window() -> None:
    """A minute's window that resets in an hour is a wrong clock: it costs a minute at the most."""
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 3_660)}
    assert seen(headers) == (WindowSeen(60.0, None, 0, NOW + 60),)


@pytest.mark.parametrize("reset", ["1789999990", "soon", "-5", "", "1790000000000", "9" * 40])
def test_a_reset_that_is_none_is_left_out(reset: str) -> None:
    """The past, milliseconds and texts are no reset; what else was told still counts."""
    headers = {"x-ratelimit-limit": "5", "x-ratelimit-remaining": "1", "x-ratelimit-reset": reset}
    assert seen(headers) == (WindowSeen(60.0, 5, 1, None),)


def test_seconds_to_go_are_read_too() -> None:
    """Other APIs give a wait under the same name; it cannot be an epoch second."""
    headers = {"x-ratelimit-remaining": "1", "x-ratelimit-reset": "20"}
    assert seen(headers) == (WindowSeen(60.0, None, 1, NOW + 20),)


def test_the_lowest_of_several_counts() -> None:
    """A policy and a header that differ: headers can only lower."""
    headers = {"x-ratelimit-limit": "300", "x-ratelimit-policy": "45;w=60"}
    assert seen(headers) == (WindowSeen(60.0, 45, None, None),)


def test_a_daily_stop_is_only_told_of_a_429() -> None:
    """The type means the window that was hit, and on a good answer none was."""
    headers = {"x-ratelimit-type": "daily", "x-ratelimit-limit": "5"}
    assert seen(headers) == (WindowSeen(60.0, 5),)
    assert [window.left for window in seen(headers, 429)] == [None, 0]


def test_a_huge_policy_is_bounded() -> None:
    """A header of megabytes costs no time."""
    text = ", ".join(f"{n};w={n}" for n in range(1, 300_000))
    assert 0 < len(seen({"x-ratelimit-policy": text})) <= 20
