"""Rows whose submit made no job: back into the lane, and what the refusal means for all others.

Rule: only proof that no job was made comes here, or the API's own advice to submit again. What was
reserved for the job is given back if there is proof, the journal is told, and the row waits for
another turn, in this process or in a later one.
"""

from __future__ import annotations

import anyio

from batcher.core.backoff import Backoff
from batcher.core.events import Withdraw
from batcher.core.lifecycle import Move
from batcher.core.model import StopReason, Ticket
from batcher.core.stats import TAKEN_BACK
from batcher.core.verdict import Halt, Later
from batcher.engine.context import Context
from batcher.engine.lanes.headroom import HELD
from batcher.engine.lanes.lane import Lane
from batcher.engine.money.budget import COST_UNPROVEN, NO_JOB
from batcher.engine.money.credits import Credits
from batcher.engine.sending import Stuck

RETRY = Backoff(first_s=1.0, factor=2.0, cap_s=60.0)  # deAPI documents 1, 2, 4 s
KEY = "key"  # why the gate is closed while the source of a refused key is read again
KEY_READ_S = 30.0


class Withdrawals:
    """Takes submits back. `lane` is the submit lane."""

    def __init__(self, context: Context, lane: Lane[Ticket], money: Credits) -> None:
        self._context = context
        self._lane = lane
        self._money = money
        self._stuck: dict[int, int] = {}  # row -> submits in a row that our own machine held up

    def put_back(self, ticket: Ticket) -> None:
        """Leave a row pending for a later process: only its slot is given back."""
        self._stuck.pop(ticket.row.n, None)
        self._context.slots.release()

    def again(self, ticket: Ticket, delay_s: float) -> None:
        """Queue the row for another submit, unless nothing is submitted any more."""
        if self._context.control.halted.is_set():
            self.put_back(ticket)
        else:
            self._lane.add(ticket, self._context.clock.now() + delay_s)

    def no_job(self, ticket: Ticket) -> None:
        """Note the proof that a submit made no job: it does not count against any budget."""
        self._context.jobs.give_back(ticket.cost)
        self._context.recorder.count(NO_JOB)

    def advised(self, ticket: Ticket) -> None:
        """Note the API's advice to submit again: no proof, so what was reserved stays used."""
        self._context.jobs.keep()
        self._context.recorder.count(COST_UNPROVEN, ticket.cost or 0)

    def left(self, ticket: Ticket) -> None:
        """Note that a submit left this machine."""
        self._stuck.pop(ticket.row.n, None)

    def is_recalled(self, ticket: Ticket) -> bool:
        """Whether a submit that has not left yet would meet the refusal that another one met."""
        gate = self._lane.gate
        if gate.is_probing:
            is_refused = not gate.is_probe(ticket)
        else:
            is_refused = gate.held_s(HELD, self._context.clock.now()) > 0

        return is_refused or self._context.control.recalls_submits

    async def unsent(self, ticket: Ticket) -> None:
        """Take an intent back: the submit never left this process."""
        self.no_job(ticket)
        self._context.recorder.count(TAKEN_BACK)
        self._lane.gate.idle(ticket)
        with anyio.CancelScope(shield=True):
            await self._context.recorder.commit(
                Withdraw(ticket.row.n, self._context.clock.wall(), spent=False)
            )

    async def later(self, ticket: Ticket, verdict: Later) -> None:
        """No job now: put the row back, and slow down as the answer asks."""
        context = self._context
        if verdict.resubmission:
            self.advised(ticket)
        else:
            self.no_job(ticket)

        own_s = self.slow_down(ticket, verdict)
        ticket.spent += not verdict.throttled
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
        pause_s = own_s if verdict.throttled else RETRY.delay_s(ticket.spent, context.rng)
        self.again(ticket, pause_s)

    def slow_down(self, ticket: Ticket, verdict: Later) -> float:
        """Do with the lane as the answer asks. What is no throttle is a failure.

        Return for how long the row has to wait by itself, if only it was asked to.
        """
        context, gate, now = self._context, self._lane.gate, self._context.clock.now()
        if verdict.throttled:
            context.recorder.count("throttled")
            return gate.throttled(now, verdict.retry_after_s, ticket)

        gate.failed(now, ticket)
        if verdict.retry_after_s is not None:
            gate.throttled(now, verdict.retry_after_s, ticket)

        return 0.0

    async def unstick(self, ticket: Ticket, held_up: Stuck) -> None:
        """Nothing left because of this machine: no attempt is spent, and the API is not to blame.

        A row that it holds up again and again (its file cannot be opened) must end all the same.
        """
        context, n, error = self._context, ticket.row.n, held_up.error
        self.no_job(ticket)
        self._lane.gate.idle(ticket)
        text = f"rows cannot be sent for a reason of this machine: {error.message}"
        context.notices.tell("submit.stuck", text, urgent=True, once="stuck")
        tries = self._stuck[n] = self._stuck.get(n, 0) + 1
        if tries >= context.settings.max_attempts:
            del self._stuck[n]
            await context.end(ticket, Move.EXHAUST, error=error)
            return

        context.tally(error)
        await context.recorder.commit(Withdraw(n, context.clock.wall(), spent=False, error=error))
        self.again(ticket, RETRY.delay_s(tries, context.rng))

    async def halt(self, ticket: Ticket, verdict: Halt, turn: int) -> None:
        """No row would fare better: this row stays pending, and the run waits, goes on or ends.

        *turn* is the key's, under which the submit was sent.
        """
        context, gate = self._context, self._lane.gate
        self.no_job(ticket)
        context.tally(verdict.error)
        gate.answered(ticket)
        is_broke = verdict.reason is StopReason.OUT_OF_CREDITS
        if is_broke:
            self._money.close(verdict)
        else:
            gate.close_until(context.clock.now() + KEY_READ_S, KEY)

        await context.recorder.commit(
            Withdraw(ticket.row.n, context.clock.wall(), spent=False, error=verdict.error)
        )
        if is_broke:
            await self._money.halt(verdict)
        elif await context.renew_key(turn):
            self._lane.reopen(KEY)  # and one row tries the new one first
        else:
            context.control.halt(context.keyring.stop(verdict))

        self.again(ticket, 0.0)
