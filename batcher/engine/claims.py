"""Claims: the API's own calls say which job a submit made whose answer was lost.

Every submit is given an address of its own to be called at. A call to it names the job, so a row
whose answer never came need not be held in doubt; and a call for a job that is known makes its
poll due now. A call is a hint, never a result: what became of the job is read from the API.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from batcher.core.model import RowError, Ticket
from batcher.providers.base import Callback


@dataclass(frozen=True, slots=True)
class Ways:
    """What a call can lead to."""

    accept: Callable[[Ticket, str], Awaitable[None]]  # a held ticket's job is known now
    doubt: Callable[[Ticket, RowError], Awaitable[None]]  # nobody claimed a held ticket's job
    hasten: Callable[[Ticket], None]  # make the poll of a followed ticket due now


class Claims:
    """Without webhooks: nothing is ever claimed."""

    calls = False  # whether the API reports by itself, so that polling is only the safety net

    def callback(self, n: int, generation: int) -> Callback | None:
        """Return where the API is to call for one attempt of row *n*, or None."""
        return None

    def expect(self, ticket: Ticket) -> None:
        """Note that a submit of *ticket* is about to leave."""

    def settled(self, ticket: Ticket) -> None:
        """Note that the submit was answered: whatever the answer was, it needs no claim."""

    def hold(self, ticket: Ticket, error: RowError) -> bool:
        """Take over a ticket whose submit was not answered; False: nothing will be claimed.

        Later it goes one of the `Ways`: its job is claimed and accepted, or it is in doubt.
        """
        return False

    def follow(self, ticket: Ticket) -> None:
        """Note that the job of *ticket* is known and polled: a call makes its poll due."""

    def forget(self, ticket: Ticket) -> None:
        """Note that *ticket* has its outcome."""

    async def run(self, ways: Ways) -> None:
        """Serve until cancelled."""
