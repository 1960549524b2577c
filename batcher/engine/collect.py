"""Collecting: the result files of jobs that are done.

Rule: a download costs nothing and is repeated freely; the job is not. A URL that has expired is
refreshed by reading the job once more. A file that cannot be had makes the row exhausted with its
result kept, so that `retry` only downloads again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from batcher.core.backoff import Backoff
from batcher.core.lifecycle import Move
from batcher.core.model import ErrorKind, RowError, Ticket
from batcher.engine.context import Context
from batcher.engine.lane import Lane

RETRY = Backoff(first_s=1.0, factor=2.0, cap_s=60.0)


class FetchFailed(Exception):
    """A result file could not be had this time.

    `expired`: a fresh URL may help. `disk`: the trouble is ours, the URL is as good as before.
    """

    def __init__(
        self, reason: str, *, retriable: bool = True, expired: bool = False, disk: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retriable = retriable
        self.expired = expired
        self.disk = disk


class Store(Protocol):
    """Where result files go."""

    async def fetch(self, url: str, row_id: str, variant: str) -> str:
        """Bring one file in durably and return its path as the record shows it.

        Raises `FetchFailed`.
        """
        ...


class Collector:
    """Fetch the files of one job."""

    def __init__(
        self,
        context: Context,
        lane: Lane[Ticket],
        store: Store,
        refresh: Callable[[Ticket], None],
    ) -> None:
        self._context = context
        self._lane = lane
        self._store = store
        self._refresh = refresh  # hands a ticket to the poller, to be read once more

    def collect(self, ticket: Ticket) -> None:
        """Queue a ticket whose result is known."""
        self._lane.add(ticket, self._context.clock.now())

    async def fetch(self, ticket: Ticket) -> None:
        """Fetch every file that is still missing, then give the row its outcome."""
        assert ticket.result is not None  # noqa: S101  # only tickets with a result come here
        ticket.downloads += 1
        files = dict(ticket.result.files)
        try:
            for variant, url in ticket.result.urls.items():
                if variant not in files:
                    files[variant] = await self._store.fetch(url, ticket.row.id, variant)
        except FetchFailed as failure:
            ticket.result = replace(ticket.result, files=files)
            await self._again(ticket, failure)
            return

        self._lane.gate.succeeded()
        result = replace(ticket.result, files=files)
        await self._context.end(ticket, Move.SUCCEED, result=result, cost=result.cost)

    async def _again(self, ticket: Ticket, failure: FetchFailed) -> None:
        context = self._context
        error = RowError(ErrorKind.DOWNLOAD, failure.reason, retriable=True)
        context.log.warning("download.failed", id=ticket.row.id, reason=failure.reason)
        if failure.disk:
            self._wait_for_disk(ticket, error)
            return

        self._lane.gate.idle()
        if failure.expired and not ticket.refreshed:
            ticket.refreshed = True
            ticket.downloads -= 1
            self._refresh(ticket)  # by the status lane, within its limits; then it comes back
            return

        ticket.refreshed = False
        if not failure.retriable or ticket.downloads >= context.settings.max_attempts:
            await context.end(ticket, Move.EXHAUST, error=error, result=ticket.result)
            return

        context.tally(error)
        delay = RETRY.delay_s(ticket.downloads - 1, context.rng)
        self._lane.add(ticket, context.clock.now() + delay)

    def _wait_for_disk(self, ticket: Ticket, error: RowError) -> None:
        """Try again when there may be room: that is nothing that the row can be held to."""
        context = self._context
        ticket.downloads -= 1
        context.tally(error)
        text = f"the download folder cannot be written to: {error.message}"
        context.notices.tell("download.disk", text, urgent=True, once="download disk")
        self._lane.gate.failed(context.clock.now())
        self._lane.add(ticket, context.clock.now() + RETRY.delay_s(3, context.rng))
