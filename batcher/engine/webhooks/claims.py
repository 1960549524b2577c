"""Claims: the API's own calls say which job a submit made whose answer was lost.

Every submit is given an address of its own to be called at. A call to it names the job, so a row
whose answer never came need not be held in doubt; and a call for a job that is known makes its
poll due now. A call is a hint, never a result: what became of the job is read from the API.

Here is what the rest of the engine knows of it; `webhooks.py` does it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from batcher.core.model import RowError, Ticket
from batcher.engine.books.record import Recorder
from batcher.engine.doubt.adoption import Claim
from batcher.providers.base import Callback


@dataclass(frozen=True, slots=True)
class Ways:
    """What a call can lead to, and what it takes to get there."""

    accept: Callable[[Ticket, str], Coroutine[Any, Any, None]]  # a held ticket's job is known now
    doubt: Callable[[Ticket, RowError], Coroutine[Any, Any, None]]  # nobody claimed its job
    hasten: Callable[[Ticket], bool]  # make its poll due now; False: it does not wait for one
    # Take rows out of doubt and poll their jobs: `Adopter.take_out`.
    take_out: Callable[[Sequence[Claim]], Coroutine[Any, Any, list[bool | None]]]
    recorder: Recorder


class Claims:
    """Without webhooks: nothing is ever claimed."""

    @property
    def calls(self) -> bool:
        """Whether the API reports by itself, so that polling is only the safety net."""
        return False

    def callback(self, n: int, generation: int) -> Callback | None:
        """Return where the API is to call for one attempt of row *n*, or None."""
        return None

    def expect(self, ticket: Ticket) -> None:
        """Note that a submit of *ticket* is about to leave."""

    def settled(self, ticket: Ticket) -> str | None:
        """Note that the submit was answered, and return the job that a call named for it, if any.

        With a job, there is one, whatever the answer was; without, the answer needs no claim.
        """
        return None

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
        """Serve until cancelled; then what is still held is in doubt."""
