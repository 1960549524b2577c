"""What a run looks like from outside: a snapshot once a second.

Counts come from the journal, which is right after any crash; rates come from the lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import anyio

from batcher.core.lifecycle import OUTCOMES
from batcher.core.pacing.rates import Rate
from batcher.core.stats import LaneView, Snapshot
from batcher.engine.context import Context
from batcher.engine.feed import Feed
from batcher.engine.lanes.lane import Lane
from batcher.engine.lanes.opening import Lanes
from batcher.engine.money.prices import Prices
from batcher.engine.scene import Scenes

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
        self._feed = feed
        self._counters: dict[str, int] = {}
        self._started = context.clock.now()
        self._ended_before: int | None = None
        self._scenes = Scenes(context, lanes, prices, feed)

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
        """Keep what the next process must know of the day, and the last counters."""
        facts = self._lanes.facts()
        await self._context.recorder.ask(lambda journal: journal.note(facts))
        await self._refresh()

    async def _refresh(self) -> None:
        asked = self._context.clock.now()
        self._counters = await self._context.recorder.ask(lambda journal: journal.counters())
        took_s = self._context.clock.now() - asked
        if facts := self._lanes.facts():
            await self._context.recorder.ask(lambda journal: journal.note(facts))

        self._scenes.tick(self._ended_of_this_process(), took_s)

    def snapshot(self) -> Snapshot:
        """Return the run at this instant."""
        context = self._context
        now, shown = context.clock.now(), self._scenes.watch.shown
        shot = Snapshot(
            at=context.clock.wall(),
            elapsed_s=now - self._started,
            counters=self._counters,
            rows_total=self._rows_total(),
            in_flight=context.slots.used,
            in_flight_max=context.slots.limit,
            lanes=tuple(self._view(lane, rate, now) for lane, rate in self._scenes.shown()),
            errors=dict(context.errors),
            binding="" if shown is None else shown.text,
            held=self._scenes.held(),
            stop=context.control.stop,
            reading=self._feed.reading,
            notices=tuple((notice.text, notice.urgent) for notice in context.notices.told),
        )
        return self._with_eta(shot)

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
            per_s=self._scenes.per_s(lane.name),
            limit=None if rate is None else str(rate),
            open=lane.places.open,
            waiting=lane.waiting,
            closed_s=wait if 0 < wait < inf else None,
            closed_why=lane.gate.why if 0 < wait < inf or lane.gate.is_probing else "",
        )

    def _ended_of_this_process(self) -> int:
        ended = sum(self._counters.get(outcome, 0) for outcome in OUTCOMES)
        if self._ended_before is None and self._counters:
            self._ended_before = ended

        return ended - (self._ended_before or 0)

    def _with_eta(self, shot: Snapshot) -> Snapshot:
        """Add the time to go at the speed so far, once enough rows have ended to say."""
        ended = self._ended_of_this_process()
        rest = 0 if shot.rows_total is None else shot.rows_total - shot.ended
        if rest <= 0 or ended < ETA_NEEDS_ROWS:
            return shot

        low_s, middle_s, high_s = self._scenes.left_s(rest, ended)
        return replace(shot, eta_s=middle_s, eta_low_s=low_s, eta_high_s=high_s)
