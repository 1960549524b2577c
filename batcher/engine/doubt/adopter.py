"""Out of doubt while the run goes on: rows whose jobs are known now, or proved not to exist.

Rule: a slot is taken before the decision, so that the run does not come to its end meanwhile. So
many rows leave at once as there are slots for them; the rest is told that there was no room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batcher.core.journal import Journal
from batcher.core.model import Ticket
from batcher.engine.books.decide import Rewritable
from batcher.engine.context import Context
from batcher.engine.doubt import adoption
from batcher.engine.doubt.adoption import Claim

OVER_LIMIT = 2  # so many times the slots may be taken by rows that come out of doubt


@dataclass(frozen=True, slots=True)
class Onward:
    """Where rows go on. Their slots are taken."""

    follow: Callable[[Ticket], None]  # poll a job that this process did not submit
    expect: Callable[[int], None]  # row number: it is submitted from here, not from the manifest
    submit: Callable[[Ticket], None]


class Adopter:
    """Takes rows out of doubt."""

    def __init__(self, context: Context, onward: Onward) -> None:
        self._context = context
        self._onward = onward

    async def take_out(self, claims: Sequence[Claim]) -> list[bool | None]:
        """Let rows in doubt go on as *claims* say, one claim a row.

        Says of each whether the row is as claimed now, whoever brought it there; None: no room.
        """
        slots = self._context.slots
        chosen = claims[: max(0, OVER_LIMIT * slots.limit - slots.used)]
        for told in chosen:
            slots.take()
            if told.job_id is None:
                self._onward.expect(told.n)

        at = self._context.clock.wall()
        doubted: set[int] = set()  # a row that left its doubt on another way is looked after there

        def decide(journal: Journal, outcomes: Rewritable) -> list[Ticket | None]:
            doubted.update(told.n for told in chosen if adoption.is_doubted(journal, told))
            return adoption.claim(journal, outcomes, chosen, at=at)

        tickets = await self._context.recorder.decide(decide) if chosen else []
        for told, ticket in zip(chosen, tickets, strict=True):
            if ticket is None or told.n not in doubted:
                slots.release()
            else:
                self._go_on(told, ticket)

        answers: list[bool | None] = [ticket is not None for ticket in tickets]
        return answers + [None] * (len(claims) - len(chosen))

    def _go_on(self, told: Claim, ticket: Ticket) -> None:
        """Follow the row's job, or submit it anew; at once, before anybody reads how it stands."""
        if told.job_id is not None:
            self._onward.follow(ticket)
            return

        context = self._context
        if not told.is_risk:
            context.jobs.open += 1  # it was used up by the doubt
            context.jobs.give_back(ticket.cost)

        self._onward.submit(ticket)
