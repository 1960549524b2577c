"""Measures a run once a second: how fast its lanes go, and what holds it back.

Rule: numbers are measured here and judged in `core/binding.py`. Of another part only its public
numbers are read; nothing is asked of the network or the disk for this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from math import inf

from batcher.core.binding import Flow, Held, Scene, Watch, advice_of, binding_of
from batcher.core.pacing.rates import Rate
from batcher.engine.context import Context
from batcher.engine.deadline import NO_TIME
from batcher.engine.feed import Feed
from batcher.engine.lanes.headroom import HELD
from batcher.engine.lanes.lane import Lane
from batcher.engine.lanes.opening import Lanes
from batcher.engine.money.credits import CREDITS, minutes
from batcher.engine.money.prices import Prices

SMOOTHED = 0.3  # over about five ticks
LASTED_S_MIN = 0.5  # a tick that is shorter says nothing of disk and processor
TICKS_KEPT = 60  # of rows that ended: for the time that is left
CHANCE = 1.28  # standard deviations, beyond which one in ten lies


class Scenes:
    """What a run looks like second by second."""

    def __init__(self, context: Context, lanes: Lanes, prices: Prices, feed: Feed) -> None:
        self.watch = Watch()
        self._context = context
        self._lanes = lanes
        self._prices = prices
        self._feed = feed
        self._started = context.clock.now()
        self._ticked = self._started
        self._cpu_s = context.clock.cpu_s()
        self._pace: dict[str, tuple[float, int, float]] = {}  # name -> when, how many, per second
        self._first_end = self._started  # the last tick before a row ended
        self._ended: deque[tuple[float, int]] = deque(maxlen=TICKS_KEPT)

    def shown(self) -> Iterator[tuple[Lane, Rate | None]]:  # type: ignore[type-arg]  # of anything
        """Yield each lane with what it is held to; that of prices only if any were asked for."""
        lanes, prices = self._lanes, self._prices
        if prices.lane.started or prices.lane.waiting:
            yield prices.lane, prices.rate

        yield lanes.submit, lanes.submit_rate
        yield lanes.status, lanes.status_rate
        yield lanes.download, None

    def tick(self, ended: int, asked_s: float) -> None:
        """Measure; *ended* rows of this process have ended, the journal took *asked_s*."""
        now, cpu_s = self._context.clock.now(), self._context.clock.cpu_s()
        for lane, _ in self.shown():
            self._measure(lane.name, now, lane.started)

        self._measure("ended", now, ended)
        if not ended:
            self._first_end = now

        self._ended.append((now, ended))
        lasted_s = now - self._ticked
        if lasted_s > 0 and (self._context.slots.used or self._feed.reading):
            scene = self._scene(now)
            if lasted_s >= LASTED_S_MIN:
                shares = asked_s / lasted_s, (cpu_s - self._cpu_s) / lasted_s
                scene = replace(scene, disk_share=shares[0], cpu_share=shares[1])

            self.watch.saw(binding_of(scene), now, lasted_s)

        self._ticked, self._cpu_s = now, cpu_s

    def per_s(self, name: str) -> float:
        """Return how many requests of a lane start in a second, lately."""
        return self._pace.get(name, (0.0, 0, 0.0))[2]

    def left_s(self, rest: int, ended: int) -> tuple[float, float, float]:
        """Return how long *rest* rows take: once in ten less than the first, more than the last.

        By the speed so far and that of the last minute, each as uncertain as a count of rows is.
        """
        now, overall = self._ticked, ended / max(self._ticked - self._first_end, 1e-9)
        then, before = self._ended[0] if self._ended else (now, ended)
        lately = (ended - before) / (now - then) if now > then and ended > before else overall
        unsure = min(CHANCE / max(ended, 1) ** 0.5, 0.9)
        slow, fast = min(overall, lately) * (1 - unsure), max(overall, lately) * (1 + unsure)
        return rest / fast, rest / overall, rest / slow

    def held(self) -> tuple[Held, ...]:
        """Return for how long each thing held the run back, the longest first, with advice."""
        settings, provider = self._context.settings, self._context.provider
        can_call = provider.callbacks is not None and settings.webhook_url is None
        published = "published" if provider.limits().submit else "ours"
        source = "found" if settings.rate == "auto" else "given" if settings.rate else published
        return tuple(
            replace(held, advice=advice_of(held.by, source, can_call=can_call))
            for held in self.watch.held()
        )

    def _measure(self, name: str, now: float, count: int) -> None:
        then, before, per_s = self._pace.get(name, (self._started, 0, -1.0))
        if now > then:
            lately = (count - before) / (now - then)
            per_s = lately if per_s < 0 else per_s + SMOOTHED * (lately - per_s)
            self._pace[name] = (now, count, per_s)

    def _scene(self, now: float) -> Scene:
        context, lanes, slots = self._context, self._lanes, self._context.slots
        closed, no_credits = self._closings(now)
        status = self._flow(lanes.status, lanes.status_rate)
        full = "the disk: it is full" if context.recorder.waits_for_room else ""
        low = f"the disk: {context.low_room}" if context.low_room else ""
        return Scene(
            submit=self._flow(lanes.submit, lanes.submit_rate),
            status=replace(status, is_used_up=status.is_used_up or lanes.status_caps.wait_s() > 0),
            download=self._flow(lanes.download, None),
            price=self._flow(self._prices.lane, self._prices.rate),
            in_flight=slots.used,
            in_flight_max=slots.limit,
            ended_per_s=self.per_s("ended"),
            reading=self._feed.reading,
            stopping=self._stopping(now),
            no_room=full or low,
            closed=closed,
            credits=no_credits,
        )

    def _flow(self, lane: Lane, rate: Rate | None) -> Flow:  # type: ignore[type-arg]  # of anything
        spacing_s = 0.0 if rate is None else rate.interval_s
        return Flow(
            per_s=self.per_s(lane.name),
            allowed_per_s=1 / spacing_s if spacing_s else None,
            limit="" if rate is None else str(rate),
            waiting=lane.waiting,
            open=lane.places.open,
            open_max=lane.places.most,
            is_used_up=lane.gate.held_s(HELD, self._context.clock.now()) > 0,
        )

    def _stopping(self, now: float) -> str:
        if self._context.control.stop is not None:
            return "stopping: waiting for what was submitted"

        held_s = self._lanes.submit.gate.held_s(NO_TIME, now)
        return "the time that is left: collecting what was submitted" if held_s > 0 else ""

    def _closings(self, now: float) -> tuple[str, str]:
        """Return which lane is closed and why, and the same for want of money."""
        for lane, _ in self.shown():
            wait_s = lane.gate.wait_s(now)
            if not 0 < wait_s < inf or lane.gate.why in (HELD, NO_TIME):
                continue

            if lane.gate.why == CREDITS and self._context.settings.wait_for_credits:
                return "", f"the credits are used up; asks again in {minutes(wait_s)}"

            return f"{lane.name} lane closed ({lane.gate.why})", ""

        return "", ""
