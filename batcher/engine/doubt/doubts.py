"""Rows that stay in doubt: held, with an outcome, until the list tells of them or a person does.

Rule: the user's policy (`--on-doubt`, `--max-duplicates`) comes last. Where the API has a list of
jobs, the list is asked first: such a row is held, and may be sent again only at the end of the run.
"""

from __future__ import annotations

from batcher.core.events import Decide
from batcher.core.lifecycle import Move
from batcher.core.model import RowError, Ticket
from batcher.engine.context import Context
from batcher.engine.doubt.adopter import Adopter, Onward
from batcher.engine.doubt.adoption import Claim, is_doubted
from batcher.engine.doubt.listing import Lister
from batcher.engine.doubt.resend import Resent
from batcher.engine.money.budget import DUPLICATES


class Doubts:
    """The rows in doubt of one run."""

    def __init__(self, context: Context, onward: Onward) -> None:
        self.resent = Resent()
        self.adopter = Adopter(context, onward)
        self._context = context
        listing = context.marks.listing
        self._lister = (
            None if listing is None else Lister(context, listing, self.adopter, self.resent)
        )
        self._unheard: dict[int, Claim] = {}  # risks that wait for what the list says

    async def frees(self, ticket: Ticket, error: RowError) -> bool:
        """Hold a row in doubt; True: it may be submitted again instead, in spite of the doubt."""
        if self._lister is None and self.risks():
            await self.risk(ticket, error)
            return True

        await self._context.end(ticket, Move.DOUBT, error=error)
        if self._lister is not None:
            self._lister.note(ticket)
            self._keep_for_the_end(ticket, error)

        return False

    def risks(self) -> bool:
        """Take one of the rows that the user chose to submit again in doubt; False: none is left.

        Where the API can tell later, a run that ends leaves its doubts to the next process: by its
        calls, for as long as it tries, or by the key. Nothing more is submitted here anyway.
        """
        context, settings = self._context, self._context.settings
        if settings.on_doubt != "resubmit":
            return False

        may_tell = settings.webhook_url is not None or context.marks.idempotency is not None
        if may_tell and context.control.interrupted.is_set():
            return False

        return context.jobs.risk_duplicate(settings.max_duplicates)

    async def risk(self, ticket: Ticket, error: RowError) -> None:
        """Let a row whose submit was not answered be submitted again, and count the risk."""
        context = self._context
        context.recorder.count(DUPLICATES)
        await context.recorder.commit(
            Decide(ticket.row.n, context.clock.wall(), Move.RESUBMIT, note=error.message)
        )

    def begin(self) -> None:
        """Let the list be asked: it is decided which rows are sent again under their keys."""
        if self._lister is not None:
            self._lister.begin()

    async def run(self) -> None:
        """Ask the list whenever it may tell something, until cancelled."""
        if self._lister is not None:
            await self._lister.run()

    async def wait_at_end(self) -> None:
        """Wait, though nothing else is to be done, for rows that may still leave their doubt.

        It ends with a slot taken if any did. A run that was stopped leaves them to the next one.
        """
        if self._lister is None or self._context.control.halted.is_set():
            return

        await self._lister.wait_at_end()
        if not self._context.slots.used:
            await self._risk_the_unheard()

    def _keep_for_the_end(self, ticket: Ticket, error: RowError) -> None:
        """Remember a row that the policy is for, if the list does not tell: so many and no more."""
        settings, n = self._context.settings, ticket.row.n
        if settings.on_doubt == "resubmit" and len(self._unheard) < settings.max_duplicates:
            self._unheard[n] = Claim(n, ticket.generation, None, error.message, is_risk=True)

    async def _risk_the_unheard(self) -> None:
        """Let rows be submitted again of which the list does not tell: as many as have slots."""
        slots, halted = self._context.slots, self._context.control.halted
        while self._unheard and not slots.used and not halted.is_set():
            count = min(slots.limit, len(self._unheard))
            claims = [self._unheard.popitem()[1] for _ in range(count)]
            chosen = [claim for claim in await self._still_in_doubt(claims) if self.risks()]
            if chosen:
                await self.adopter.take_out(chosen)

    async def _still_in_doubt(self, claims: list[Claim]) -> list[Claim]:
        return await self._context.recorder.ask(
            lambda journal: [told for told in claims if is_doubted(journal, told)]
        )
