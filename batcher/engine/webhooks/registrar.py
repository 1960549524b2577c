"""The registrar: brings what calls told into the journal, one step after the other.

Rule: a call is answered "taken" when the journal has what it told, or has no use for it. What a
call names while its submit is open is kept as a fact of the journal, so that a process that finds
the intent without its answer finds the job beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import orjson

from batcher.adapters.webhooks import Answer
from batcher.core.journal import Held
from batcher.core.lifecycle import State
from batcher.core.model import Ticket
from batcher.core.verdict import JobEvent
from batcher.engine.clock import Clock
from batcher.engine.doubt import adoption
from batcher.engine.doubt.adoption import Claim, Stand
from batcher.engine.webhooks.attempts import Attempts
from batcher.engine.webhooks.claims import Ways
from batcher.engine.webhooks.reports import CallReports, evidence

KEPT = "webhook_claims"  # the fact that holds the jobs which were named before their submits ended
CLAIMED = "jobs_claimed"  # counter: rows that have their job by a call


@dataclass(slots=True, eq=False)
class Call:
    """A call that is proved to be the API's."""

    n: int
    generation: int
    event: JobEvent
    until: float  # when to give up placing it, in the event loop's seconds
    answer: Answer = Answer.BUSY
    done: anyio.Event = field(default_factory=anyio.Event)

    def end(self, answer: Answer) -> None:
        """Let the API know."""
        self.answer = answer
        self.done.set()

    def claim(self) -> Claim:
        """Return what is claimed, and on what evidence."""
        note = f"claimed by webhook delivery {evidence(self.event)}"
        return Claim(self.n, self.generation, self.event.job_id, note)


class Registrar:
    """Works for one run."""

    def __init__(self, attempts: Attempts, reports: CallReports, clock: Clock, ways: Ways) -> None:
        self._attempts = attempts
        self._reports = reports
        self._clock = clock
        self._ways = ways

    async def place(self, calls: Sequence[Call]) -> None:
        """Bring calls into the journal and answer them; one without answer is to be placed again.

        Also lets go on what is held and has its job from an earlier process.
        """
        waited_for = [call for call in calls if self._name(call)]
        if any(self._attempts.is_open(call.n, call.generation) for call in waited_for):
            await self._keep()

        await self._accept_named()
        for call in waited_for:
            call.end(Answer.TAKEN)

        await self._look_up([call for call in calls if not call.done.is_set()])

    async def expire(self, now: float) -> None:
        """Put tickets in doubt that nobody claimed until *now*."""
        over = [held for held in self._attempts.held.values() if held.until <= now]
        if not over:
            return

        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for held in over:
                    del self._attempts.held[held.ticket.row.n]
                    group.start_soon(self._ways.doubt, held.ticket, held.error)

    def _name(self, call: Call) -> bool:
        """Note the job of an attempt that waits for its answer or for a call; False: none does."""
        attempts, n, generation = self._attempts, call.n, call.generation
        if not (attempts.is_open(n, generation) or attempts.is_held(n, generation)):
            return False

        first = attempts.name(n, generation, call.event)
        if first != call.event.job_id:
            self._reports.other_job(f"number {n}", first, call.event.job_id)

        return True

    async def _keep(self) -> None:
        """Make the jobs durable that were named before their submits ended."""
        text = orjson.dumps(self._attempts.named).decode()
        await self._ways.recorder.ask(lambda journal: journal.note({KEPT: text}))

    async def _accept_named(self) -> None:
        """Let held tickets go on whose job is known now."""
        attempts = self._attempts
        found = [(held.ticket, attempts.named_of(held.ticket)) for held in attempts.held.values()]
        named = [(ticket, job_id) for ticket, job_id in found if job_id is not None]
        if not named:
            return

        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for ticket, job_id in named:
                    del attempts.held[ticket.row.n]
                    group.start_soon(self._accept, ticket, job_id)

    async def _accept(self, ticket: Ticket, job_id: str) -> None:
        await self._ways.accept(ticket, job_id)
        self._told(ticket.row.id, job_id, is_taken=ticket.job_id == job_id)

    async def _look_up(self, calls: Sequence[Call]) -> None:
        """Answer calls for which nobody waits, by what the journal says of their rows."""
        if not calls:
            return

        claims = [call.claim() for call in calls]
        stands = await self._ways.recorder.ask(
            lambda journal: [adoption.judge(journal, claim) for claim in claims]
        )
        doubted: dict[str, Call] = {}
        for call, (stand, held) in zip(calls, stands, strict=True):
            if stand is Stand.DOUBTED and held is not None:
                doubted.setdefault(held.ticket.row.id, call)  # a second one comes again
            elif stand is not Stand.OPEN and not _is_about_to_be_polled(stand, held):
                self._tell(call, stand, held)
                call.end(Answer.TAKEN)
            elif self._clock.now() >= call.until:
                call.end(Answer.BUSY if stand is Stand.OPEN else Answer.TAKEN)

        if doubted:
            await self._adopt(list(doubted.items()))

    def _tell(self, call: Call, stand: Stand, held: Held | None) -> None:
        """Report a job that has no row."""
        if stand is Stand.STRAY and held is not None:
            self._reports.stray(held, call.generation, call.event)
        elif stand is Stand.OTHER and held is not None:
            ticket = held.ticket
            self._reports.other_job(ticket.row.id, ticket.job_id, call.event.job_id)
        elif stand is Stand.FOREIGN:
            self._reports.foreign(call.n, call.generation, call.event)

    async def _adopt(self, rows: list[tuple[str, Call]]) -> None:
        """Take rows out of doubt and follow their jobs, as far as there are slots for them."""
        answers = await self._ways.take_out([call.claim() for _, call in rows])
        for (row_id, call), is_taken in zip(rows, answers, strict=True):
            if is_taken is None:
                call.end(Answer.BUSY)
            else:
                self._told(row_id, call.event.job_id, is_taken=is_taken)
                call.end(Answer.TAKEN)

    def _told(self, row_id: str, job_id: str, *, is_taken: bool) -> None:
        """Report that a row has its job by a call, or that the job is another row's."""
        if is_taken:
            self._ways.recorder.count(CLAIMED)
            self._reports.claimed(row_id, job_id)
        else:
            self._reports.taken_already(row_id, job_id)


def _is_about_to_be_polled(stand: Stand, held: Held | None) -> bool:
    """Whether the journal has the job already, and the poller gets it at this moment.

    The call is looked at again then: it must not be taken for one that has nothing to tell.
    """
    return stand is Stand.KNOWN and held is not None and held.state is State.ACCEPTED
