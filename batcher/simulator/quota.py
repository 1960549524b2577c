"""Rate limits as an API keeps them: a minute and a day, each open from the first request on.

Rule: a window runs its full length from the first request into it, without calendar alignment, as
https://docs.deapi.ai/limits-and-quotas.md describes it; a limit of the `calendar` has days that end
at midnight UTC, as the same page said before. A refused request uses nothing up. Times are epoch
seconds and come in as arguments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

MINUTE_S = 60.0
DAY_S = 86_400.0


@dataclass(slots=True, eq=False)
class Window:
    """A count that starts anew when its time is over."""

    length_s: float
    opened_at: float = -math.inf
    used: int = 0

    def roll(self, now_s: float, *, calendar: bool = False) -> None:
        """Start anew if the window has run its length: now, or when the calendar did."""
        if now_s >= self.opened_at + self.length_s:
            self.opened_at = now_s - now_s % self.length_s if calendar else now_s
            self.used = 0

    @property
    def resets_at(self) -> float:
        """When the window starts anew, in epoch seconds."""
        return self.opened_at + self.length_s


@dataclass(frozen=True, slots=True)
class Limit:
    """Requests a minute and a day; 0 = no such limit."""

    per_minute: int = 0
    per_day: int = 0
    source: str = "tier"  # what the limit belongs to: model | tier | static
    calendar: bool = False  # its days are those of the calendar


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a client stands after one request."""

    limit: Limit
    minute_left: int
    minute_resets_at: float
    day_left: int
    day_resets_at: float
    refused: str = ""  # minute | daily | empty: not refused
    retry_after_s: float = 0.0


@dataclass(slots=True, eq=False)
class Quota:
    """One bucket that requests are counted in."""

    minute: Window = field(default_factory=lambda: Window(MINUTE_S))
    day: Window = field(default_factory=lambda: Window(DAY_S))

    def take(self, limit: Limit, now_s: float) -> Standing:
        """Count a request, or refuse it because a window is full."""
        self.minute.roll(now_s)
        self.day.roll(now_s, calendar=limit.calendar)
        refused, resets_at = self._full(limit)
        if not refused:
            self.minute.used += 1
            self.day.used += 1

        return Standing(
            limit=limit,
            minute_left=max(0, limit.per_minute - self.minute.used),
            minute_resets_at=self.minute.resets_at,
            day_left=max(0, limit.per_day - self.day.used),
            day_resets_at=self.day.resets_at,
            refused=refused,
            retry_after_s=max(0.0, resets_at - now_s),
        )

    def _full(self, limit: Limit) -> tuple[str, float]:
        if limit.per_day and self.day.used >= limit.per_day:
            return "daily", self.day.resets_at

        if limit.per_minute and self.minute.used >= limit.per_minute:
            return "minute", self.minute.resets_at

        return "", 0.0
