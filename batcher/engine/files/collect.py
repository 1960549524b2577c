"""Collecting: the result files of jobs that are done.

Rule: a download costs nothing and is repeated freely; the job is not. A URL that has expired is
refreshed by reading the job once more. A file that cannot be had makes the row exhausted with its
result kept, so that `retry` only downloads again.

With `--variants` only those are fetched. One that a job did not make is no failure: it stands in
`result.ignored`, with those that the API itself says it left out. A file of another format than the
row asked for was paid for: it is kept as what it is, and told in `result.warnings`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from msgspec import structs

from batcher.core.backoff import Backoff
from batcher.core.lifecycle import Move
from batcher.core.model import ErrorKind, Result, RowError, Ticket
from batcher.core.names import ending_of
from batcher.engine.context import Context
from batcher.engine.lanes.lane import Lane

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


@dataclass(frozen=True, slots=True)
class Wanted:
    """One result file that is to be had."""

    url: str
    n: int  # the row's number
    row_id: str
    variant: str
    expected: str | None = None  # the format that the row asked for, such as `png`; None = any


@dataclass(frozen=True, slots=True)
class Stored:
    """A result file that is there for good."""

    path: str  # as the record shows it
    ending: str  # by its own bytes
    bytes: int = 0
    sha256: str = ""


class Store(Protocol):
    """Where result files go."""

    async def fetch(self, wanted: Wanted) -> Stored:
        """Bring one file in durably. Raises `FetchFailed`."""
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
        """Queue a ticket whose result is known.

        URLs that were read anew go before all others, the freshest first: they had grown too old
        while they waited, and at the end of a long queue they would again.
        """
        now = self._context.clock.now()
        self._lane.add(ticket, -now if ticket.refreshed else now)

    async def fetch(self, ticket: Ticket) -> None:
        """Fetch every file that is still missing, then give the row its outcome."""
        assert ticket.result is not None  # noqa: S101  # only tickets with a result come here
        ticket.downloads += 1
        missing = self._missing(ticket, ticket.result)
        try:
            for wanted in missing:
                stored = await self._store.fetch(wanted)
                ticket.result = self._with(ticket.result, wanted, stored)
        except FetchFailed as failure:
            await self._again(ticket, failure)
            return

        if missing:
            self._lane.gate.succeeded(ticket)
        else:
            self._lane.gate.idle(ticket)

        result = self._with_ignored(ticket.result)
        await self._context.end(ticket, Move.SUCCEED, result=result, cost=result.cost)

    def _missing(self, ticket: Ticket, result: Result) -> list[Wanted]:
        """Return the files that are still to be fetched."""
        row, chosen = ticket.row, self._context.settings.variants
        variants = [name for name in result.urls if not chosen or name in chosen]
        if not variants:
            made, asked = ", ".join(sorted(result.urls)), ", ".join(chosen)
            text = (
                f"a job made {made}, but none of the --variants {asked}: nothing of it is fetched"
            )
            self._context.notices.tell("download.no_variant", text, once=f"variants of {made}")

        values = row.values()
        expected = self._context.provider.expected
        return [
            Wanted(result.urls[name], row.n, row.id, name, expected(values, name))
            for name in variants
            if name not in result.files
        ]

    def _with(self, result: Result, wanted: Wanted, stored: Stored) -> Result:
        """Return the result with one more file in it, and a warning if it is of another format."""
        self._context.log.info(
            "download.stored",
            id=wanted.row_id,
            variant=wanted.variant,
            file=stored.path,
            bytes=stored.bytes,
            sha256=stored.sha256,
        )
        warnings: Mapping[str, list[str]] = result.warnings
        if wanted.expected is not None and ending_of(wanted.expected) != stored.ending:
            text = f"asked for {wanted.expected}, got {stored.ending}; kept as it is"
            warnings = {**warnings, wanted.variant: [*warnings.get(wanted.variant, ()), text]}

        files = {**result.files, wanted.variant: stored.path}
        return structs.replace(result, files=files, warnings=warnings)

    def _with_ignored(self, result: Result) -> Result:
        """Return the result with the chosen variants that the job did not make as ignored."""
        chosen = dict.fromkeys(self._context.settings.variants)
        absent = [name for name in chosen if name not in (*result.urls, *result.ignored)]
        return structs.replace(result, ignored=(*result.ignored, *absent)) if absent else result

    async def _again(self, ticket: Ticket, failure: FetchFailed) -> None:
        context = self._context
        error = RowError(ErrorKind.DOWNLOAD, failure.reason, retriable=True)
        context.log.warning("download.failed", id=ticket.row.id, reason=failure.reason)
        if failure.disk:
            self._wait_for_disk(ticket, error)
            return

        self._lane.gate.idle(ticket)
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
        text = f"result files cannot be stored for now: {error.message}"
        context.notices.tell("download.disk", text, urgent=True, once="download disk")
        self._lane.gate.failed(context.clock.now(), ticket)
        self._lane.add(ticket, context.clock.now() + RETRY.delay_s(3, context.rng))
