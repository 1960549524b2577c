"""Collecting: the result files of jobs that are done.

Rule: a download costs nothing and is repeated freely; the job is not. A URL that has expired is
refreshed by reading the job once more. A file that cannot be had makes the row exhausted with its
result kept, so that `retry` only downloads again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from batcher.core.backoff import Backoff
from batcher.core.errors import TransportError
from batcher.core.lifecycle import Move
from batcher.core.model import ErrorKind, RowError, Ticket
from batcher.core.verdict import Done
from batcher.engine.context import Context
from batcher.engine.lane import Lane

RETRY = Backoff(first_s=1.0, factor=2.0, cap_s=60.0)


class FetchFailed(Exception):
    """A result file could not be had this time. `expired`: a fresh URL may help."""

    def __init__(self, reason: str, *, retriable: bool = True, expired: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retriable = retriable
        self.expired = expired


class Store(Protocol):
    """Where result files go."""

    async def fetch(self, url: str, row_id: str, variant: str) -> str:
        """Bring one file in durably and return its path as the record shows it.

        Raises `FetchFailed`.
        """
        ...


class Collector:
    """Fetch the files of one job."""

    def __init__(self, context: Context, lane: Lane[Ticket], store: Store) -> None:
        self._context = context
        self._lane = lane
        self._store = store

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
        self._lane.gate.idle()
        error = RowError(ErrorKind.DOWNLOAD, failure.reason, retriable=True)
        context.log.warning("download.failed", id=ticket.row.id, reason=failure.reason)
        if not failure.retriable or ticket.downloads >= context.settings.max_attempts:
            await context.end(ticket, Move.EXHAUST, error=error, result=ticket.result)
            return

        context.tally(error)
        if failure.expired:
            await self._refresh(ticket)

        delay = RETRY.delay_s(ticket.downloads - 1, context.rng)
        self._lane.add(ticket, context.clock.now() + delay)

    async def _refresh(self, ticket: Ticket) -> None:
        """Read the job once more: a signed URL is signed afresh at every read."""
        context = self._context
        assert ticket.job_id is not None and ticket.result is not None  # noqa: PT018, S101
        ticket.reads += 1
        context.recorder.count("status_reads")
        try:
            response = await context.transport.send(
                context.provider.status(ticket.job_id), timeout_s=context.settings.status_timeout_s
            )
        except TransportError:
            return

        verdict = context.provider.read_status(response)
        if isinstance(verdict, Done) and verdict.result.urls:
            ticket.result = replace(ticket.result, urls=dict(verdict.result.urls))
