"""Marks: the name of each attempt, by which an API can be asked for it again.

Rule: a mark is derived, never stored: from a secret that the journal keeps, the row's number and
the attempt's. So it is the same after any restart and under another API key, each attempt has its
own, and nobody can guess one. What was sent without a mark is never looked for by one: the journal
keeps since when marks have travelled, for each means by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import msgspec

from batcher.core.errors import StorageError
from batcher.core.exchange import Request
from batcher.core.journal import Journal
from batcher.core.model import Ticket
from batcher.core.secret import Secret
from batcher.providers.base import Idempotency, Listing, Provider

FACT = "marks"  # the fact that holds the secret
MARK_BYTES = 16


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the journal keeps: since when, in epoch seconds, marks travel by each means."""

    secret: str
    key_since: float | None = None
    list_since: float | None = None


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of one run. Without a means at the API there are none."""

    idempotency: Idempotency | None
    listing: Listing | None
    _kept: Kept
    _secret: Secret

    @classmethod
    def of(
        cls, provider: Provider, journal: Journal, make_secret: Callable[[], str], at: float
    ) -> Self:
        """Return the marks of a run; its secret is made, and durable, before the first is used.

        Raises `StorageError` if it is not as it was written.
        """
        key, listing = provider.idempotency, provider.listing
        text = journal.fact(FACT)
        known = Kept("") if text is None else _kept(text)
        kept = Kept(
            known.secret or ("" if key is None and listing is None else make_secret()),
            _since(key is not None, known.key_since, at),
            _since(listing is not None, known.list_since, at),
        )
        if kept != known:
            journal.note({FACT: msgspec.json.encode(kept).decode()})

        return cls(key, listing, kept, Secret(kept.secret, "the marks of a run"))

    def put(self, request: Request, n: int, generation: int) -> Request:
        """Return a submit that carries the mark of its attempt, as often as the API wants it."""
        for means in (self.idempotency, self.listing):
            if means is not None:
                request = means.mark(request, self.of_attempt(n, generation))

        return request

    def of_attempt(self, n: int, generation: int) -> str:
        """Return the mark of one attempt of row *n*: 32 hexadecimal digits."""
        return self._secret.mac(f"mark {n}-{generation}".encode())[:MARK_BYTES].hex()

    def has_key(self, ticket: Ticket) -> bool:
        """Whether the row's last attempt left with a key."""
        return _is_since(ticket.submitted_at, self._kept.key_since)

    def is_listed(self, ticket: Ticket) -> bool:
        """Whether the job of the row's last attempt, if there is one, has its mark in the list."""
        return _is_since(ticket.submitted_at, self._kept.list_since)


def _kept(text: str) -> Kept:
    try:
        return msgspec.json.decode(text, type=Kept)
    except msgspec.MsgspecError as error:
        raise StorageError(f"the journal is corrupt: its marks: {error}") from error


def _since(has_means: bool, known: float | None, at: float) -> float | None:
    """Return since when marks travel by a means; one that comes back begins anew."""
    return (known or at) if has_means else None


def _is_since(at: float | None, since: float | None) -> bool:
    return at is not None and since is not None and at >= since
