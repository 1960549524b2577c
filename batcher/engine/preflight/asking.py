"""Preflight: questions to an API before a run, none of which costs anything.

Does the key work, what do the models allow, what is the balance, what will the rows cost. Rule: few
questions (an API may answer 200 a day), never faster than it publishes, and a 429 ends them.
Whatever it does not tell is said to be unknown; only a key that it refuses, or an address where it
does not answer at all, is a `UsageError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio

from batcher.adapters.pacing import Pacer
from batcher.core.errors import TransportError, UsageError
from batcher.core.exchange import Request, Response, Transport
from batcher.core.model import ErrorKind, RowError
from batcher.core.pacing.rates import Rate, parse_rate
from batcher.core.settings import Settings
from batcher.core.verdict import Balance, Halt, Later, Model, ModelsPage, Unreadable
from batcher.engine.preflight.kinds import Kinds
from batcher.engine.preflight.sums import Priced, Quotes
from batcher.providers.base import Account, Provider

V = TypeVar("V")

PAGES_MAX = 40  # of models, 50 on each: there are a few dozen models
PAUSES_S = (1.0, 3.0)  # before a question that was not answered is put again
PRICE_RATE = "1/s"  # where the API publishes none
JOB_OF_NOBODY = "00000000-0000-0000-0000-000000000000"  # its answer tells whether a key works


@dataclass(frozen=True, slots=True)
class Learned:
    """What an API says of itself and of the account. A problem says why something is not known."""

    models: tuple[Model, ...] = ()
    models_problem: RowError | None = None
    balance: float | None = None
    balance_problem: RowError | None = None
    key_problem: RowError | None = None  # why it is not known whether the key works


class Preflight:
    """Puts questions to one API, one at a time. `key_source` is where the key came from."""

    def __init__(self, provider: Provider, transport: Transport, key_source: str) -> None:
        self._provider = provider
        self._transport = transport
        self._key_source = key_source
        self._timeout_s = Settings().status_timeout_s

    async def learn(self) -> Learned:
        """Ask for models and balance; where an API has neither, only whether the key works."""
        account = self._provider.account
        if account is None:
            return Learned(key_problem=await self._key_problem())

        models = await self._models(account)
        balance = await self._patiently(account.balance(), account.read_balance)
        amount = balance.amount if isinstance(balance, Balance) else None
        unread = None if isinstance(balance, Balance) else balance.error
        if unread is not None:
            self._refuse_dead_key(unread, may_be_forbidden=True)

        if isinstance(models, RowError):
            if unread is not None and not _is_forbidden(unread):
                raise UsageError(f"{self._title} answers nothing that can be used: {said(models)}")

            return Learned((), models, amount, unread)

        return Learned(models, None, amount, unread)

    async def prices(self, kinds: Kinds, questions_max: int) -> Priced:
        """Ask for the prices of the largest kinds, and estimate what the others cost."""
        account = self._provider.account
        if account is None:
            raise ValueError("an API without an account quotes no price")

        rate = price_rate(self._provider)
        pacer, quotes = Pacer(rate), Quotes(kinds)
        for kind in kinds.largest(min(questions_max, day_cap(rate))):
            await pacer.permits(1)
            verdict = await self._once(kind.request, account.read_quote)
            if isinstance(verdict, Later | Unreadable):
                self._refuse_dead_key(verdict.error)

            quotes.note(kind, verdict)
            if quotes.is_over:
                break

        return quotes.sum()

    # --- One question -------------------------------------------------------------------------

    async def _key_problem(self) -> RowError | None:
        """Ask for a job that does not exist: an API that says so has taken the key."""
        verdict = await self._patiently(
            self._provider.status(JOB_OF_NOBODY), self._provider.read_status
        )
        match verdict:
            case Halt() | Later() | Unreadable():
                self._refuse_dead_key(verdict.error)
                self._refuse_silence(verdict.error)
                return verdict.error
            case _:
                return None

    async def _models(self, account: Account) -> tuple[Model, ...] | RowError:
        """Return all models, or why not all could be read: some of them are as good as none."""
        found: list[Model] = []
        page = 1
        for _ in range(PAGES_MAX):
            verdict = await self._patiently(account.models(page), account.read_models)
            if not isinstance(verdict, ModelsPage):
                self._refuse_dead_key(verdict.error)
                self._refuse_silence(verdict.error)
                return verdict.error

            found += verdict.models
            if verdict.next_page is None:
                return tuple(found)

            if verdict.next_page <= page:
                return _problem(f"page {page} of the models is followed by {verdict.next_page}")

            page = verdict.next_page

        return _problem(f"there are more than {PAGES_MAX} pages of models")

    async def _patiently(self, request: Request, read: Callable[[Response], V]) -> V | Unreadable:
        """Put a question, and again if it may be answered the next time."""
        verdict = await self._once(request, read)
        for pause_s in PAUSES_S:
            if not _may_pass(verdict):
                break

            await anyio.sleep(pause_s)
            verdict = await self._once(request, read)

        return verdict

    async def _once(self, request: Request, read: Callable[[Response], V]) -> V | Unreadable:
        try:
            return read(await self._transport.send(request, timeout_s=self._timeout_s))
        except TransportError as failure:
            return Unreadable(RowError(ErrorKind.CONNECTION, failure.reason, retriable=True))

    # --- What ends it -------------------------------------------------------------------------

    @property
    def _title(self) -> str:
        return self._provider.facts.title

    def _refuse_dead_key(self, error: RowError, *, may_be_forbidden: bool = False) -> None:
        """Raise `UsageError` if an answer shows that the key is good for nothing."""
        if _is_unauthorized(error):
            raise UsageError(
                f"{self._key_source}: {self._title} does not take this API key: {_sentence(error)} "
                "Nothing was spent; put in a key that is valid and ask again"
            )

        if _is_forbidden(error) and not may_be_forbidden:
            raise UsageError(
                f"{self._key_source}: {self._title} knows this API key and lets it do nothing: "
                f"{_sentence(error)} Nothing was spent; see what the account says of the key"
            )

    def _refuse_silence(self, error: RowError) -> None:
        if error.kind is ErrorKind.CONNECTION:
            raise UsageError(f"{self._title} cannot be reached: {error.message}")


def price_rate(provider: Provider) -> Rate:
    """Return how fast prices may be asked for."""
    return parse_rate(provider.limits().price or PRICE_RATE)


def day_cap(rate: Rate) -> int:
    """Return how many questions a whole day allows."""
    return min((int(window.count) for window in rate.day_caps), default=1_000_000_000)


def said(error: RowError) -> str:
    """Return what an API said, with its code in front: `401 invalid_key: Unauthenticated.`"""
    marks = [str(mark) for mark in (error.http_status, error.code) if mark]
    return f"{' '.join(marks)}: {error.message}" if marks else error.message


def _sentence(error: RowError) -> str:
    return f"{said(error).rstrip('.')}."


def _may_pass(verdict: object) -> bool:
    """Whether the same question may be answered in a moment. A 429 asks for longer than that."""
    match verdict:
        case Later():
            return not verdict.throttled
        case Unreadable():
            refused = _is_unauthorized(verdict.error) or _is_forbidden(verdict.error)
            return verdict.error.retriable and not refused
        case _:
            return False


def _is_unauthorized(error: RowError) -> bool:
    return error.kind is ErrorKind.UNAUTHORIZED or error.http_status == 401


def _is_forbidden(error: RowError) -> bool:
    return error.kind is ErrorKind.FORBIDDEN or error.http_status == 403


def _problem(message: str) -> RowError:
    return RowError(ErrorKind.PROTOCOL, message)
