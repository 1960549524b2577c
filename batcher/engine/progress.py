"""What a run looks like from outside: a snapshot once a second.

Counts come from the journal, which is right after any crash; rates come from the lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf
from typing import Any

import anyio

from batcher.core.rates import Rate
from batcher.core.stats import LaneView, Snapshot
from batcher.engine.context import Context
from batcher.engine.feed import Feed
from batcher.engine.lanes.lane import Lane
from batcher.engine.lanes.opening import STATUS_READS, Lanes
from batcher.engine.money.credits import CREDITS, minutes
from batcher.engine.money.prices import Prices

TICK_S = 1.0
ETA_NEEDS_ROWS = 5


class Progress:
    """Makes snapshots, shows them to observers, and keeps the day's counts durable."""

    def __init__(
        self,
        context: Context,
        lanes: Lanes,
        prices: Prices,
        feed: Feed,
        rows_expected: int | None,
    ) -> None:
        self.observers: list[Callable[[Snapshot], None]] = []
        self._rows_expected = rows_expected
        self._context = context
        self._lanes = lanes
        self._prices = prices
        self._feed = feed
        self._counters: dict[str, int] = {}
        self._started = context.clock.now()
        self._ended_before: int | None = None
        self._pace: dict[str, tuple[float, int, float]] = {}  # lane -> when, started, per second

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await self._refresh()
            shot = self.snapshot()
            self._show(shot)
            await anyio.sleep(TICK_S)

    def _show(self, shot: Snapshot) -> None:
        """Show a snapshot; an observer that fails is not shown another, and costs nothing else."""
        for observer in list(self.observers):
            try:
                observer(shot)
            except Exception as error:
                self.observers.remove(observer)
                self._context.log.error("observer.failed", message=repr(error))

    async def save(self) -> None:
        """Keep the day's status reads for the next process, and the last counters."""
        await self._context.recorder.ask(
            lambda journal: journal.note({STATUS_READS: self._lanes.status_caps.as_fact()})
        )
        await self._refresh()

    async def _refresh(self) -> None:
        self._counters = await self._context.recorder.ask(lambda journal: journal.counters())
        if self._lanes.status_rate is not None and self._lanes.status_rate.day_caps:
            fact = self._lanes.status_caps.as_fact()
            await self._context.recorder.ask(lambda journal: journal.note({STATUS_READS: fact}))

        now = self._context.clock.now()
        for lane, _ in self._shown():
            self._measure(lane.name, now, lane.started)

    def _shown(self) -> Iterator[tuple[Lane[Any], Rate | None]]:
        """Yield each lane with what it is held to; that of prices only if any were asked for."""
        lanes, prices = self._lanes, self._prices
        if prices.lane.started or prices.lane.waiting:
            yield prices.lane, prices.rate

        yield lanes.submit, lanes.submit_rate
        yield lanes.status, lanes.status_rate
        yield lanes.download, None

    def _measure(self, name: str, now: float, started: int) -> None:
        """Follow a lane's rate, smoothed over about five ticks."""
        then, before, per_s = self._pace.get(name, (self._started, 0, 0.0))
        if now > then:
            per_s += 0.3 * ((started - before) / (now - then) - per_s)
            self._pace[name] = (now, started, per_s)

    def snapshot(self) -> Snapshot:
        """Return the run at this instant."""
        context = self._context
        now = context.clock.now()
        shot = Snapshot(
            at=context.clock.wall(),
            elapsed_s=now - self._started,
            counters=self._counters,
            rows_total=self._rows_total(),
            in_flight=context.slots.used,
            in_flight_max=context.slots.limit,
            lanes=tuple(self._view(lane, rate, now) for lane, rate in self._shown()),
            errors=dict(context.errors),
            binding=self._binding(now),
            stop=context.control.stop,
            reading=self._feed.reading,
            notices=tuple((notice.text, notice.urgent) for notice in context.notices.told),
        )
        return _with_eta(shot, self._ended_of_this_process(shot))

    def _rows_total(self) -> int | None:
        """Return the rows of the run: known once the manifest is read, guessed before."""
        known = self._counters.get("rows", 0)
        if not self._feed.reading:
            return known

        return None if self._rows_expected is None else max(self._rows_expected, known)

    def _view(self, lane: Lane[Any], rate: Rate | None, now: float) -> LaneView:
        wait = lane.gate.wait_s(now)
        return LaneView(
            name=lane.name,
            started=lane.started,
            per_s=self._pace.get(lane.name, (0.0, 0, 0.0))[2],
            limit=None if rate is None else str(rate),
            open=lane.open,
            waiting=lane.waiting,
            closed_s=wait if 0 < wait < inf else None,
            closed_why=lane.gate.why if 0 < wait < inf or lane.gate.is_probing else "",
        )

    def _binding(self, now: float) -> str:
        """Say what holds the run back right now."""
        lanes, slots = self._lanes, self._context.slots
        if self._context.recorder.waits_for_room:
            return "the disk: it is full"

        for lane, _ in self._shown():
            wait = lane.gate.wait_s(now)
            if 0 < wait < inf:
                return self._closing(lane, wait)

        if self._context.control.stop is not None:
            return "stopping: waiting for what was submitted"

        if self._prices.lane.waiting > self._prices.lane.open:
            return f"price limit ({self._prices.rate})"

        if not self._feed.reading and lanes.submit.waiting == 0:
            return "the service: waiting for its jobs"

        if lanes.submit.waiting > lanes.submit.open:
            return f"submit limit ({lanes.submit_rate})"

        if slots.used >= slots.limit:
            return "in-flight limit: waiting for the service's jobs"

        return "reading the manifest"

    def _closing(self, lane: Lane[Any], wait_s: float) -> str:
        if lane.gate.why == CREDITS and self._context.settings.wait_for_credits:
            return f"the credits are used up; asks again in {minutes(wait_s)}"

        return f"{lane.name} lane closed ({lane.gate.why})"

    def _ended_of_this_process(self, shot: Snapshot) -> int:
        if self._ended_before is None and self._counters:
            self._ended_before = shot.ended

        return shot.ended - (self._ended_before or 0)


def _with_eta(shot: Snapshot, ended: int) -> Snapshot:
    """Add the time to go at the speed so far, once enough rows have ended to say."""
    if shot.rows_total is None or ended < ETA_NEEDS_ROWS or shot.elapsed_s <= 0:
        return shot

    rest = max(0, shot.rows_total - shot.ended)
    return replace(shot, eta_s=rest / (ended / shot.elapsed_s))
