"""What the account holds: told at the start, and waited for when it is used up.

Rule: with `--wait-for-credits` the run asks for the balance, which costs nothing, in growing
intervals, and sends no submit until one may succeed: the balance has risen to what the API wants,
or the time has come that the API named. Then one single row tries for all of them.

The balance does not tell everything: some keys may not read it, some have a limit of their own, and
money may have come between the refusal and our first look. So where it forbids nothing, one row
tries after a long, growing wait as well; and never more than one. Where an API answers no balance
this is all there is.
"""

from __future__ import annotations

from math import isfinite

import anyio

from batcher.core.backoff import Backoff
from batcher.core.errors import TransportError
from batcher.core.model import Stop, Ticket
from batcher.core.money import amount_text, nanos
from batcher.core.pacing.gate import WAIT_MAX_S
from batcher.core.verdict import Balance, Halt
from batcher.engine.context import Context
from batcher.engine.lanes.lane import Lane

LOOK = Backoff(first_s=80.0, factor=1.5, cap_s=900.0)
BLIND_TRY = Backoff(first_s=600.0, factor=2.0, cap_s=7_200.0)
CREDITS = "credits"  # why the gate is closed
BALANCE = "balance"  # the journal's fact: what the account held at the start


class Credits:
    """Watches the account's money for one run. `lane` is the submit lane."""

    def __init__(self, context: Context, lane: Lane[Ticket]) -> None:
        self._context = context
        self._lane = lane
        self._account = context.provider.account
        self._begun = anyio.Event()
        self._bell = anyio.Event()
        self._is_waiting = False  # from the refusal until a row is accepted again
        self._is_closed = False  # no row may try yet
        self._is_halting = False
        self._tries = 0  # rows that tried for all of them since
        self._resume_at: float | None = None
        self._untold: str | None = None  # the refusal that nobody was told of yet

    def begin(self) -> None:
        """Note that there is something to submit, and so something to pay."""
        self._begun.set()

    async def run(self) -> None:
        """Tell the balance once, then reopen the lane whenever it may be; until cancelled."""
        await self._begun.wait()
        await self._tell_balance()
        while True:
            self._bell = anyio.Event()
            if not self._is_closed:
                await self._bell.wait()

            await self._wait_until_one_may_try()
            self._tries += 1
            self._is_closed = False
            self._lane.reopen(CREDITS)

    async def read(self) -> float | None:
        """Ask for the balance; None = the API does not tell it, or not now."""
        context, account = self._context, self._account
        if account is None:
            return None

        try:
            response = await context.transport.send(
                account.balance(), timeout_s=context.settings.status_timeout_s
            )
        except TransportError as failure:
            context.log.info("balance.unknown", reason=failure.reason)
            return None

        verdict = account.read_balance(response)
        if isinstance(verdict, Balance):
            return verdict.amount if isfinite(verdict.amount) else None

        context.log.info("balance.unknown", reason=verdict.error.message)
        return None

    async def _tell_balance(self) -> None:
        balance, account = await self.read(), self._account
        if balance is None or account is None:
            return

        self._context.log.info("account.balance", balance=balance, currency=account.currency)
        await self._context.recorder.ask(lambda journal: journal.note({BALANCE: repr(balance)}))
        if balance < account.balance_min:
            self._context.notices.tell(
                "account.low",
                f"the account holds {self._text(balance)}; "
                f"with less than {account.balance_min:g} the API takes no job",
            )

    def _text(self, balance: float) -> str:
        currency = "" if self._account is None else self._account.currency
        return f"{amount_text(nanos(balance))} {currency}".rstrip()

    # --- Used up -----------------------------------------------------------------------------

    def close(self, verdict: Halt) -> None:
        """Let no submit start: at once, before anything else is done about the refusal."""
        context = self._context
        self._lane.gate.close_until(context.clock.now() + self._look_s, CREDITS)
        if not context.settings.wait_for_credits or self._is_closed:
            return  # a refusal of a submit that was open when the lane closed

        self._is_closed = True
        is_ahead = verdict.resume_at is not None and verdict.resume_at > context.clock.wall()
        self._resume_at = verdict.resume_at if is_ahead else None
        self._bell.set()
        if not self._is_waiting:
            self._is_waiting = True
            self._tries = 0
            self._untold = verdict.error.message

    async def halt(self, verdict: Halt) -> None:
        """Stop the run and say what the account holds, unless the run waits for more."""
        context = self._context
        if context.settings.wait_for_credits or self._is_halting:
            return

        self._is_halting = True
        stop = context.keyring.stop(verdict)
        balance = await self.read()
        if balance is not None:
            message = f"{stop.message}; the account holds {self._text(balance)}"
            stop = Stop(stop.reason, message, stop.resume_at)

        context.control.halt(stop)

    def accepted(self) -> None:
        """Note that a job was made: if it was the one that tried, there are credits again."""
        if self._is_waiting and not self._lane.gate.is_probing:
            self._is_waiting = self._is_closed = False
            text = "there are credits again, the run goes on"
            self._context.notices.tell("credits.back", text, urgent=True)

    def refused(self, ticket: Ticket) -> None:
        """Note that the API will never take this row: it works, but that tells of no credits."""
        gate = self._lane.gate
        note = gate.answered if self._is_waiting else gate.succeeded
        note(ticket)

    # --- Waiting -----------------------------------------------------------------------------

    @property
    def _look_s(self) -> float:
        """How long one look at the balance can take."""
        return self._context.settings.status_timeout_s + 1.0

    async def _wait_until_one_may_try(self) -> None:
        context = self._context
        self._lane.gate.close_until(context.clock.now() + self._look_s, CREDITS)
        blind_at = context.clock.now() + BLIND_TRY.delay_s(self._tries, context.rng)
        at_closing = now_held = await self.read()
        looks = 0
        while not self._may_try(at_closing, now_held, blind_at):
            pause_s = self._pause_s(now_held, blind_at, looks)
            self._tell_waiting(pause_s, looks=now_held is not None)
            self._lane.gate.close_until(context.clock.now() + pause_s + self._look_s, CREDITS)
            await anyio.sleep(pause_s)
            now_held = await self.read()
            at_closing = now_held if at_closing is None else at_closing
            looks += 1

    def _tell_waiting(self, pause_s: float, *, looks: bool) -> None:
        """Tell once that the run waits, and when it does what next."""
        if self._untold is None:
            return

        what = "looks again" if looks else "lets one row try"
        text = f"the credits are used up; the run waits, and {what} in {minutes(pause_s)}"
        self._context.notices.tell("credits.waiting", f"{text}: {self._untold}", urgent=True)
        self._untold = None

    def _may_try(self, at_closing: float | None, held: float | None, blind_at: float) -> bool:
        """Whether one row may try now."""
        clock = self._context.clock
        if self._resume_at is not None and clock.wall() >= self._resume_at:
            return True

        if held is not None and self._account is not None:
            if held < self._account.balance_min:
                return False

            if at_closing is not None and held > at_closing:
                return True

        return clock.now() >= blind_at

    def _pause_s(self, held: float | None, blind_at: float, looks: int) -> float:
        """Return how long until the next look: a balance that cannot be read is not asked for."""
        clock, rng = self._context.clock, self._context.rng
        pauses = [LOOK.delay_s(looks, rng) if held is not None else WAIT_MAX_S]
        if blind_at > clock.now():
            pauses.append(blind_at - clock.now())

        if self._resume_at is not None:
            pauses.append(self._resume_at - clock.wall() + rng.uniform(0.0, 1.0))

        return max(0.0, min(pauses))


def minutes(seconds: float) -> str:
    """Return a wait in words that do not promise a second."""
    return f"about {max(1, round(seconds / 60.0))} min"
