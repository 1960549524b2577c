"""Who goes before a probe: where the API answers something for nothing, that is asked first.

Rule: in an outage each probe is one row's attempt, and where a gateway answers 502 it is a doubt
that may have cost money. So while a lane is closed because everything failed, the balance is asked
before a row may try. No answer, or a server's own trouble: the row stays, and the next look comes
later. Any other answer shows that somebody is there; then one row tries for all. After a 429 it
says nothing: the limit of one question is not that of another.
"""

from __future__ import annotations

from collections.abc import Callable

from batcher.core.errors import TransportError
from batcher.core.model import Ticket
from batcher.core.pacing.gate import FAILING
from batcher.engine.context import Context
from batcher.engine.lanes.lane import Lane


class BalanceScout:
    """Asks for the account's balance before a row of *lane* tries an API that failed.

    `put_back` leaves a row to a later process.
    """

    def __init__(
        self, context: Context, lane: Lane[Ticket], put_back: Callable[[Ticket], None]
    ) -> None:
        self._context = context
        self._lane = lane
        self._put_back = put_back

    async def lets_pass(self, item: Ticket) -> bool:
        """Whether the row may try; if not, it waits in the lane, and nothing was spent on it."""
        if self._lane.gate.why != FAILING:
            return True

        trouble = await self._trouble()
        if trouble is None:
            return True

        context = self._context
        context.log.info("probe.spared", lane=self._lane.name, id=item.row.id, reason=trouble)
        self._lane.gate.failed(context.clock.now(), item)
        if context.control.halted.is_set():
            self._put_back(item)
        else:
            self._lane.add(item, context.clock.now())

        return False

    async def _trouble(self) -> str | None:
        """Return why the API is still out, or None if it may be there."""
        context, account = self._context, self._context.provider.account
        if account is None:
            return None

        try:
            response = await context.transport.send(
                account.balance(), timeout_s=context.settings.status_timeout_s
            )
        except TransportError as failure:
            return failure.reason

        return f"HTTP {response.status}" if response.status >= 500 else None
