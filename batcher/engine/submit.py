"""Submitting: the only place where money is spent.

Rule: the intent is durable before the first byte of a submit can leave, what the job may cost is
reserved before that, and every way out of a submit says what is known of the job: it exists, it
cannot exist, or nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import anyio

from batcher.core.events import Accept, Decide, Intend
from batcher.core.exchange import Request
from batcher.core.lifecycle import Move
from batcher.core.model import RowError, Stop, StopReason, Ticket
from batcher.core.verdict import Accepted, Doubt, Halt, Later, Refused, SubmitVerdict
from batcher.engine.context import Context
from batcher.engine.files.local import RowUnusable, local_files
from batcher.engine.lanes.headroom import Headroom
from batcher.engine.lanes.lane import Lane
from batcher.engine.money.budget import DUPLICATES
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


class Submitter:
    """Submit one row and act on the answer."""

    def __init__(self, context: Context, lane: Lane[Ticket], beside: Beside) -> None:
        self._context = context
        self._lane = lane
        self._beside = beside
        self._check = ProviderCheck(context.provider)
        self._back = Withdrawals(context, lane, beside.credits)
        self.put_back = self._back.put_back
        context.jobs.on_answer = lambda: lane.reopen(BUDGET)

    async def submit(self, ticket: Ticket) -> None:
        """Submit *ticket* once."""
        context = self._context
        try:
            request = self._request(ticket)
        except RowUnusable as problem:
            self._lane.gate.idle(ticket)
            await context.end(ticket, Move.REJECT, error=problem.error)
            return

        if not self._reserve(ticket):
            return

        ticket.generation += 1
        ticket.submits += 1
        ticket.submitted_at = context.clock.wall()
        try:
            await context.recorder.commit(
                Intend(ticket.row.n, ticket.submitted_at, ticket.generation, ticket.cost)
            )
        except anyio.get_cancelled_exc_class():
            await self._back.unsent(ticket)
            self._back.put_back(ticket)
            raise

        if self._back.is_recalled():
            await self._back.unsent(ticket)
            self._back.again(ticket, 0.0)
            return

        context.claims.expect(ticket)
        turn = context.keyring.turn
        try:
            verdict = await answer_of(context, self._beside.room, ticket, request)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._cut_off(ticket)

            raise

        await self._act(ticket, verdict, turn)

    def _request(self, ticket: Ticket) -> Request:
        values = ticket.row.values()
        files = local_files(values, ticket.row.base)
        fault = self._check.fault(values, files) if files else None  # they may have changed
        if fault is not None:
            raise RowUnusable(fault)

        callback = self._context.claims.callback(ticket.row.n, ticket.generation + 1)
        if callback is None:
            return self._context.provider.submit(values, files)

        return self._context.provider.submit(values, files, callback)

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
                gate.succeeded(ticket)
                self._beside.credits.accepted()
                await self._accept(ticket, verdict)
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
                if not context.claims.hold(ticket, verdict.error):
                    await self.doubt(ticket, verdict.error)
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

    async def accept(self, ticket: Ticket, job_id: str) -> None:
        """Take the job that a call named for a submit that was not answered."""
        await self._accept(ticket, Accepted(job_id))

    async def _accept(self, ticket: Ticket, verdict: Accepted) -> None:
        context = self._context
        context.jobs.keep()
        at = context.clock.wall()
        mine = await context.recorder.commit(
            Accept(ticket.row.n, at, verdict.job_id, verdict.request_id)
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
        """Hold a row in doubt, or do as the user chose."""
        context = self._context
        if self._resubmits():
            context.recorder.count(DUPLICATES)
            await context.recorder.commit(
                Decide(ticket.row.n, context.clock.wall(), Move.RESUBMIT, note=error.message)
            )
            self._back.again(ticket, RETRY.delay_s(1, context.rng))
            return

        await context.end(ticket, Move.DOUBT, error=error)

    def _resubmits(self) -> bool:
        """Take one of the rows that the user chose to submit again in doubt; False: none is left.

        Where the API calls, a run that ends leaves its doubts to the next process: it may be told
        of their jobs for as long as the API tries, and nothing more is submitted here anyway.
        """
        context, settings = self._context, self._context.settings
        if settings.on_doubt != "resubmit":
            return False

        if settings.webhook_url is not None and context.control.interrupted.is_set():
            return False

        return context.jobs.risk_duplicate(settings.max_duplicates)
