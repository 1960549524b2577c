"""A run, from its manifest to its last outcome.

    manifest ─► feed ─► submit (N) ─► tickets (heap) ─► poll (1) ─► collect (M) ─► record (1)
                 ▲                                                                     │
                 └────────────────────── slots (in-flight limit) ◄─────────────────────┘

`Run.execute` reads like the picture. Every arrow is a plain call that puts a ticket into the next
lane's heap; the only thing that travels back is the slot.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec

import anyio

from batcher.core.errors import BatcherError, UsageError
from batcher.core.model import Stop, StopReason, Ticket
from batcher.core.stats import Snapshot
from batcher.engine.books.record import Recorder
from batcher.engine.books.rescue import Rescue
from batcher.engine.control import Control
from batcher.engine.deadline import Deadline
from batcher.engine.doubt.adopter import Onward
from batcher.engine.doubt.doubts import Doubts
from batcher.engine.feed import Feed
from batcher.engine.files.collect import Collector
from batcher.engine.lanes.opening import open_lanes
from batcher.engine.money.credits import Credits
from batcher.engine.money.prices import Prices
from batcher.engine.parts import Parts, context_of
from batcher.engine.polling.allowance import Load, load_of
from batcher.engine.polling.looks import Looks
from batcher.engine.polling.planner import Planner
from batcher.engine.polling.poll import Poller
from batcher.engine.progress import Progress
from batcher.engine.room import Room
from batcher.engine.submit import Beside, Submitter
from batcher.engine.webhooks.claims import Ways

P = ParamSpec("P")


class Run:
    """One run in one process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.control = Control(parts.log)
        self._rescue = Rescue(parts.rescue, parts.log)
        self._recorder = Recorder(
            parts.journal,
            parts.outcomes,
            parts.notices,
            rescue=self._rescue,
            offload=parts.writer or parts.offload,
            linger_s=parts.linger_s,
            on_failure=self._fail,
        )
        self._context = context_of(parts, self.control, self._recorder)
        self.lanes = self._lanes = open_lanes(self._context, parts.journal)
        self._looks = Looks(self._context, self._lanes, parts.past, learns=parts.learns)
        self._planner = Planner(self._context, self._looks, parts.memory, parts.offload)
        self._poller = Poller(
            self._context,
            self._lanes.status,
            self._lanes.status_room,
            self._looks,
            collect=None if parts.store is None else self._collect,
            resubmit=self._submit,
        )
        self._room = Room(
            self._context, parts.disks, parts.offload, (self._lanes.submit, self._lanes.download)
        )
        self._credits = Credits(self._context, self._lanes.submit)
        onward = Onward(self._take_up, self._expect, self._submit)
        self._doubts = Doubts(self._context, onward)
        beside = Beside(
            self._lanes.submit_room,
            self._credits,
            self._looks.accepted,
            price=self._submit,
            doubts=self._doubts,
        )
        self._submitter = Submitter(self._context, self._lanes.submit, beside)
        self._prices = Prices(self._context, self._queue, self._submitter.put_back)
        self._collector = (
            None
            if parts.store is None
            else Collector(self._context, self._lanes.download, parts.store, self._looks.at_once)
        )
        self._feed = Feed(
            self._context,
            parts.offload,
            submit=self._submit,
            follow=self._looks.at_once,
            collect=self._collect,
            resend=self._submitter.resends.take,
            frees=self._doubts.frees,
        )
        self._deadline = Deadline(self._context, self._lanes, self._feed, self._looks)
        self._progress = Progress(
            self._context, self._lanes, self._prices, self._feed, parts.rows_expected
        )

    async def execute(self) -> Stop | None:
        """Bring every row to its outcome; return why the run stopped early, or None.

        Raises `BatcherError` where the run cannot go on; the journal then holds what is known.
        """
        try:
            async with anyio.create_task_group() as writer:
                writer.start_soon(self._recorder.run)
                try:
                    await self._feed.settle_intents()
                    await self._pipeline()
                    await self._progress.save()
                    await self._planner.save()
                finally:
                    self._recorder.close()
        except BaseExceptionGroup as group:
            raise self._rescue.explain(self._recorder.failure or _first(group)) from group

        if self.control.error is not None:
            raise self.control.error

        return self.control.stop

    def snapshot(self) -> Snapshot:
        """Return the run at this instant."""
        return self._progress.snapshot()

    def watch(self, observer: Callable[[Snapshot], None]) -> None:
        """Let *observer* see a snapshot about once a second."""
        self._progress.observers.append(observer)

    async def _pipeline(self) -> None:
        await self._room.look()
        async with anyio.create_task_group() as lanes:
            lanes.start_soon(self._guarded(self._room.run))
            lanes.start_soon(self._prices.lane.run, self._prices.ask, self._fail)
            lanes.start_soon(self._lanes.submit.run, self._submitter.submit, self._fail)
            lanes.start_soon(self._lanes.status.run, self._poller.check, self._fail)
            if self._collector is not None:
                lanes.start_soon(self._lanes.download.run, self._collector.fetch, self._fail)

            lanes.start_soon(self._guarded(self._prices.end_refused))
            lanes.start_soon(self._guarded(self._credits.run))
            lanes.start_soon(self._guarded(self._parts.claims.run), self._ways())
            lanes.start_soon(self._guarded(self._submitter.resends.run))
            lanes.start_soon(self._guarded(self._doubts.run))
            lanes.start_soon(self._end_when_interrupted, lanes.cancel_scope)
            lanes.start_soon(self._guarded(self._deadline.run))
            lanes.start_soon(self._guarded(self._planner.run), self._load)
            lanes.start_soon(self._guarded(self._progress.run))
            await self._feed_rows()
            await self._wait_idle()
            lanes.cancel_scope.cancel()

    async def _wait_idle(self) -> None:
        """Wait until no row is in flight and none will be again, out of its doubt."""
        slots = self._context.slots
        while True:
            await slots.wait_idle()
            await self._doubts.wait_at_end()
            if not slots.used:
                return

    def _guarded(
        self, work: Callable[P, Awaitable[None]]
    ) -> Callable[P, Coroutine[Any, Any, None]]:
        """Let a failure of one task end the run like an interrupt.

        Cancelling the others at once would put every open submit in doubt.
        """

        async def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                await work(*args, **kwargs)
            except Exception as error:
                self._fail(error)

        return guarded

    def _fail(self, error: Exception) -> None:
        self.control.fail(error, Stop(StopReason.INTERRUPTED, str(error)))

    async def _feed_rows(self) -> None:
        """Take up what earlier processes left, then read the manifest, until a halt."""
        control = self.control
        try:
            control.on_halt.append(self._stop_submitting)  # what waits there holds slots
            if control.halted.is_set():
                self._stop_submitting()

            await self._feed.follow_jobs()
            with anyio.CancelScope() as reading:
                control.on_halt.append(reading.cancel)
                if not control.halted.is_set():
                    await self._submitter.resends.take_held()
                    self._doubts.begin()
                    entries = self._parts.entries
                    await self._feed.read_rows(None if entries is None else entries())

            self._doubts.begin()
        except Exception as error:
            self._fail(error)

    def _stop_submitting(self) -> None:
        """Shut the submit lane and leave its rows pending; open submits are answered."""
        self._prices.drain()
        self._lanes.submit.shut()
        for ticket in self._lanes.submit.drain():
            self._submitter.put_back(ticket)

    async def _end_when_interrupted(self, lanes: anyio.CancelScope) -> None:
        """Give running submits their grace time, then end whatever is left."""
        await self.control.interrupted.wait()
        self._lanes.status.shut()
        with anyio.move_on_after(self._parts.settings.grace_s):
            async with anyio.create_task_group() as grace:
                grace.start_soon(self._cut_grace_short, grace.cancel_scope)
                await self._lanes.submit.wait_idle()
                grace.cancel_scope.cancel()

        lanes.cancel()

    async def _cut_grace_short(self, grace: anyio.CancelScope) -> None:
        await self.control.aborted.wait()
        grace.cancel()

    def _submit(self, ticket: Ticket) -> None:
        """Queue a submit, unless nothing is submitted any more: then the row stays pending."""
        if self.control.halted.is_set():
            self._submitter.put_back(ticket)
        else:
            self._credits.begin()
            self._prices.price(ticket)

    def _queue(self, ticket: Ticket) -> None:
        """Queue a submit of a row whose price is known, as far as anybody wants to know it."""
        self._deadline.look(ticket)
        if self.control.halted.is_set():
            self._submitter.put_back(ticket)
        else:
            now, starts = self._context.clock.now(), self._parts.starts
            self._lanes.submit.add(ticket, now if starts is None else starts(ticket.row, now))

    def _collect(self, ticket: Ticket) -> None:
        if self._collector is None:
            raise UsageError("the run holds results to download; give it its download folder")

        self._collector.collect(ticket)

    def _take_up(self, ticket: Ticket) -> None:
        self._feed.take_up(ticket)

    def _expect(self, n: int) -> None:
        self._feed.expect(n)

    def _load(self) -> Load:
        return load_of(self._lanes, self.snapshot())

    def _ways(self) -> Ways:
        """Return what a call of the API can lead to."""
        return Ways(
            accept=self._submitter.accept,
            doubt=self._submitter.doubt,
            hasten=self._looks.hasten,
            take_out=self._doubts.adopter.take_out,
            recorder=self._recorder,
        )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the batcher error inside *group*, or the first leaf: one cause, one message."""
    leaves: list[BaseException] = []
    pending: list[BaseException] = [group]
    while pending:
        error = pending.pop(0)
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            leaves.append(error)

    return next((leaf for leaf in leaves if isinstance(leaf, BatcherError)), leaves[0])
