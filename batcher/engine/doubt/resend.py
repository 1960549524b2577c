"""Sending again: the same attempt, under the key that it left with the first time.

Rule: only for as long as the API honours the key, counted from the journaled intent, so that a
restart does not prolong it; and nothing but an answer with a job id ends the doubt. A refusal does
not: limits and checks come before an API looks at the key, and the first one may have gone well.

A row waits for its turn in the submit lane, with its slot, and is given up after a few tries. What
it may have cost counts as used while it waits, so that no submit is held for its sake.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import anyio

from batcher.core.backoff import Backoff
from batcher.core.exchange import Request
from batcher.core.lifecycle import State
from batcher.core.model import RowError, Ticket
from batcher.core.verdict import Accepted, Doubt, Halt, Later, SubmitVerdict
from batcher.engine.context import Context
from batcher.engine.doubt.ages import Ages
from batcher.engine.files.local import RowUnusable
from batcher.engine.lanes.lane import Lane
from batcher.engine.sending import Stuck

TRIES_MAX = 8  # of one attempt, in one process; a 429 is none
RETRY = Backoff(first_s=1.0, factor=2.0, cap_s=60.0)
PAGE_ROWS = 500


@dataclass(frozen=True, slots=True)
class Means:
    """What sending again takes, and where it leads."""

    request: Callable[[Ticket, int], Request]  # of one attempt of a row; raises `RowUnusable`
    answer: Callable[[Ticket, Request], Coroutine[Any, Any, SubmitVerdict | Stuck]]
    is_recalled: Callable[[Ticket], bool]  # it would meet the refusal that another one met
    slow_down: Callable[[Ticket, Later], float]  # as an answer asks; how long the row waits
    accept: Callable[[Ticket, Accepted], Coroutine[Any, Any, None]]
    adopt: Callable[[Ticket, Accepted], Coroutine[Any, Any, None]]  # of a row that was held
    give_up: Callable[[Ticket, RowError], Coroutine[Any, Any, None]]  # the next means, if any


@dataclass(slots=True)
class Resent:
    """What others have to know: which rows are being sent again, and when one was sent last."""

    rows: set[int] = field(default_factory=set)
    last_at: float | None = None  # by the event loop's time


@dataclass(slots=True)
class _Open:
    """An attempt that is sent again."""

    ticket: Ticket
    error: RowError  # why nobody knows what became of it
    is_held: bool  # the row is in doubt, and stays so if this fails
    tries: int = 0


class Resends:
    """The attempts that are sent again. `lane` is the submit lane."""

    def __init__(self, context: Context, lane: Lane[Ticket], means: Means, resent: Resent) -> None:
        self._context = context
        self._lane = lane
        self._ages = Ages(context.clock)
        self._means = means
        self._resent = resent
        self._open: dict[int, _Open] = {}
        self._over: list[Ticket] = []  # nothing is submitted any more
        self._bell = anyio.Event()

    def has(self, n: int) -> bool:
        """Whether the last attempt of row *n* is being sent again."""
        return n in self._open

    def take(self, ticket: Ticket, error: RowError, *, is_held: bool = False) -> bool:
        """Take over a submit that was not answered; False: its key is of no use.

        Its slot is taken and its job reserved; later it is accepted, or given up.
        """
        if self._context.control.halted.is_set() or not self._is_honoured(ticket):
            return False

        self._context.jobs.keep()
        self._open[ticket.row.n] = _Open(ticket, error, is_held)
        self._resent.rows.add(ticket.row.n)
        self._lane.add(ticket, self._context.clock.now())
        return True

    async def take_held(self) -> None:
        """Take up the rows in doubt of earlier processes whose keys are honoured still."""
        context = self._context
        if context.marks.idempotency is None:
            return

        after = 0
        while page := await context.recorder.ask(
            lambda journal: journal.held(State.IN_DOUBT, after, PAGE_ROWS)  # noqa: B023
        ):
            for held in page:
                after = held.ticket.row.n
                if held.error is not None and self._is_of_before(held.ticket):
                    await context.slots.acquire()
                    context.jobs.open += 1  # counted as used already
                    if not self.take(held.ticket, held.error, is_held=True):
                        context.jobs.open -= 1
                        context.slots.release()

    def drop(self, ticket: Ticket) -> None:
        """Send it no more, in this process: nothing is submitted."""
        self._over.append(ticket)
        self._bell.set()

    async def run(self) -> None:
        """Give up what was dropped, until cancelled; then everything that is left."""
        try:
            while True:
                while self._over:
                    await self._give_up(self._over.pop())

                self._bell = anyio.Event()
                await self._bell.wait()
        finally:
            with anyio.CancelScope(shield=True):
                for attempt in list(self._open.values()):
                    await self._give_up(attempt.ticket)

    async def send(self, ticket: Ticket) -> None:
        """Send the attempt of *ticket* once more."""
        await self._lane.places.take(ticket)
        context, attempt = self._context, self._open[ticket.row.n]
        if self._means.is_recalled(ticket):
            self._lane.gate.idle(ticket)
            self._again(ticket, 0.0)
            return

        try:
            request = self._means.request(ticket, ticket.generation)
        except RowUnusable:  # not what left the first time: it proves nothing
            request = None

        if request is None or not self._is_honoured(ticket):
            self._lane.gate.idle(ticket)
            await self._give_up(ticket)
            return

        attempt.tries += 1
        context.recorder.count("resends")
        context.jobs.open += 1
        try:
            verdict = await self._means.answer(ticket, request)
        except anyio.get_cancelled_exc_class():
            context.jobs.keep()
            with anyio.CancelScope(shield=True):
                await self._give_up(ticket)

            raise
        finally:
            self._resent.last_at = context.clock.now()

        await self._act(attempt, verdict)

    async def _act(self, attempt: _Open, verdict: SubmitVerdict | Stuck) -> None:
        """Perform what the answer means."""
        ticket = attempt.ticket
        if isinstance(verdict, Accepted):
            self._close(ticket)
            await (self._means.adopt if attempt.is_held else self._means.accept)(ticket, verdict)
            return

        self._context.jobs.keep()
        gate, own_s = self._lane.gate, 0.0
        match verdict:
            case Later():
                own_s = self._means.slow_down(ticket, verdict)
                attempt.tries -= verdict.throttled
            case Doubt():
                gate.failed(self._context.clock.now(), ticket)
            case Stuck():
                gate.idle(ticket)
            case _:
                gate.answered(ticket)

        if isinstance(verdict, Halt) or attempt.tries >= TRIES_MAX:
            await self._give_up(ticket)
        else:
            self._again(ticket, max(RETRY.delay_s(attempt.tries, self._context.rng), own_s))

    def _again(self, ticket: Ticket, delay_s: float) -> None:
        """Queue the attempt for another try, unless nothing is submitted any more."""
        if self._context.control.halted.is_set():
            self.drop(ticket)
        else:
            self._lane.add(ticket, self._context.clock.now() + delay_s)

    async def _give_up(self, ticket: Ticket) -> None:
        """Its key did not help: the row is as much in doubt as before."""
        attempt = self._close(ticket)
        if attempt is None:
            return

        if attempt.is_held:
            self._context.slots.release()
        else:
            self._context.jobs.open += 1  # whoever is next puts it where it belongs
            await self._means.give_up(ticket, attempt.error)

    def _close(self, ticket: Ticket) -> _Open | None:
        self._resent.rows.discard(ticket.row.n)
        return self._open.pop(ticket.row.n, None)

    def _is_honoured(self, ticket: Ticket) -> bool:
        """Whether the API surely still knows the key when a request that leaves now arrives."""
        marks, at = self._context.marks, ticket.submitted_at
        if marks.idempotency is None or at is None or not marks.has_key(ticket):
            return False

        arrives_s = self._ages.most_s(at) + self._context.settings.submit_timeout_s
        return arrives_s <= marks.idempotency.honoured_s

    def _is_of_before(self, ticket: Ticket) -> bool:
        """Whether the attempt is an earlier process's: our own have had their tries."""
        return ticket.submitted_at is not None and ticket.submitted_at < self._ages.began_at
