"""Finding a limit that nobody told: a level that grows while it goes well, and remembers.

    nothing was refused yet     x FAST each step                    slow start
    refused at level w          w x KEEP at once                    multiplicative decrease
    after that, t used seconds  w x (1 - (1 - KEEP) x (1 - t/K)^3)  concave up to w, flat around
                                                                    it, then convex beyond
    refused near w again        K is doubled, up to CLIMB_S_MAX     so it stays where it is good
    answers take far longer     level x KEEP_SLOW                   the service queues already

The curve is CUBIC's (S. Ha, I. Rhee, L. Xu, *CUBIC: a new TCP-friendly high-speed TCP variant*, ACM
SIGOPS OSR 42 (2008); RFC 9438) with time counted only while the level is really used: what was not
tried proves nothing. Cutting by a share and growing in small steps is what makes such a search
settle (D.-M. Chiu, R. Jain, *Analysis of the increase and decrease algorithms for congestion
avoidance*, Computer Networks and ISDN Systems 17 (1989)). Latency as a sign of queues before
anything is refused is Vegas' idea (L. Brakmo, S. O'Malley, L. Peterson, *TCP Vegas*, SIGCOMM 1994).

Rule: pure. The level is a rate or a number of requests open at once; it never leaves its bounds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

FAST = 1.25  # growth of one step at the most
KEEP = 0.9  # of the level at which something was refused
KEEP_SLOW = 0.85  # of a level at which answers became slow
CLIMB_S = 60.0  # used seconds back to the level of the last refusal
CLIMB_S_MAX = 600.0
NEAR = 0.2  # refusals that differ by less are about the same limit
DEAF_S = 10.0  # one event is told by many answers
SLOW = 2.0  # times the usual, and
SLOW_S = 0.2  # so much more: then answers are slow
CALM_STEPS = 60  # of the last steps the quickest tells what is usual
HELPLESS = 3  # cuts for slow answers in a row: if that did not help, it is not our doing
WORTH = 0.01  # a smaller change is none


@dataclass(frozen=True, slots=True)
class Change:
    """A new level, and why."""

    level: float
    reason: str


class Finder:
    """Searches one level. `ceiling` is what is allowed at most: infinite where nobody says."""

    def __init__(self, start: float, floor: float, ceiling: float) -> None:
        self.level = min(max(start, floor), ceiling)
        self._floor = floor
        self._ceiling = ceiling
        self._hit: float | None = None  # the level of the last refusal
        self._climb_s = CLIMB_S
        self._used_s = 0.0  # since the last cut
        self._deaf_until = float("-inf")
        self._times = deque[float](maxlen=CALM_STEPS)
        self._slow_steps = 0
        self._slow_cuts = 0  # since answers were last as quick as usual

    def refused(self, now: float, seen: float | None = None) -> Change | None:
        """Note that the API refused; *seen* is the level that it took of late, if that is known."""
        if now < self._deaf_until:
            return None

        hit = min(self.level, self.level if seen is None else max(seen, self._floor))
        return self._cut(now, hit, KEEP, f"refused at {self.level:.4g}, it took {hit:.4g}")

    def stepped(self, now: float, used_s: float, took_s: float | None) -> Change | None:
        """Note a step of *used_s* seconds at the level; 0 = it was not used up.

        *took_s* is the middle time of its answers; None = too few to say.
        """
        if took_s is not None and self._is_slow(took_s):
            return self._slowed(now, took_s)

        if used_s <= 0:
            return None

        self._used_s += used_s
        level = min(self._grown(), self.level * FAST, self._ceiling)
        if level < self.level * (1.0 + WORTH):
            return None

        self.level = level
        return Change(level, "it was used up and nothing was refused")

    def _slowed(self, now: float, took_s: float) -> Change | None:
        reason = f"answers take {took_s:.2g} s, {min(self._times):.2g} s is usual"
        self._slow_cuts += 1
        if self._slow_cuts >= HELPLESS:
            self._slow_cuts = 0
            self._times.clear()
            self._times.append(took_s)

        return self._cut(now, self.level, KEEP_SLOW, reason)

    def _grown(self) -> float:
        if self._hit is None:
            return self.level * FAST

        rest = 1.0 - self._used_s / self._climb_s
        return self._hit * (1.0 - (1.0 - KEEP) * rest**3)

    def _cut(self, now: float, hit: float, keep: float, reason: str) -> Change | None:
        is_near = self._hit is not None and abs(hit - self._hit) <= NEAR * self._hit
        self._climb_s = min(self._climb_s * 2.0, CLIMB_S_MAX) if is_near else CLIMB_S
        self._hit, self._used_s, self._slow_steps = hit, 0.0, 0
        self._deaf_until = now + DEAF_S
        before, self.level = self.level, max(hit * keep, self._floor)
        return None if self.level == before else Change(self.level, reason)

    def _is_slow(self, took_s: float) -> bool:
        """Whether answers were slow in two steps in a row, beside the quickest of late."""
        self._times.append(took_s)
        is_slow = took_s > SLOW * min(self._times) + SLOW_S
        self._slow_steps = self._slow_steps + 1 if is_slow else 0
        self._slow_cuts = self._slow_cuts if is_slow else 0
        return self._slow_steps >= 2
