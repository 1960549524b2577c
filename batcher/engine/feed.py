"""Feeding: from the manifest, past the journal, into the submit lane, behind the in-flight slots.

Rule: a row is fed only if the journal says that it was never submitted, or that no submit of it
made a job. So running the same command again resumes, whatever happened in between, and order,
line numbers and blank lines of the manifest do not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from batcher.core.errors import UsageError
from batcher.core.journal import Admission, Entry, Standing
from batcher.core.lifecycle import Move
from batcher.core.model import ErrorKind, RowError, Ticket
from batcher.core.settings import ADMIT_ROWS
from batcher.engine.context import Context
from batcher.engine.record import Offload

PAGE_ROWS = 500
CHUNK_S = 0.2  # a plain file gives a thousand rows in a few milliseconds


class Feed:
    """Bring rows into flight."""

    def __init__(
        self,
        context: Context,
        offload: Offload,
        *,
        submit: Callable[[Ticket], None],
        follow: Callable[[Ticket], None],
        collect: Callable[[Ticket], None],
    ) -> None:
        self._context = context
        self._offload = offload
        self._submit = submit
        self._follow = follow
        self._collect = collect
        self.rows_read = 0
        self.reading = True

    async def settle_intents(self) -> None:
        """Put every row in doubt that an earlier process left with an intent and no answer."""
        context = self._context
        message = "the process ended after this submit may have left; a job may have been charged"
        error = RowError(ErrorKind.UNKNOWN_OUTCOME, message)
        while tickets := await context.recorder.ask(lambda j: j.unanswered(0, PAGE_ROWS)):
            for ticket in tickets:
                await context.slots.acquire()
                await context.finish(ticket, Move.DOUBT, error=error)

    async def follow_jobs(self) -> None:
        """Take up the jobs that an earlier process left: they are polled, never resubmitted."""
        context = self._context
        after = 0
        while page := await context.recorder.ask(lambda j: j.followed(after, PAGE_ROWS)):  # noqa: B023
            for ticket in page:
                await context.slots.acquire()
                since = context.clock.wall() - (ticket.accepted_at or context.clock.wall())
                ticket.born = context.clock.now() - max(0.0, since)
                take_up = self._follow if ticket.result is None else self._collect
                take_up(ticket)
                after = ticket.row.n

    async def read(self, entries: Iterator[Entry]) -> None:
        """Read the manifest to its end and submit what was not submitted yet."""
        context = self._context
        while chunk := await self._offload(lambda: self._next_chunk(entries)):
            self.rows_read += len(chunk)
            allow = context.settings.allow_changed
            for admission in await context.recorder.admit(chunk, allow_changed=allow):
                await self._take(admission)

        self.reading = False

    def _next_chunk(self, entries: Iterator[Entry]) -> list[Entry]:
        """Read on for a while: a slow pipe's rows do not wait for a thousand others."""
        chunk: list[Entry] = []
        until = self._context.clock.thread_time() + CHUNK_S
        for entry in entries:
            chunk.append(entry)
            if len(chunk) == ADMIT_ROWS or self._context.clock.thread_time() > until:
                break

        return chunk

    async def read_journal(self) -> None:
        """Submit the pending rows that the journal knows: for a manifest that came by a pipe."""
        context = self._context
        while page := await context.recorder.ask(lambda j: j.unusable(0, PAGE_ROWS)):
            for ticket in page:
                await self._reject(ticket, ticket.last_error or _repeated(ticket), None)

        after = 0
        while page := await context.recorder.ask(lambda j: j.unseen(after, PAGE_ROWS)):  # noqa: B023
            for ticket in page:
                await context.slots.acquire()
                self._submit(ticket)
                after = ticket.row.n

        self.reading = False

    async def _take(self, admission: Admission) -> None:
        """Act on how one entry stands."""
        entry, context = admission.entry, self._context
        match admission.standing:
            case Standing.FRESH:
                await self._feed(entry, admission.ticket)
            case Standing.REPEATED:
                assert admission.ticket is not None  # noqa: S101  # a repeated one has its ticket
                await self._reject(admission.ticket, _repeated(admission.ticket), entry.raw)
            case Standing.CHANGED:
                raise UsageError(
                    f"{context.frozen.manifest}, line {entry.line}: row {entry.id!r} has changed "
                    "since the run began and was not submitted yet; put it back, or pass "
                    "--allow-changed to send it as it is now"
                )
            case Standing.CHANGED_LATE:
                context.log.warning(
                    "row.changed_late",
                    id=entry.id,
                    line=entry.line,
                    message="changed after it was submitted: it stays as it was sent",
                )
            case Standing.FOLLOWED | Standing.ENDED:
                pass

    async def _feed(self, entry: Entry, ticket: Ticket | None) -> None:
        if entry.problem is not None:
            await self._reject(ticket, entry.problem, entry.raw)
            return

        await self._context.slots.acquire()
        assert ticket is not None  # noqa: S101  # a fresh admission carries its ticket
        self._submit(ticket)

    async def _reject(self, ticket: Ticket | None, error: RowError, raw: str | None) -> None:
        """Give a row that cannot be used its outcome; nothing is sent for it."""
        assert ticket is not None  # noqa: S101  # a fresh or repeated admission carries its ticket
        await self._context.slots.acquire()
        await self._context.finish(ticket, Move.REJECT, error=error, raw=raw)

    async def tell_vanished(self) -> None:
        """Report rows that are pending but no longer in the manifest: they are not sent."""
        context = self._context
        gone = await context.recorder.ask(lambda j: j.unseen(0, 3))
        if gone:
            context.log.warning(
                "rows.vanished",
                examples=[ticket.row.id for ticket in gone],
                message="pending rows are no longer in the manifest: they are not sent",
            )


def _repeated(ticket: Ticket) -> RowError:
    message = f"line {ticket.row.line}: another row before it has the id {ticket.row.id!r}"
    return RowError(ErrorKind.INVALID_ROW, message)
