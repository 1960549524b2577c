"""Rates: how many requests in how long, as text, as a value and as arithmetic.

    300/m        5/m,100/d        0.1/s

Rule: windows of up to an hour are spread evenly, so all of them together come down to one spacing
between two requests. A longer window (a day) is a cap: it slides, and it is counted in epoch
seconds, so whoever knows the past requests can carry it over a restart. Nothing here waits or reads
a clock.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from batcher.core.errors import UsageError

HOUR_S = 3_600.0
DAY_S = 86_400.0

_UNITS_S = {"s": 1.0, "m": 60.0, "h": HOUR_S, "d": DAY_S}
_UNITS = {period_s: unit for unit, period_s in _UNITS_S.items()}
_WINDOW = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*/\s*([smhd])")
_FORM = "write N/s, N/m, N/h or N/d, several joined by commas, such as 300/m or 5/m,100/d"


@dataclass(frozen=True, slots=True)
class Window:
    """At most `count` requests in any `period_s` seconds. `count` may be a fraction."""

    count: float
    period_s: float

    def __str__(self) -> str:
        unit = _UNITS.get(self.period_s)
        return f"{self.count:g}/{unit}" if unit else f"{self.count:g} in {self.period_s:g} s"


@dataclass(frozen=True, slots=True)
class WindowSeen:
    """What an answer tells of one window of the API's own limit; None = it does not say."""

    period_s: float
    count: int | None = None  # requests that the window allows
    left: int | None = None  # of them, after this one
    opens_at: float | None = None  # epoch seconds: when the window begins anew


@dataclass(frozen=True, slots=True)
class Rate:
    """Several windows at once; a request has to fit into all of them."""

    windows: tuple[Window, ...]

    @property
    def interval_s(self) -> float:
        """The spacing that all windows of up to an hour need together; 0 = they need none."""
        return max(
            (w.period_s / w.count for w in self.windows if w.period_s <= HOUR_S), default=0.0
        )

    @property
    def day_caps(self) -> tuple[Window, ...]:
        """The windows longer than an hour, with whole counts: half a request a day is 1 in two."""
        return tuple(_whole(window) for window in self.windows if window.period_s > HOUR_S)

    def __str__(self) -> str:
        return ",".join(map(str, self.windows))


def parse_rate(text: str) -> Rate:
    """Read a rate as `--rate` writes it; raise `UsageError` for anything else."""
    return Rate(tuple(_window(part.strip(), text) for part in text.split(",")))


def lowest(one: Rate | None, other: Rate | None) -> Rate | None:
    """Return the rate that obeys both; None = no limit."""
    if one is None or other is None:
        return one or other

    counts: dict[float, float] = {}
    for window in (*one.windows, *other.windows):
        counts[window.period_s] = min(window.count, counts.get(window.period_s, window.count))

    return Rate(tuple(Window(count, period_s) for period_s, count in sorted(counts.items())))


class DayCap:
    """At most *limit* requests in any *period_s* seconds, counted over restarts.

    Times are epoch seconds, because the monotonic clock starts anew with every boot. It remembers
    the last *limit* requests: that is all that a sliding window needs.
    """

    def __init__(self, limit: int, period_s: float = DAY_S, past: Iterable[float] = ()) -> None:
        self.limit = limit
        self.period_s = period_s
        self._spent = deque(sorted(past), maxlen=limit)

    def wait_s(self, now: float, kept: int = 0) -> float:
        """Return how long until one more request is allowed; 0 = now. *kept* of them are others'.

        Never longer than the period, so that a wall clock that was set back costs one period at
        the most.
        """
        nth = max(self.limit - max(kept, 0), 1)
        if len(self._spent) < nth:
            return 0.0

        return min(max(self._spent[-nth] + self.period_s - now, 0.0), self.period_s)

    def forget_before(self, at: float) -> None:
        """Do not count what was spent before *at*: the API's own window began then."""
        while self._spent and self._spent[0] < at:
            self._spent.popleft()

    def spend(self, now: float) -> None:
        """Count one request."""
        self._spent.append(now)

    def used(self, now: float) -> int:
        """Return how many requests count against the cap now."""
        return sum(at > now - self.period_s for at in self._spent)


def _window(part: str, text: str) -> Window:
    found = _WINDOW.fullmatch(part)
    if found is None:
        raise UsageError(f"rate {text[:80]!r}: {part[:80]!r} is not a rate; {_FORM}")

    count = float(found[1])
    if count == 0:
        raise UsageError(f"rate {text[:80]!r}: {part[:80]!r} would let nothing start; {_FORM}")

    return Window(count, _UNITS_S[found[2]])


def _whole(window: Window) -> Window:
    if window.count < 1:
        return Window(1, window.period_s / window.count)

    return Window(int(window.count), window.period_s)
