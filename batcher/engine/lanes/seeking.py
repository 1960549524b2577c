"""`auto`: a lane finds its own rate, or how many requests at once help (`core.pacing.finding`).

Rule: what is found can only be lower than what is published, what an answer tells and what the user
allows. Steps are as long as it takes to see something; a step in which the lane was closed, came
back, or had nothing to do says nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from batcher.core.pacing.finding import Change, Finder
from batcher.engine.context import Context
from batcher.engine.lanes.headroom import Headroom
from batcher.engine.lanes.lane import Lane

STEP_S = 5.0
STEP_STARTS = 4.0  # a low rate needs longer to show anything
USED = 0.8  # of what the level allows: then it was the level that held the lane
ANSWERS_MIN = 5  # to say how long answers take
ANSWERS_MAX = 500  # of one step that are looked at
RECENT_S = 60  # over which an API that counts minutes is seen to count
LONG_WAIT_S = 5.0  # a Retry-After from here on is of such an API
DAY_WAIT_S = 120.0  # and from here on it tells of hours and days, and nothing of a rate
RATE_MIN = 1 / 60.0  # a second: slower than that is no pace
CONNECTIONS_MIN = 2.0


@dataclass(slots=True)
class Step:
    """What was seen since *began*."""

    began: float
    started: int  # of the lane, when it began
    took_s: list[float] = field(default_factory=list)

    def middle_s(self) -> float | None:
        """Return the median of the times that answers took; None = too few."""
        if len(self.took_s) < ANSWERS_MIN:
            return None

        return sorted(self.took_s)[len(self.took_s) // 2]


class Taken:
    """How many requests were taken in each of the last seconds."""

    def __init__(self) -> None:
        self._seconds: deque[list[float]] = deque(maxlen=RECENT_S + 1)  # second, count
        self._began: float | None = None

    def note(self, now: float) -> None:
        """Count one."""
        if self._began is None:
            self._began = now

        if not self._seconds or self._seconds[-1][0] != now // 1:
            self._seconds.append([now // 1, 0])

        self._seconds[-1][1] += 1

    def per_s(self, now: float, wait_s: float) -> float:
        """Return what is taken a second by an API whose window opens anew in *wait_s*.

        In the beginning the window is as long as we are at it, and the wait; later a minute is long
        enough for any that is refused so.
        """
        recent = (count for second, count in self._seconds if second > now - RECENT_S)
        for_s = wait_s if self._began is None else now - self._began + wait_s
        return sum(recent) / min(for_s, RECENT_S)


class Seeker:
    """Feeds a finder from one lane. `go` performs a change; `is_used` judges a step."""

    def __init__(
        self,
        lane: Lane[Any],
        finder: Finder,
        context: Context,
        *,
        go: Callable[[Change], None],
        is_used: Callable[[float, int], bool],
        step_s: Callable[[], float] = lambda: STEP_S,
    ) -> None:
        self._lane = lane
        self._finder = finder
        self._context = context
        self._go = go
        self._is_used = is_used
        self._step_s = step_s
        self._step = Step(float("-inf"), 0)
        self._taken = Taken()
        self._refused: set[int] = set()
        lane.watchers.append(self)

    def throttled(self, now: float, wait_s: float | None, item: object, is_news: bool) -> None:
        """Note a 429: of the first one of an event the level is learned."""
        self._refused.add(id(item))
        if not is_news or (wait_s is not None and wait_s > DAY_WAIT_S):
            return

        seen = None
        if wait_s is not None and wait_s >= LONG_WAIT_S:
            seen = self._taken.per_s(now, wait_s)

        self._perform(self._finder.refused(now, seen))

    def ended(self, item: object, took_s: float) -> None:
        """Note that a request ended, and judge the step if it is over."""
        now = self._context.clock.now()
        if id(item) in self._refused:
            self._refused.discard(id(item))
        else:
            self._taken.note(now)

        gate, step = self._lane.gate, self._step
        if gate.is_probing or gate.share(now) < 1 or step.began == float("-inf"):
            self._begin(now)
            return

        if len(step.took_s) < ANSWERS_MAX:
            step.took_s.append(took_s)

        for_s = now - step.began
        if for_s < self._step_s():
            return

        used_s = for_s if self._is_used(for_s, self._lane.started - step.started) else 0.0
        self._perform(self._finder.stepped(now, min(used_s, 2 * self._step_s()), step.middle_s()))
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._step = Step(now, self._lane.started)
        self._lane.is_crowded = False

    def _perform(self, change: Change | None) -> None:
        if change is not None:
            self._go(change)


def seek_rate(
    lane: Lane[Any], room: Headroom, start_per_s: float, ceiling_per_s: float, context: Context
) -> None:
    """Let a lane find its rate."""
    finder = Finder(start_per_s, RATE_MIN, ceiling_per_s)

    def go(change: Change) -> None:
        room.find(change.level, change.reason)

    def is_used(for_s: float, started: int) -> bool:
        return started >= USED * finder.level * for_s

    def step_s() -> float:
        return max(STEP_S, STEP_STARTS / finder.level)

    seeker = Seeker(lane, finder, context, go=go, is_used=is_used, step_s=step_s)
    lane.gate.on_throttle.append(seeker.throttled)
    room.find(finder.level, "auto: where the search begins")


def seek_connections(lane: Lane[Any], start: int, context: Context) -> None:
    """Let a lane find how many of its places help."""
    places, most = lane.places, lane.places.most
    finder = Finder(float(start), min(CONNECTIONS_MIN, most), float(most))
    places.most = int(finder.level)

    def go(change: Change) -> None:
        before, places.most = places.most, int(change.level)
        if places.most != before:
            context.log.info(
                "connections.changed",
                lane=lane.name,
                connections=places.most,
                before=before,
                reason=change.reason,
            )

    def is_used(_for_s: float, _started: int) -> bool:
        return lane.is_crowded

    Seeker(lane, finder, context, go=go, is_used=is_used)
