"""How a lane comes back after a closing: not at once, but along a line.

    share of the rate                 share(t) = from + (1 - from) * t / length
    1 |          ________
      |        /                      t counts from the first look after the probe's success.
      |      /                        The length is a third of the time that the lane was closed
    0 |____.|                         for, and 3 s at most: nine tenths are back after 2.7 s.
         probe

Rule: pure arithmetic; a service that has just come back meets a tenth of the load first, and all
clients that were held until the same moment do not meet again as one wall. One refusal in passing
is no storm, and is not paid for like one.
"""

from __future__ import annotations

RAMP_S = 3.0
RAMP_PART = 3.0  # so many times as long as the ramp was the closing
RAMP_FROM = 0.1


class Ramp:
    """The way back of one lane. Until it begins, and after its end, the share is 1."""

    def __init__(self) -> None:
        self._is_due = False
        self._began: float | None = None
        self._length_s = RAMP_S

    def begin(self, closed_s: float) -> None:
        """Let the share start low at the next look, after a closing of so long."""
        self._is_due = closed_s > 0
        self._length_s = min(RAMP_S, closed_s / RAMP_PART)

    def share(self, now: float) -> float:
        """Return which part of its rate, and of its requests open at once, a lane may use."""
        if self._is_due:
            self._is_due, self._began = False, now

        if self._began is None:
            return 1.0

        done = (now - self._began) / self._length_s
        if done >= 1.0:
            self._began = None
            return 1.0

        return RAMP_FROM + (1.0 - RAMP_FROM) * max(done, 0.0)
