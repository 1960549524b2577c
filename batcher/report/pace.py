"""How long the submits of a manifest take under a limit, before one of them is sent.

Rule: only the limit is counted, so it cannot go faster. What it cannot know makes it slower: jobs
that take their time, waits that the API asks for, requests that somebody else makes.
"""

from __future__ import annotations

from dataclasses import dataclass

from batcher.core.pacing.rates import DAY_S, HOUR_S, Rate, Window
from batcher.report.text import count_text, duration_text


@dataclass(frozen=True, slots=True)
class Pace:
    """So many submits under the one window that holds them back the most."""

    submits: int
    seconds: float  # of a window of up to an hour: all their turns; of a cap: until the last may go
    window: Window

    @property
    def is_capped(self) -> bool:
        """Whether it is a day's cap, which lets nothing start for hours."""
        return self.window.period_s > HOUR_S

    @property
    def took(self) -> str:
        """How long, in words: `about 12 min`, `2 days`."""
        if self.is_capped:
            return f"{count_text(int(self.seconds // DAY_S) + 1)} days"

        return f"about {duration_text(max(1.0, self.seconds))}"

    def __str__(self) -> str:
        many = "submit" if self.submits == 1 else "submits"
        return f"{self.took}: {count_text(self.submits)} {many} at {self.window}"

    def as_json(self) -> dict[str, object]:
        """Return the value for programs."""
        return {
            "submits": self.submits,
            "seconds": round(self.seconds, 3),
            "limit": str(self.window),
        }


def pace_of(submits: int, rate: Rate) -> Pace | None:
    """Return how long *submits* take at *rate*; None = there are none, or nothing limits them.

    A run starts with a whole day's cap before it: what was submitted yesterday is not known here.
    """
    if not submits:
        return None

    short = (window for window in rate.windows if window.period_s <= HOUR_S)
    long = (window for window in rate.windows if window.period_s > HOUR_S)
    paces = [Pace(submits, submits * rate.interval_s, window) for window in short]
    paces = [pace for pace in paces if pace.window.period_s / pace.window.count == rate.interval_s]
    for window, cap in zip(long, rate.day_caps, strict=True):  # the cap has a whole count
        full = (submits - 1) // int(cap.count)
        if full:
            paces.append(Pace(submits, full * cap.period_s, window))

    return max(paces, key=lambda pace: pace.seconds, default=None)
