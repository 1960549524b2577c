"""Polling: one heap of tickets for the whole run, one loop, bounded checks in parallel.

Rule: a status read costs nothing but time and a scarce budget, and it proves nothing but what it
says. Whatever cannot be read is no news: the job stays pending until its own deadline, and then it
is exhausted with its job id kept, so that it can be looked at again.

When a job is looked at is decided in `looks`; here is what a look means.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Unpack

from msgspec import structs

from batcher.core.errors import TransportError
from batcher.core.events import Collect, Rerun
from batcher.core.exchange import Request
from batcher.core.lifecycle import Move
from batcher.core.model import ErrorKind, RowError, Stop, Ticket
from batcher.core.money import job_cost
from batcher.core.record import Known
from batcher.core.verdict import (
    Done,
    Halt,
    JobFailed,
    Later,
    Missing,
    Pending,
    StatusVerdict,
    Unreadable,
)
from batcher.engine.context import Context
from batcher.engine.lanes.headroom import Headroom
from batcher.engine.lanes.lane import Lane
from batcher.engine.lanes.ports import Rest
from batcher.engine.polling.looks import Looks

MISSING_GRACE_S = 60.0  # a job may be invisible for a while after it was accepted
MISSING_MAX = 3  # further 404s, spaced, that make it lost
OVERDUE_MAX = 2  # unreadable answers after a job's time is up, before it is given up
IN_TIME = -1  # such a look began before that, and its answer says nothing of later
HOLLOW_MAX = 5  # "done" without a result, read again

SILENT = (Later, Halt, Unreadable)  # verdicts that say nothing of the job


class Poller:
    """Look at one job and act on what is seen."""

    def __init__(
        self,
        context: Context,
        lane: Lane[Ticket],
        room: Headroom,
        looks: Looks,
        *,
        collect: Callable[[Ticket], None] | None,
        resubmit: Callable[[Ticket], None],
    ) -> None:
        self._context = context
        self._lane = lane
        self._room = room
        self._collect = (
            collect  # hands a ticket with a result to the download lane, if there is one
        )
        self._resubmit = resubmit
        self._looks = looks
        self._time_s = context.settings.job_timeout_s

    async def check(self, ticket: Ticket) -> Rest:
        """Read the job once. What the answer means is returned, to be performed."""
        context, asked = self._context, self._context.clock.now()
        self._looks.began(ticket)
        ticket.reads += 1
        # Whenever the answer is read: a machine may sleep over it.
        is_late = asked - ticket.born >= self._time_s
        ticket.overdue = max(ticket.overdue, 0) if is_late else IN_TIME
        turn = context.keyring.turn
        context.recorder.count("status_reads")
        assert ticket.job_id is not None  # noqa: S101  # only accepted tickets are polled
        request = self._request(ticket, ticket.job_id)
        try:
            response = await context.transport.send(
                request, timeout_s=context.settings.status_timeout_s
            )
        except TransportError as failure:
            error = RowError(ErrorKind.CONNECTION, failure.reason, retriable=True)
            verdict: StatusVerdict = Unreadable(error)
        else:
            self._room.note(context.provider.windows(response))
            verdict = context.provider.read_status(response)
            if isinstance(verdict, SILENT):
                context.log_answer("status", ticket, response, verdict.error)

        self._learn(ticket, verdict, asked)
        return self._act(ticket, verdict, turn)

    def _learn(self, ticket: Ticket, verdict: StatusVerdict, asked: float) -> None:
        """Let the looks learn from an answer that speaks of the job; a failed one has ended too."""
        match verdict:
            case Pending():
                self._looks.found_pending(ticket, asked)
            case Done() | JobFailed():
                self._looks.found_ended(ticket)
            case _:
                pass

    def _request(self, ticket: Ticket, job_id: str) -> Request:
        """Return the read of a job, whose answer may quote where the API was to call."""
        request = self._context.provider.status(job_id)
        callback = self._context.claims.callback(ticket.row.n, ticket.generation)
        return request if callback is None else structs.replace(request, secrets=callback.secrets)

    async def _act(self, ticket: Ticket, verdict: StatusVerdict, turn: int) -> None:
        """Perform what the answer means."""
        gate = self._lane.gate
        if not isinstance(verdict, SILENT):
            gate.succeeded(ticket)
            ticket.overdue = OVERDUE_MAX if ticket.overdue > IN_TIME else IN_TIME
            if ticket.result is not None:
                self._refreshed(ticket, verdict)
                return

        match verdict:
            case Pending():
                self._note_word(verdict)
                ticket.missing = ticket.hollow = 0
                await self._wait(ticket, None, verdict.retry_after_s)
            case Done():
                await self._done(ticket, verdict)
            case JobFailed():
                await self._failed(ticket, verdict)
            case Missing():
                await self._missing(ticket, verdict.error)
            case Later():
                self._later(ticket, verdict)
            case Unreadable():
                gate.failed(self._context.clock.now(), ticket)
                await self._wait(ticket, verdict.error)
            case Halt():
                gate.answered(ticket)
                await self._refused(ticket, verdict, turn)

    async def _refused(self, ticket: Ticket, verdict: Halt, turn: int) -> None:
        """The key is refused: go on with another one if there is, else end."""
        context = self._context
        context.tally(verdict.error)
        if await context.renew_key(turn):
            self._looks.at_once(ticket)
            return

        stop = context.keyring.stop(verdict)
        message = f"status reads are refused too: {stop.message}"
        context.control.interrupt(Stop(stop.reason, message, stop.resume_at))

    def _age_s(self, ticket: Ticket) -> float:
        return self._context.clock.now() - ticket.born

    def _note_word(self, verdict: Pending) -> None:
        """Report a word that was never seen before, once; the job counts as pending."""
        if verdict.unknown:
            text = f"the API says {verdict.word!r} of a job, an unknown word: taken for pending"
            self._context.notices.tell("status.unknown_word", text, once=f"word {verdict.word}")

    def _later(self, ticket: Ticket, verdict: Later) -> None:
        """Nobody looked: the job's time is not up by that."""
        own_s = self._slow_down(ticket, verdict)
        self._context.tally(verdict.error)
        if own_s:
            self._looks.put_off(ticket, own_s)
        else:
            self._looks.after_silence(ticket)

    def _slow_down(self, ticket: Ticket, verdict: Later) -> float:
        """Do with the lane as the answer asks; return how long this job alone is to be left."""
        gate, now = self._lane.gate, self._context.clock.now()
        if verdict.throttled:
            self._context.recorder.count("throttled")
            return gate.throttled(now, verdict.retry_after_s, ticket)

        gate.failed(now, ticket)
        if verdict.retry_after_s is not None:
            gate.throttled(now, verdict.retry_after_s, ticket)

        return 0.0

    def _refreshed(self, ticket: Ticket, verdict: StatusVerdict) -> None:
        """Go on with the download of a job that was read once more for fresh URLs."""
        assert self._collect is not None and ticket.result is not None  # noqa: PT018, S101
        if isinstance(verdict, Done) and verdict.result.urls:
            ticket.result = structs.replace(ticket.result, urls=verdict.result.urls)

        self._collect(ticket)

    async def _wait(
        self, ticket: Ticket, error: RowError | None, not_before_s: float | None = None
    ) -> None:
        """Look again later, unless the job's time is up.

        After its time it must still be looked at: the lane may have been closed all the while. An
        answer that speaks of the job is a look; of those that say nothing it takes a few.
        """
        context = self._context
        if error is not None:
            ticket.last_error = error
            context.tally(error)

        age = self._age_s(ticket)
        if age < self._time_s:
            self._looks.next(ticket, not_before_s, silent=error is not None)
            return

        if ticket.overdue < OVERDUE_MAX:
            ticket.overdue += 1
            self._looks.after_silence(ticket)
            return

        last = "" if ticket.last_error is None else f"; last trouble: {ticket.last_error.message}"
        message = f"job {ticket.job_id} did not finish within {age:.0f} s{last}"
        timeout = RowError(ErrorKind.JOB_TIMEOUT, message, retriable=True)
        await self._end(ticket, Move.EXHAUST, error=timeout)

    async def _done(self, ticket: Ticket, verdict: Done) -> None:
        context = self._context
        if verdict.result.is_empty:
            await self._hollow(ticket)
            return

        at = context.clock.wall()
        ticket.done_seen_at = at
        ticket.result = verdict.result
        if self._collect is None or not verdict.result.urls:
            await self._end(ticket, Move.SUCCEED, result=verdict.result, cost=verdict.result.cost)
            return

        self._looks.forget(ticket)
        await context.recorder.commit(Collect(ticket.row.n, at, verdict.result.kept()))
        self._collect(ticket)

    async def _hollow(self, ticket: Ticket) -> None:
        """Done, but nothing handed out: read again a few times, spaced."""
        ticket.hollow += 1
        ticket.overdue = 0  # it is done: an unreadable answer after this is no end of it
        if ticket.hollow <= HOLLOW_MAX:
            self._looks.after_silence(ticket)
            return

        message = f"job {ticket.job_id} is done, but {HOLLOW_MAX + 1} reads showed no result"
        error = RowError(ErrorKind.PROTOCOL, message, retriable=True)
        await self._end(ticket, Move.EXHAUST, error=error)

    async def _missing(self, ticket: Ticket, error: RowError) -> None:
        """404: not visible yet, or lost by the API."""
        if self._age_s(ticket) >= MISSING_GRACE_S:
            ticket.missing += 1

        if ticket.missing < MISSING_MAX:
            await self._wait(ticket, error)
            return

        message = f"the API does not know job {ticket.job_id} any more: {error.message}"
        lost = replace(error, message=message, retriable=False)
        await self._end(ticket, Move.FAIL, error=lost)

    async def _failed(self, ticket: Ticket, verdict: JobFailed) -> None:
        """The job failed: run it again only if the API says so and gave the money back."""
        context = self._context
        if verdict.rerun and ticket.spent + 1 < context.settings.max_attempts:
            ticket.spent += 1
            at, cost = context.clock.wall(), job_cost(verdict.cost)
            await context.recorder.commit(
                Rerun(
                    ticket.row.n, at, verdict.error, verdict.refund, verdict.refund_raw, cost=cost
                )
            )
            context.jobs.settle(ticket.cost, cost, verdict.refund)
            self._looks.forget(ticket)
            context.log.info("job.rerun", id=ticket.row.id, job_id=ticket.job_id)
            ticket.job_id = ticket.accepted_at = None
            ticket.reads = ticket.missing = ticket.hollow = 0
            self._resubmit(ticket)
            return

        await self._end(
            ticket,
            Move.EXHAUST if verdict.error.retriable else Move.FAIL,
            error=verdict.error,
            refund=verdict.refund,
            refund_raw=verdict.refund_raw,
            cost=verdict.cost,
        )

    def _end(self, ticket: Ticket, move: Move, **known: Unpack[Known]) -> Awaitable[None]:
        """Give a row its outcome; nothing is remembered of it."""
        self._looks.forget(ticket)
        return self._context.end(ticket, move, **known)
