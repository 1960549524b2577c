"""What a process remembers of its submits for the sake of calls: who waits for one, who is polled.

Rule: it grows with what is in flight and with nothing else. Only the last attempt of a row counts;
times are the event loop's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from batcher.core.model import RowError, Ticket
from batcher.core.verdict import JobEvent

WORDS_MAX = 8  # words of the API for which one job is looked at early


@dataclass(slots=True)
class Held:
    """A submit without an answer, whose job may still be named."""

    ticket: Ticket
    error: RowError
    until: float


@dataclass(slots=True)
class Followed:
    """A job that is polled."""

    ticket: Ticket
    is_ours: bool  # submitted by this process: all its calls come to us
    is_called: bool = False  # one of them came
    words: set[str] = field(default_factory=set)  # for which it was looked at early
    missed: bool = False  # a call came while it was not queued: it is to be looked at once it is


class Attempts:
    """The submits and jobs of one process. `named` are jobs that an earlier one kept."""

    def __init__(self, named: Mapping[str, str]) -> None:
        self.held: dict[int, Held] = {}
        self.named = dict(named)  # attempt -> its job, by a call, until the row has it
        self._open: dict[int, int] = {}  # row -> generation that is submitted
        self._answered: set[int] = set()  # rows of `_open` whose answer came
        self._followed: dict[int, Followed] = {}
        self._over: dict[
            int, str
        ] = {}  # row -> the word that its job ended with, before it is known

    def expect(self, ticket: Ticket) -> None:
        """Open an attempt; whatever was known of the row before is past."""
        n, generation = ticket.row.n, ticket.generation
        self.forget(ticket)
        self.named.pop(key_of(n, generation - 1), None)
        self._open[n] = generation

    def answered(self, ticket: Ticket) -> str | None:
        """Note that the answer came; return the job that a call named before it."""
        self._answered.add(ticket.row.n)
        return self.named.get(key_of(ticket.row.n, ticket.generation))

    def hold(self, held: Held) -> None:
        """Wait for a call."""
        self.close(held.ticket.row.n)
        self.held[held.ticket.row.n] = held

    def follow(self, ticket: Ticket) -> tuple[Followed, str | None]:
        """Note that a job is polled; return it, and the job that a call named for its attempt."""
        n = ticket.row.n
        known = self._followed.get(n)
        if known is None or known.ticket is not ticket:
            known = self._followed[n] = Followed(ticket, is_ours=n in self._open)

        word = self._over.pop(n, None)
        if word is not None:
            known.words.add(word)
            known.missed = True

        self.close(n)
        named = self.named.pop(key_of(n, ticket.generation), None)
        known.is_called |= named is not None
        return known, named

    def forget(self, ticket: Ticket) -> Followed | None:
        """Drop a row; return what was followed of it."""
        n = ticket.row.n
        self.close(n)
        self.held.pop(n, None)
        self._over.pop(n, None)
        self.named.pop(key_of(n, ticket.generation), None)
        return self._followed.pop(n, None)

    def followed(self, n: int, generation: int) -> Followed | None:
        """Return the polled job of an attempt, if it has one."""
        known = self._followed.get(n)
        if known is None or known.ticket.generation != generation or known.ticket.job_id is None:
            return None

        return known

    def is_open(self, n: int, generation: int) -> bool:
        """Whether the attempt left and was not answered yet."""
        return self._open.get(n) == generation and n not in self._answered

    def is_held(self, n: int, generation: int) -> bool:
        """Whether the attempt waits for a call."""
        held = self.held.get(n)
        return held is not None and held.ticket.generation == generation

    def name(self, n: int, generation: int, event: JobEvent) -> str:
        """Note the job of an attempt, unless it has one; return the one that it has."""
        if event.is_end:
            self._over[n] = event.word

        return self.named.setdefault(key_of(n, generation), event.job_id)

    def named_of(self, ticket: Ticket) -> str | None:
        """Return the job that a call named for a ticket's attempt."""
        return self.named.get(key_of(ticket.row.n, ticket.generation))

    def leftovers(self) -> list[tuple[int, int, str]]:
        """Drop what an earlier process kept of attempts that nobody waits for; return it."""
        waiting = {key_of(n, held.ticket.generation) for n, held in self.held.items()}
        left = {key: job for key, job in self.named.items() if key not in waiting}
        self.named = {key: job for key, job in self.named.items() if key in waiting}
        split = ((key.split("-"), job) for key, job in left.items())
        return [(int(n), int(generation), job) for (n, generation), job in split]

    def close(self, n: int) -> None:
        """Note that no answer is waited for any more."""
        self._open.pop(n, None)
        self._answered.discard(n)


def key_of(n: int, generation: int) -> str:
    """Return the name of an attempt."""
    return f"{n}-{generation}"
