"""Submitting: the only place where money is spent.

Rule: the intent is durable before the first byte of a submit can leave, what the job may cost is
reserved before that, and every way out of a submit says what is known of the job: it exists, it
cannot exist, or nobody knows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from math import inf
from typing import Any

import anyio

from batcher.core.events import Accept, Intend
from batcher.core.exchange import Request
from batcher.core.lifecycle import Move
from batcher.core.model import RowError, Stop, StopReason, Ticket
from batcher.core.verdict import Accepted, Doubt, Halt, Later, Refused, SubmitVerdict
from batcher.engine.context import Context
from batcher.engine.doubt.adoption import Claim
from batcher.engine.doubt.doubts import Doubts
from batcher.engine.doubt.listing import LATE_S
from batcher.engine.doubt.resend import Means, Resends
from batcher.engine.files.local import RowUnusable, local_files
from batcher.engine.lanes.headroom import Headroom
from batcher.engine.lanes.lane import Lane
from batcher.engine.lanes.ports import Rest
from batcher.engine.lanes.scout import BalanceScout
from batcher.engine.money.credits import Credits
from batcher.engine.rows import ProviderCheck
from batcher.engine.sending import Stuck, answer_of, unknown
from batcher.engine.withdraw import RETRY, Withdrawals

BUDGET = "budget"  # why the gate is held while open submits may still give something back


@dataclass(frozen=True, slots=True)
class Beside:
    """What a submitter hands rows on to, and asks."""

    room: Headroom
    credits: Credits
    follow: Callable[[Ticket], None]  # takes an accepted ticket: the poller
    price: Callable[[Ticket], None]  # takes a row whose price is not known
    doubts: Doubts  # takes what stays in doubt


class Submitter:
    """Submit one row and act on the answer."""

    def __init__(self, context: Context, lane: Lane[Ticket], beside: Beside) -> None:
        self._context = context
        self._lane = lane
        self._beside = beside
        self._check = ProviderCheck(context.provider)
        self._back = Withdrawals(context, lane, beside.credits)
        self.resends = Resends(
            context,
            lane,
            Means(
                request=self._request,
                answer=self._answer,
                is_recalled=self._back.is_recalled,
                slow_down=self._back.slow_down,
                accept=self._accepted,
                adopt=self._adopted,
                give_up=self._wait_or_doubt,
            ),
            beside.doubts.resent,
        )
        context.jobs.on_answer = lambda: lane.reopen(BUDGET)
        lane.starts.scout = BalanceScout(context, lane, self.put_back)

    def put_back(self, ticket: Ticket) -> None:
        """Leave a row to a later process: it was to be submitted, or to be sent again."""
        if self.resends.has(ticket.row.n):
            self.resends.drop(ticket)
        else:
            self._back.put_back(ticket)

    def submit(self, ticket: Ticket) -> Awaitable[Rest | None]:
        """Submit *ticket* once, or send what was submitted once more.

        What the answer means is returned, to be performed.
        """
        if self.resends.has(ticket.row.n):
            return self.resends.send(ticket)

        return self._submit(ticket)

    async def _submit(self, ticket: Ticket) -> Rest | None:
        context = self._context
        try:
            request = self._request(ticket, ticket.generation + 1)
        except RowUnusable as problem:
            self._lane.gate.idle(ticket)
            await context.end(ticket, Move.REJECT, error=problem.error)
            return None

        if not self._reserve(ticket):
            return None

        ticket.generation += 1
        ticket.submits += 1
        ticket.submitted_at = context.clock.wall()
        try:
            await context.recorder.commit(
                Intend(ticket.row.n, ticket.submitted_at, ticket.generation, ticket.cost)
            )
            await self._lane.places.take(ticket)
        except anyio.get_cancelled_exc_class():
            await self._back.unsent(ticket)
            self._back.put_back(ticket)
            raise

        if self._back.is_recalled(ticket) or self._is_late(ticket):
            await self._back.unsent(ticket)
            self._back.again(ticket, 0.0)
            return None

        context.claims.expect(ticket)
        turn = context.keyring.turn
        try:
            verdict = await self._answer(ticket, request)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._cut_off(ticket)

            raise

        return self._act(ticket, verdict, turn)

    def _is_late(self, ticket: Ticket) -> bool:
        """Whether the intent waited so long for the disk that its time says nothing any more."""
        now, at = self._context.clock.wall(), ticket.submitted_at
        return self._context.marks.listing is not None and at is not None and now - at > LATE_S

    def _answer(
        self, ticket: Ticket, request: Request
    ) -> Coroutine[Any, Any, SubmitVerdict | Stuck]:
        return answer_of(self._context, self._beside.room, ticket, request)

    def _request(self, ticket: Ticket, generation: int) -> Request:
        """Return the request of one attempt: the same one, however often it is asked for."""
        context, n = self._context, ticket.row.n
        values = ticket.row.values()
        files = local_files(values, ticket.row.base)
        fault = self._check.fault(values, files) if files else None  # they may have changed
        if fault is not None:
            raise RowUnusable(fault)

        callback = context.claims.callback(n, generation)
        if callback is None:
            request = context.provider.submit(values, files)
        else:
            request = context.provider.submit(values, files, callback)

        return context.marks.put(request, n, generation)

    def _reserve(self, ticket: Ticket) -> bool:
        """Reserve the job that is about to be made; False: the row is looked after otherwise."""
        context, jobs = self._context, self._context.jobs
        if jobs.is_priced(ticket.cost) and jobs.reserve(ticket.cost):
            return True

        self._lane.gate.idle(ticket)
        if not jobs.is_priced(ticket.cost):
            self._beside.price(ticket)
        elif jobs.open:  # an open submit may still turn out to have made no job
            self._lane.gate.hold_until(inf, BUDGET)
            self._back.again(ticket, 0.0)
        else:
            context.control.halt(Stop(StopReason.BUDGET, jobs.shortage(ticket.cost)))
            self._back.put_back(ticket)

        return False

    async def _act(self, ticket: Ticket, verdict: SubmitVerdict | Stuck, turn: int) -> None:
        """Perform what the answer means."""
        context, gate = self._context, self._lane.gate
        match self._settled(ticket, verdict):
            case Accepted() as verdict:
                await self._accepted(ticket, verdict)
            case Refused() as verdict:
                self._beside.credits.refused(ticket)
                self._back.no_job(ticket)
                await context.end(ticket, Move.REFUSE, error=verdict.error)
            case Later() as verdict:
                await self._back.later(ticket, verdict)
            case Halt() as verdict:
                await self._back.halt(ticket, verdict, turn)
            case Doubt() as verdict:
                gate.failed(context.clock.now(), ticket)
                if not self.resends.take(ticket, verdict.error):
                    await self._wait_or_doubt(ticket, verdict.error)
            case Stuck() as verdict:
                await self._back.unstick(ticket, verdict)

    def _settled(self, ticket: Ticket, verdict: SubmitVerdict | Stuck) -> SubmitVerdict | Stuck:
        """Return what an answer means beside a call that named the job before it came."""
        if not isinstance(verdict, Stuck):
            self._back.left(ticket)

        named = None if isinstance(verdict, Doubt) else self._context.claims.settled(ticket)
        if named is None or isinstance(verdict, Accepted):
            return verdict

        return Accepted(named)  # there is a job, whatever the answer says

    def _accepted(self, ticket: Ticket, verdict: Accepted) -> Coroutine[Any, Any, None]:
        self._lane.gate.succeeded(ticket)
        self._beside.credits.accepted()
        return self._accept(ticket, verdict)

    async def _adopted(self, ticket: Ticket, verdict: Accepted) -> None:
        """Take the job of a row that was held in doubt and sent again under its key."""
        context, n = self._context, ticket.row.n
        self._lane.gate.succeeded(ticket)
        self._beside.credits.accepted()
        context.jobs.keep()
        claim = Claim(n, ticket.generation, verdict.job_id, "the answer to the same submit again")
        try:
            (is_taken,) = await self._beside.doubts.adopter.take_out([claim])
        except Exception:  # nothing can be written any more: the job is rescued
            await context.recorder.commit(
                Accept(n, context.clock.wall(), verdict.job_id, verdict.request_id), ticket
            )
            raise

        context.slots.release()
        context.log.info(
            "doubt.answered", id=ticket.row.id, job_id=verdict.job_id, is_taken=is_taken
        )

    async def accept(self, ticket: Ticket, job_id: str) -> None:
        """Take the job that a call named for a submit that was not answered."""
        await self._accept(ticket, Accepted(job_id))

    async def _accept(self, ticket: Ticket, verdict: Accepted) -> None:
        context = self._context
        context.jobs.keep()
        at = context.clock.wall()
        mine = await context.recorder.commit(
            Accept(ticket.row.n, at, verdict.job_id, verdict.request_id), ticket
        )
        if not mine:
            reason = f"the API answered with job id {verdict.job_id!r}, which is another row's"
            await self._hold(ticket, unknown(reason))
            return

        ticket.job_id = verdict.job_id
        ticket.accepted_at = at
        ticket.born = context.clock.now()
        context.log.info("job.accepted", id=ticket.row.id, job_id=ticket.job_id)
        self._beside.follow(ticket)

    async def _wait_or_doubt(self, ticket: Ticket, error: RowError) -> None:
        """Wait for a call that names the job, if the API makes calls."""
        if not self._context.claims.hold(ticket, error):
            await self.doubt(ticket, error)

    async def doubt(self, ticket: Ticket, error: RowError) -> None:
        """Sent, and nobody knows what became of it: it may have made a job."""
        self._context.jobs.keep()
        await self._hold(ticket, error)

    async def _cut_off(self, ticket: Ticket) -> None:
        """The run ends while the submit is open: only a job that was named already is known."""
        named = self._context.claims.settled(ticket)
        if named is not None:
            await self._accept(ticket, Accepted(named))
        else:
            await self.doubt(ticket, unknown("the run was ended before an answer came"))

    async def _hold(self, ticket: Ticket, error: RowError) -> None:
        if await self._beside.doubts.frees(ticket, error):
            self._back.again(ticket, RETRY.delay_s(1, self._context.rng))
