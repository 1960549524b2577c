"""Prices: what a row will be charged, asked before the row may take its turn to be submitted.

Rule: rows that cost the same are asked for once in a quarter of an hour. A price is asked for only
if the user wants to know it (`--quote`) or to be held to it (`--max-cost`); one that the user
states (`--cost-per-job`) is taken as it is.

Questions have a lane of their own, before the submit lane: with the pace that the API publishes for
them, a day's cap, and a gate that a 429 closes. So a row whose price is not known yet takes no
permit of the submit lane, and rows whose prices are known pass by.

With `--max-cost` no row goes on without its price: it waits, and if prices cannot be had, the run
stops. Without, a row whose price cannot be had now is submitted without one.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from batcher.core.backoff import Backoff
from batcher.core.errors import TransportError, UsageError
from batcher.core.exchange import Request
from batcher.core.lifecycle import Move
from batcher.core.model import ErrorKind, RowError, Stop, StopReason, Ticket
from batcher.core.money import job_cost
from batcher.core.pacing.rates import Rate
from batcher.core.settings import Settings
from batcher.core.verdict import Halt, Later, Price, PriceVerdict, Refused, Unreadable
from batcher.engine.context import Context
from batcher.engine.files.local import RowUnusable, local_files
from batcher.engine.lanes.caps import DailyCaps
from batcher.engine.lanes.headroom import Headroom
from batcher.engine.lanes.lane import Lane
from batcher.engine.lanes.opening import open_lane
from batcher.engine.lanes.paces import rate_of
from batcher.providers.base import Account, Provider, Quote

KEYS_MAX = 10_000  # prices that are remembered: a catalogue has a few hundred sizes
PLACES = 2  # a question takes a fraction of a second, and 5 a second is the most that is allowed
AGE_S_MAX = 900.0  # of a price: then it is asked for anew, for an API may change it any time
RETRY = Backoff(first_s=1.0, factor=2.0, cap_s=60.0)
OF_KEY = {
    ErrorKind.UNAUTHORIZED: StopReason.UNAUTHORIZED,
    ErrorKind.FORBIDDEN: StopReason.FORBIDDEN,
}


@dataclass(slots=True, eq=False)
class Question:
    """A question that is being put, and the rows that wait for its answer."""

    key: str
    request: Request
    rows: list[Ticket] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Known:
    """The answer to a question, and until when it is taken for true."""

    answer: int | Refused  # nanos, or why the API prices no such row
    until: float  # the event loop's seconds


def asked_account(settings: Settings, provider: Provider) -> Account | None:
    """Return the account to ask for prices; None = nobody is asked.

    Raises `UsageError` if the user wants prices that nobody can know.
    """
    flag = "--max-cost" if settings.max_cost is not None else "--quote" if settings.quote else ""
    if not flag or settings.cost_per_job is not None:
        return None

    if provider.account is None:
        raise UsageError(
            f"{flag}: {provider.facts.title} quotes no prices; "
            "say what a job costs with --cost-per-job"
        )

    return provider.account


def stated_cost(settings: Settings) -> int | None:
    """Return what the user says that a job costs, in nanos; None = nothing."""
    cost = job_cost(settings.cost_per_job)
    if cost is None and settings.cost_per_job is not None:
        raise UsageError(f"--cost-per-job {settings.cost_per_job:g}: no job costs that much")

    return cost


class Prices:
    """Gives rows their prices on the way to the submit lane."""

    def __init__(
        self,
        context: Context,
        submit: Callable[[Ticket], None],
        put_back: Callable[[Ticket], None],
    ) -> None:
        settings, provider = context.settings, context.provider
        self._context = context
        self._submit = submit  # hands a row on to the submit lane
        self._put_back = put_back  # leaves a row pending: nothing is submitted any more
        self._account = asked_account(settings, provider)
        self._stated = stated_cost(settings)
        self._must = settings.max_cost is not None
        self._known: OrderedDict[str, Known] = OrderedDict()  # the oldest first
        self._asked: dict[str, Question] = {}
        self._refused: deque[tuple[Ticket, RowError]] = deque()
        self._bell = anyio.Event()
        self._failures = 0  # rounds in a row in which no price could be had
        rate = rate_of(provider.limits().price)
        caps = DailyCaps(rate, [], context.clock.wall)
        held = None if self._must else self._let_pass
        opened: tuple[Lane[Question], Headroom] = open_lane(
            "price", PLACES, rate, caps, context, context.control.halt, held
        )
        self.lane, self._room = opened

    @property
    def rate(self) -> Rate | None:
        """What price questions are held to now."""
        return self._room.rate

    def price(self, ticket: Ticket) -> None:
        """Bring a row to the submit lane; first ask for its price, where that is wanted."""
        ticket.cost = self._stated
        question = self._question(ticket)
        if question is None:
            self._submit(ticket)
        elif (known := self._known.get(question.key)) and known.until > self._context.clock.now():
            self._settle(ticket, known.answer)
        elif question.key in self._asked:
            self._asked[question.key].rows.append(ticket)
        else:
            asked = Question(question.key, question.request, [ticket])
            self._asked[question.key] = asked
            self.lane.add(asked, self._context.clock.now())

    def drain(self) -> None:
        """Leave every row pending that waits for its price."""
        self.lane.shut()
        for question in self.lane.drain():
            self._release(question, self._put_back)

    async def ask(self, question: Question) -> None:
        """Put one question, and let the rows that wait for its answer go on."""
        turn = self._context.keyring.turn
        verdict = await self._answer(question)
        match verdict:
            case Price():
                self._know(question, job_cost(verdict.amount) or 0)
            case Refused():
                self._know(question, verdict)
            case _ if self._context.control.halted.is_set():
                self._release(question, self._put_back)
            case Unreadable() if self._must and verdict.error.kind in OF_KEY:
                await self._key_refused(question, verdict.error, turn)
            case _:
                self._unknown(question, verdict)

    async def end_refused(self) -> None:
        """Give rows that the API will not even price their outcome, until cancelled."""
        while True:
            while self._refused:
                ticket, error = self._refused.popleft()
                await self._context.end(ticket, Move.REJECT, error=error)

            self._bell = anyio.Event()
            await self._bell.wait()

    # --- Questions ---------------------------------------------------------------------------

    def _question(self, ticket: Ticket) -> Quote | None:
        """Return the question for a row's price; None = there is none."""
        if self._account is None:
            return None

        values = ticket.row.values()
        try:
            return self._account.quote(values, local_files(values, ticket.row.base))
        except RowUnusable:
            return None  # the submit finds the same, and ends the row

    async def _answer(self, question: Question) -> PriceVerdict:
        context, account = self._context, self._account
        assert account is not None  # noqa: S101  # else nothing is asked
        timeout_s = context.settings.status_timeout_s
        context.recorder.count("price_requests")
        try:
            response = await context.transport.send(question.request, timeout_s=timeout_s)
        except TransportError as failure:
            return Unreadable(RowError(ErrorKind.CONNECTION, failure.reason, retriable=True))

        self._room.note(context.provider.windows(response))
        verdict = account.read_quote(response)
        if not isinstance(verdict, Price):
            context.log_answer("price", question.rows[0], response, verdict.error)
        elif job_cost(verdict.amount) is None:
            text = f"a price of {verdict.amount:g} cannot be meant"
            return Unreadable(RowError(ErrorKind.PROTOCOL, text, response.status))

        if isinstance(verdict, Refused) and verdict.error.kind is ErrorKind.OUT_OF_CREDITS:
            return Unreadable(verdict.error)  # that says nothing of the row

        return verdict

    # --- Answers -----------------------------------------------------------------------------

    def _know(self, question: Question, answer: int | Refused) -> None:
        """Keep an answer, and let the rows that wait for it go on."""
        self._failures = 0
        self.lane.gate.succeeded(question)
        self._known[question.key] = Known(answer, self._context.clock.now() + AGE_S_MAX)
        self._known.move_to_end(question.key)
        if len(self._known) > KEYS_MAX:
            self._known.popitem(last=False)

        self._release(question, lambda ticket: self._settle(ticket, answer))

    def _settle(self, ticket: Ticket, answer: int | Refused) -> None:
        if isinstance(answer, int):
            ticket.cost = answer
            self._submit(ticket)
        elif self._must:
            self._refused.append((ticket, answer.error))
            self._bell.set()
        else:
            self._submit(ticket)

    def _release(self, question: Question, go: Callable[[Ticket], None]) -> None:
        """Let the rows of a question that is over go *go*."""
        self._asked.pop(question.key, None)
        for ticket in question.rows:
            go(ticket)

    def _unknown(self, question: Question, verdict: Later | Unreadable) -> None:
        """No price now: with `--max-cost` the rows wait for it, else they do without."""
        context, gate = self._context, self.lane.gate
        now, wait_s = context.clock.now(), getattr(verdict, "retry_after_s", None)
        own_s = 0.0
        context.tally(verdict.error)
        if isinstance(verdict, Later) and verdict.throttled:
            context.recorder.count("throttled")
            own_s = gate.throttled(now, wait_s, question)
        else:
            self._count_failure(question, wait_s)

        if not self._must:
            self._release(question, self._submit)
        elif self._failures >= context.settings.max_attempts:
            message = (
                "prices cannot be had, and without them --max-cost cannot be kept; the last "
                f"answer: {verdict.error.message}"
            )
            context.control.halt(Stop(StopReason.UNAVAILABLE, message))
            self._release(question, self._put_back)
        else:
            self.lane.add(question, now + own_s)

    async def _key_refused(self, question: Question, error: RowError, turn: int) -> None:
        """No price under this key: ask under another one if there is one, else end."""
        context = self._context
        context.tally(error)
        self.lane.gate.answered(question)
        is_renewed = await context.renew_key(turn)
        if is_renewed and not context.control.halted.is_set():
            self.lane.add(question, context.clock.now())
            return

        if not is_renewed:
            stop = context.keyring.stop(Halt(error, OF_KEY[error.kind]))
            message = f"{stop.message}; without prices --max-cost cannot be kept"
            context.control.halt(Stop(stop.reason, message))

        self._release(question, self._put_back)

    def _count_failure(self, question: Question, wait_s: float | None) -> None:
        """Close the lane for a growing time; what fails beside the first is the same failure."""
        gate, now = self.lane.gate, self._context.clock.now()
        gate.idle(question)
        if gate.wait_s(now) == 0:
            pause_s = RETRY.delay_s(self._failures, self._context.rng)
            gate.close_until(now + max(pause_s, wait_s or 0.0), "failing")
            self._failures += 1

    def _let_pass(self, wait_s: float) -> None:
        """Where prices are only wanted, let nobody wait for a lane that is closed."""
        for question in self.lane.drain():
            self._release(question, self._submit)
