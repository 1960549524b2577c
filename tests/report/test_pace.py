"""How long submits take: never less than the limit needs, and by which limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.pacing.rates import DayCap, Rate, Window, parse_rate
from batcher.report.pace import pace_of


@pytest.mark.parametrize(
    ("submits", "rate", "told"),
    [
        (12, "1/m", "about 12 min: 12 submits at 1/m"),
        (1, "300/m", "about 1 s: 1 submit at 300/m"),
        (1_200, "300/m", "about 4 min: 1,200 submits at 300/m"),
        (150, "100/d", "2 days: 150 submits at 100/d"),
        (150, "5/m,100/d", "2 days: 150 submits at 100/d"),
        (100, "5/m,100/d", "about 20 min: 100 submits at 5/m"),
        (101, "5/m,100/d", "2 days: 101 submits at 100/d"),
        (3_000, "1/m,2000/d", "about 2 d 2 h: 3,000 submits at 1/m"),  # the cap is never met
        (30, "10/s,60/m", "about 30 s: 30 submits at 60/m"),
        (3, "0.5/d", "5 days: 3 submits at 0.5/d"),
        (2, "2.9/d", None),
        (0, "1/m", None),
    ],
)
def test_the_limit_that_binds(submits: int, rate: str, told: str | None) -> None:
    """The longest of all windows is told; a whole number of submits fits into a day."""
    pace = pace_of(submits, parse_rate(rate))

    assert (None if pace is None else str(pace)) == told


@given(
    st.integers(1, 400),
    st.lists(
        st.builds(
            Window,
            st.integers(1, 50).map(float),
            st.sampled_from([1.0, 60.0, 3_600.0, 86_400.0]),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda window: window.period_s,
    ),
)
def test_no_limit_is_forgotten(submits: int, windows: list[Window]) -> None:
    """Submits that each start as early as every window lets them do not end later than told."""
    rate = Rate(tuple(windows))
    caps = [DayCap(int(cap.count), cap.period_s) for cap in rate.day_caps]
    now = last = 0.0
    for _ in range(submits):
        now = last = max([now, *(now + cap.wait_s(now) for cap in caps)])
        for cap in caps:
            cap.spend(now)

        now += rate.interval_s

    pace = pace_of(submits, rate)
    told = 0.0 if pace is None else pace.seconds
    assert told <= last + rate.interval_s + 1e-6
    assert last <= told + submits * rate.interval_s + 1e-6
