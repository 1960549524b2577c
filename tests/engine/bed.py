"""One lane with everything that paces it, against a server that counts: no run around it.

A server here is a rule that says, at each arrival, whether the request is one too many. Everything
is on the loop's time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import anyio

from batcher.adapters.pacing import Pacer
from batcher.core.pacing.gate import Gate
from batcher.core.pacing.rates import Rate
from batcher.engine.clock import LoopClock
from batcher.engine.context import Context
from batcher.engine.lanes.eased import Eased
from batcher.engine.lanes.headroom import Headroom
from batcher.engine.lanes.lane import Lane
from batcher.engine.notices import Notices
from tests.support.logs import Events

Server = Callable[[float], float | None]  # at an arrival: None = taken, else how long to wait


def calm(_now: float) -> float | None:
    """Take everything."""
    return None


def in_seconds(inner: Server) -> Server:
    """Let a server tell whole seconds, as Retry-After does."""

    def arrives(now: float) -> float | None:
        wait_s = inner(now)
        return None if wait_s is None else float(max(1, ceil(wait_s)))

    return arrives


def sliding(count: int, period_s: float) -> Server:
    """Return a server that takes at most *count* in any *period_s*, and says when the next fits."""
    taken: deque[float] = deque(maxlen=count)

    def arrives(now: float) -> float | None:
        if len(taken) == count and taken[0] > now - period_s:
            return taken[0] + period_s - now

        taken.append(now)
        return None

    return arrives


def fixed(count: int, period_s: float) -> Server:
    """Return a server whose windows open with the first request and run their full length."""
    window = [float("-inf"), 0.0]

    def arrives(now: float) -> float | None:
        if now >= window[0] + period_s:
            window[:] = [now, 0.0]

        if window[1] >= count:
            return window[0] + period_s - now

        window[1] += 1
        return None

    return arrives


def bucket(per_s: float, at_once: int) -> Server:
    """Return a server with a token bucket, which says a whole second if it is empty."""
    room, at = [float(at_once)], [float("inf")]

    def arrives(now: float) -> float | None:
        room[0] = min(at_once, room[0] + max(0.0, now - at[0]) * per_s)
        at[0] = now
        if room[0] < 1.0:
            return 1.0

        room[0] -= 1.0
        return None

    return arrives


def spiteful(count: int, period_s: float, ban_s: float) -> Server:
    """Return a server that takes *count* in a window, and bans anew whoever asks meanwhile."""
    inner, until = fixed(count, period_s), [float("-inf")]

    def arrives(now: float) -> float | None:
        if now >= until[0] and inner(now) is None:
            return None

        until[0] = now + ban_s
        return ban_s

    return arrives


def stray(share: float, told_s: float, inner: Server, seed: int = 3) -> Server:
    """Return a server that also refuses some at random, whatever its limit says."""
    rng = Random(seed)

    def arrives(now: float) -> float | None:
        return told_s if rng.random() < share else inner(now)

    return arrives


def storm(begin: float, end: float, told_s: float | None, inner: Server) -> Server:
    """Return a server that refuses everything for a while."""

    def arrives(now: float) -> float | None:
        if begin <= now < end:
            return -1.0 if told_s is None else told_s

        return inner(now)

    return arrives


def worst(times: list[float], window_s: float) -> int:
    """Return the largest number of times in any window."""
    return max((bisect_left(times, at + window_s) - n for n, at in enumerate(times)), default=0)


@dataclass
class Bed:
    """A lane at *rate* before *server*. Every item is sent until it is taken."""

    rate: Rate | None
    server: Server
    places: int = 64
    latency_s: float = 0.2
    arrivals: list[float] = field(default_factory=list)
    taken: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    early: list[float] = field(default_factory=list)  # arrivals before their own Retry-After
    log: Events = field(default_factory=Events)

    def __post_init__(self) -> None:
        self.clock, rng = LoopClock(), Random(1)
        self.gate = Gate(rng)
        self.pacer = Pacer(self.rate, is_held=lambda now: self.gate.wait_s(now) > 0)
        self.context = cast(
            "Context",
            SimpleNamespace(clock=self.clock, rng=rng, log=self.log, notices=Notices(self.log)),
        )
        self.lane: Lane[Any] = Lane(
            "submit", places=self.places, pace=Eased(self.pacer, self.gate), gate=self.gate
        )
        self._not_before: dict[object, float] = {}
        self.room = Headroom("submit", self.rate, self.pacer, self.gate, self.context)

    async def serve(self, seconds: float, items: int | None = None) -> None:
        """Let the lane work for so long on as many items as it can, or on so many."""
        for _ in range(self.places if items is None else items):
            self.lane.add(object(), 0.0)

        self._is_endless = items is None
        with anyio.move_on_after(seconds):
            await self.lane.run(self._send)

    async def _send(self, item: object) -> None:
        self.arrivals.append(self.clock.now())
        if self.clock.now() < self._not_before.pop(item, 0.0):
            self.early.append(self.clock.now())

        wait_s = self.server(self.clock.now())
        await anyio.sleep(self.latency_s)
        now = self.clock.now()
        if wait_s is None:
            self.taken.append(self.arrivals[-1] if self.latency_s == 0 else now - self.latency_s)
            self.gate.succeeded(item)
            if self._is_endless:
                self.lane.add(object(), 0.0)
        else:
            self.refused.append(now - self.latency_s)
            self._not_before[item] = now + wait_s
            own_s = self.gate.throttled(now, None if wait_s < 0 else wait_s, item)
            self.lane.add(item, now + own_s)
