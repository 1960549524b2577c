"""Rates: what is accepted, what it comes down to, and that a day cap never lets one too many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.errors import UsageError
from batcher.core.pacing.rates import DAY_S, DayCap, Rate, Window, lowest, parse_rate


@pytest.mark.parametrize(
    ("text", "windows", "interval_s"),
    [
        ("300/m", [(300, 60)], 0.2),
        ("50/s", [(50, 1)], 0.02),
        ("0.1/s", [(0.1, 1)], 10.0),
        ("5/m,100/d", [(5, 60), (100, DAY_S)], 12.0),
        (" 10 / s , 60 / m ", [(10, 1), (60, 60)], 1.0),
        ("7200/h,1/s", [(7200, 3600), (1, 1)], 1.0),
        ("200/d", [(200, DAY_S)], 0.0),
    ],
)
def test_rate_is_read(text: str, windows: list[tuple[float, float]], interval_s: float) -> None:
    """Windows of up to an hour come down to the widest spacing; a day asks for none."""
    rate = parse_rate(text)
    assert rate.windows == tuple(Window(*window) for window in windows)
    assert rate.interval_s == interval_s
    assert parse_rate(str(rate)) == rate


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "300", "300/", "/m", "300/min", "300/x", "300/M", ".5/s", "1/2/s", "٣/s"),
        *(
            "0/m",
            "0.0/s",
            "-1/s",
            "1e3/s",
            "inf/s",
            "nan/s",
            "300/m,",
            "300/m;5/s",
            "1" * 99 + "/s",
        ),
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    """What is no rate is refused in one line that shows the form and an example."""
    with pytest.raises(UsageError) as caught:
        parse_rate(text)

    assert "300/m" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("5/m", None, "5/m"),
        ("5/m", "300/m", "5/m"),
        ("5/m,100/d", "1/s", "1/s,5/m,100/d"),
        ("5/m,100/d", "300/m,50/d", "5/m,50/d"),
    ],
)
def test_lowest_obeys_both(one: str, other: str | None, both: str) -> None:
    """Two rates together are the lower count of each window, whichever comes first."""
    rates = parse_rate(one), None if other is None else parse_rate(other)
    assert lowest(*rates) == parse_rate(both)
    assert lowest(*reversed(rates)) == parse_rate(both)


def test_no_limit_is_no_limit() -> None:
    """Without any rate there is none."""
    assert lowest(None, None) is None


def test_day_windows_are_caps_of_whole_requests() -> None:
    """A fraction is rounded down, never up; less than one a day is one in several days."""
    assert parse_rate("5/m,2.9/d").day_caps == (Window(2, DAY_S),)
    assert parse_rate("0.5/d").day_caps == (Window(1, 2 * DAY_S),)
    assert Rate((Window(3, 60),)).day_caps == ()


def test_cap_remembers_the_past() -> None:
    """Requests of an earlier process count, and the oldest of them says when the next may go."""
    cap = DayCap(2, past=[50.0, 10.0, 20.0])
    assert cap.used(60.0) == 2
    assert cap.wait_s(60.0) == 20.0 + DAY_S - 60.0
    assert cap.wait_s(20.0 + DAY_S) == 0


def test_clock_that_was_set_back_costs_one_period_at_most() -> None:
    """Requests that seem to lie in the future do not close the lane for longer than a period."""
    cap = DayCap(1, past=[5 * DAY_S])
    assert cap.wait_s(0.0) == DAY_S


@given(
    limit=st.integers(1, 5),
    past=st.lists(st.floats(0, 50), max_size=10),
    tries=st.lists(st.floats(0, 40), max_size=60),
)
def test_cap_is_never_exceeded(limit: int, past: list[float], tries: list[float]) -> None:
    """Who obeys the cap never starts more than the limit in any period, and never waits in vain."""
    cap = DayCap(limit, 100.0, past=sorted(past)[-limit:])
    starts, now = sorted(past)[-limit:], 60.0
    for pause in tries:
        now += pause
        wait = cap.wait_s(now)
        recent = [at for at in starts if at > now - 100.0]
        assert (wait == 0) == (len(recent) < limit)
        if wait == 0:
            cap.spend(now)
            starts.append(now)

    assert all(sum(at <= later < at + 100.0 for later in starts) <= limit for at in starts)
