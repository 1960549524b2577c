"""Submitting: the only place where money is spent.

Rule: the intent is durable before the first byte of a submit can leave, and every way out of a
submit says what is known of the job: it exists, it cannot exist, or nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import anyio

from batcher.core.backoff import Backoff
from batcher.core.errors import Lost, NotSent
from batcher.core.exchange import Request
from batcher.core.journal import Accept, Decide, Intend, Withdraw
from batcher.core.lifecycle import Move
from batcher.core.model import ErrorKind, RowError, Stop, StopReason, Ticket
from batcher.core.verdict import Accepted, Doubt, Halt, Later, Refused, SubmitVerdict
from batcher.engine.context import NO_JOB, Context
from batcher.engine.files import RowUnusable, local_files
from batcher.engine.lane import Lane

RETRY = Backoff(first_s=1.0, factor=2.0, cap_s=60.0)  # deAPI documents 1, 2, 4 s
BUDGET_RECHECK_S = 1.0
CREDIT_PROBE = Backoff(first_s=600.0, factor=2.0, cap_s=7200.0)


class Submitter:
    """Submit one row and act on the answer."""

    def __init__(
        self, context: Context, lane: Lane[Ticket], follow: Callable[[Ticket], None]
    ) -> None:
        self._context = context
        self._lane = lane
        self._follow = follow  # hands an accepted ticket to the poller
        self._credit_probes = 0

    async def submit(self, ticket: Ticket) -> None:
        """Submit *ticket* once."""
        context = self._context
        try:
            request = self._request(ticket)
        except RowUnusable as problem:
            self._lane.gate.idle()
            await context.end(ticket, Move.REJECT, error=problem.error)
            return

        if not context.jobs.reserve():
            self._lane.gate.idle()
            self._out_of_budget(ticket)
            return

        ticket.generation += 1
        ticket.submits += 1
        ticket.submitted_at = context.clock.wall()
        try:
            await context.recorder.commit(
                Intend(ticket.row.n, ticket.submitted_at, ticket.generation)
            )
        except anyio.get_cancelled_exc_class():
            await self._withdraw_unsent(ticket)
            raise

        if context.control.recalls_submits:
            await self._withdraw_unsent(ticket)
            return

        verdict = await self._send(ticket, request)
        await self._act(ticket, verdict)

    def _out_of_budget(self, ticket: Ticket) -> None:
        """Halt, unless an open submit may still turn out to have made no job."""
        if self._context.jobs.open:
            self._again(ticket, BUDGET_RECHECK_S)
            return

        message = "the run made all jobs of --max-jobs"
        self._context.control.halt(Stop(StopReason.BUDGET, message))
        self.put_back(ticket)

    def _no_job(self) -> None:
        """Note the proof that a submit made no job: it does not count against --max-jobs."""
        self._context.jobs.give_back()
        self._context.recorder.count(NO_JOB)

    def put_back(self, ticket: Ticket) -> None:
        """Leave a row pending for a later process: only its slot is given back."""
        self._context.slots.release()

    def _request(self, ticket: Ticket) -> Request:
        values = ticket.row.values()
        return self._context.provider.submit(values, local_files(values, ticket.row.base))

    async def _send(self, ticket: Ticket, request: Request) -> SubmitVerdict:
        """Send, and turn the absence of an answer into a verdict too."""
        context = self._context
        context.recorder.count("submit_requests")
        try:
            response = await context.transport.send(
                request, timeout_s=context.settings.submit_timeout_s
            )
        except NotSent as failure:
            return Later(RowError(ErrorKind.CONNECTION, failure.reason, retriable=True))
        except Lost as failure:
            return Doubt(_unknown(failure.reason))
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._doubt(ticket, _unknown("the run was ended before an answer came"))

            raise

        verdict = context.provider.read_submit(response)
        if not isinstance(verdict, Accepted):
            context.log_answer("submit", ticket, response, verdict.error)

        if isinstance(verdict, Later) and verdict.resubmission and self._holds_500():
            message = f"{verdict.error.message}; held by --on-500 hold"
            kind = ErrorKind.UNKNOWN_OUTCOME
            return Doubt(replace(verdict.error, kind=kind, message=message, retriable=False))

        return verdict

    def _holds_500(self) -> bool:
        return self._context.settings.on_500 == "hold"

    async def _act(self, ticket: Ticket, verdict: SubmitVerdict) -> None:
        """Perform what the answer means."""
        gate = self._lane.gate
        match verdict:
            case Accepted():
                gate.succeeded()
                self._credit_probes = 0
                await self._accept(ticket, verdict)
            case Refused():
                gate.succeeded()
                self._no_job()
                await self._context.end(ticket, Move.REFUSE, error=verdict.error)
            case Later():
                await self._later(ticket, verdict)
            case Halt():
                await self._halt(ticket, verdict)
            case Doubt():
                gate.failed(self._context.clock.now())
                await self._doubt(ticket, verdict.error)

    async def _accept(self, ticket: Ticket, verdict: Accepted) -> None:
        context = self._context
        context.jobs.keep()
        at = context.clock.wall()
        mine = await context.recorder.commit(
            Accept(ticket.row.n, at, verdict.job_id, verdict.request_id)
        )
        if not mine:
            reason = f"the API answered with job id {verdict.job_id!r}, which is another row's"
            await self._hold(ticket, _unknown(reason))
            return

        ticket.job_id = verdict.job_id
        ticket.accepted_at = at
        ticket.born = context.clock.now()
        context.log.info("job.accepted", id=ticket.row.id, job_id=ticket.job_id)
        self._follow(ticket)

    async def _later(self, ticket: Ticket, verdict: Later) -> None:
        """No job now: put the row back, and slow down as the answer asks."""
        context = self._context
        now = context.clock.now()
        self._no_job()
        if verdict.throttled:
            context.recorder.count("throttled")
            self._lane.gate.throttled(now, verdict.retry_after_s)
        else:
            self._lane.gate.failed(now)
            ticket.spent += 1
            if verdict.retry_after_s is not None:
                self._lane.gate.throttled(now, verdict.retry_after_s)

        if ticket.spent >= context.settings.max_attempts:
            await context.end(ticket, Move.EXHAUST, error=verdict.error)
            return

        context.tally(verdict.error)
        await context.recorder.commit(
            Withdraw(
                ticket.row.n,
                context.clock.wall(),
                spent=not verdict.throttled,
                error=verdict.error,
                resubmission=verdict.resubmission,
            )
        )
        self._again(ticket, 0.0 if verdict.throttled else RETRY.delay_s(ticket.spent, context.rng))

    async def _halt(self, ticket: Ticket, verdict: Halt) -> None:
        """No row would fare better: pause the run; this row stays pending."""
        context = self._context
        self._no_job()
        context.tally(verdict.error)
        self._lane.gate.answered()
        if verdict.reason is StopReason.OUT_OF_CREDITS and context.settings.wait_for_credits:
            self._wait_for_credits()
        else:
            context.control.halt(Stop(verdict.reason, verdict.error.message))

        await context.recorder.commit(
            Withdraw(ticket.row.n, context.clock.wall(), spent=False, error=verdict.error)
        )
        self._again(ticket, 0.0)

    def _wait_for_credits(self) -> None:
        """Close the lane for a long, growing time; then one row asks for all of them."""
        gate, now = self._lane.gate, self._context.clock.now()
        if gate.wait_s(now) > 0:
            return  # the answers to submits that were open when the lane closed

        wait = CREDIT_PROBE.delay_s(self._credit_probes, self._context.rng)
        self._credit_probes += 1
        gate.close_until(now + wait, "credits")
        text = f"the credits are used up: the run waits, and asks again in {wait:.0f} s"
        self._context.notices.tell("credits.waiting", text, once="credits")

    def _again(self, ticket: Ticket, delay_s: float) -> None:
        """Queue the row for another submit, unless nothing is submitted any more."""
        if self._context.control.halted.is_set():
            self.put_back(ticket)
        else:
            self._lane.add(ticket, self._context.clock.now() + delay_s)

    async def _doubt(self, ticket: Ticket, error: RowError) -> None:
        """Sent, and nobody knows what became of it: it may have made a job."""
        self._context.jobs.keep()
        await self._hold(ticket, error)

    async def _hold(self, ticket: Ticket, error: RowError) -> None:
        """Hold a row in doubt, or do as the user chose."""
        context = self._context
        allowed = context.settings.max_duplicates
        if context.settings.on_doubt == "resubmit" and context.jobs.risk_duplicate(allowed):
            context.recorder.count("resubmitted_in_doubt")
            await context.recorder.commit(
                Decide(ticket.row.n, context.clock.wall(), Move.RESUBMIT, note=error.message)
            )
            self._again(ticket, RETRY.delay_s(1, context.rng))
            return

        await context.end(ticket, Move.DOUBT, error=error)

    async def _withdraw_unsent(self, ticket: Ticket) -> None:
        """Take an intent back: the submit never left this process."""
        self._no_job()
        with anyio.CancelScope(shield=True):
            await self._context.recorder.commit(
                Withdraw(ticket.row.n, self._context.clock.wall(), spent=False)
            )

        self.put_back(ticket)


def _unknown(reason: str) -> RowError:
    message = f"{reason}; a job may exist and may have been charged"
    return RowError(ErrorKind.UNKNOWN_OUTCOME, message, retriable=False)
