"""Feeding: from the manifest, past the journal, into the submit lane, behind the in-flight slots.

Rule: a row is fed only if the journal says that it was never submitted, or that no submit of it
made a job. So running the same command again resumes, whatever happened in between, and order,
line numbers and blank lines of the manifest do not matter. What may be wrong with a row is looked
for right before it is fed, so that a row which has its outcome costs a look into the journal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

import anyio

from batcher.adapters.manifest import judge
from batcher.core.errors import UsageError
from batcher.core.journal import Admission, Entry, Standing
from batcher.core.lifecycle import Move
from batcher.core.model import ErrorKind, Row, RowError, Ticket
from batcher.core.settings import ADMIT_ROWS
from batcher.engine.books.record import Offload
from batcher.engine.context import Context
from batcher.engine.rows import ProviderCheck
from batcher.providers.base import Problem

PAGE_ROWS = 500
SETTLED_ROWS = 4 * ADMIT_ROWS  # where the last were over, nothing waits and nothing is kept
CHUNK_S = 0.2  # a plain file gives a thousand rows in a few milliseconds
CHUNK_BYTES = 4 * 1024**2  # of rows: a line may be a thousand times as long as most are

SETTLED = (Standing.ENDED, Standing.FOLLOWED)  # somebody looks after it, or has
End = tuple[Ticket, RowError, str | None]  # a row, why it ends, and the text of an unreadable line


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
        resend: Callable[[Ticket, RowError], bool],
        frees: Callable[[Ticket, RowError], Awaitable[bool]],
    ) -> None:
        self._context = context
        self._offload = offload
        self._submit = submit
        self._follow = follow
        self._collect = collect
        self._resend = resend  # a submit that was not answered; False: it cannot be sent again
        self._frees = frees  # a row in doubt; True: it may be submitted all the same
        self._check = ProviderCheck(context.provider, self._warn)
        self._taken_up: set[int] = set()  # rows that are in flight since an earlier process
        self.reading = True

    async def settle_intents(self) -> None:
        """Settle every row that an earlier process left with an intent and no answer.

        It is in doubt, but for the few that can be sent again as they were, or whose jobs a call
        may still name: those take their slots.
        """
        context = self._context
        message = "the process ended after this submit may have left; a job may have been charged"
        error = RowError(ErrorKind.UNKNOWN_OUTCOME, message)
        after = 0
        while page := await context.recorder.ask(lambda j: j.unanswered(after, PAGE_ROWS)):  # noqa: B023
            lost = [ticket for ticket in page if not self._goes_on(ticket, error)]
            await self._doubt_all(lost, error)
            after = page[-1].row.n

    def _goes_on(self, ticket: Ticket, error: RowError) -> bool:
        """Whether a submit of an earlier process may still be answered; its slot is taken then."""
        context = self._context
        context.slots.take()
        context.jobs.open += 1  # counted as used already, and not known to be kept
        if self._resend(ticket, error) or context.claims.hold(ticket, error):
            self._taken_up.add(ticket.row.n)
            return True

        context.jobs.open -= 1
        context.slots.release()
        return False

    async def _doubt_all(self, tickets: Sequence[Ticket], error: RowError) -> None:
        """Put rows in doubt that are not in flight; those that may be submitted are met again."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for ticket in tickets:
                    self._context.slots.take()
                    group.start_soon(self._doubt, ticket, error)

    async def _doubt(self, ticket: Ticket, error: RowError) -> None:
        if await self._frees(ticket, error):
            self._context.slots.release()

    def expect(self, n: int) -> None:
        """Note that a row is about to be brought into flight by somebody else."""
        self._taken_up.add(n)

    async def follow_jobs(self) -> None:
        """Take up the jobs that an earlier process left: they are polled, never resubmitted."""
        context = self._context
        after = 0
        while page := await context.recorder.ask(lambda j: j.followed(after, PAGE_ROWS)):  # noqa: B023
            for ticket in page:
                after = ticket.row.n
                await context.slots.acquire()
                if after in self._taken_up:  # a call has brought it meanwhile
                    context.slots.release()
                else:
                    self.take_up(ticket)

    def take_up(self, ticket: Ticket) -> None:
        """Follow a job that this process did not submit; its slot is taken."""
        context = self._context
        since = context.clock.wall() - (ticket.accepted_at or context.clock.wall())
        ticket.born = context.clock.now() - max(0.0, since)
        self._taken_up.add(ticket.row.n)
        go_on = self._follow if ticket.result is None else self._collect
        go_on(ticket)

    async def read_rows(self, entries: Iterator[Entry] | None) -> None:
        """Submit what was not submitted yet: of the manifest, or without it of the journal."""
        if entries is None:
            await self.read_journal()
            return

        await self.read(entries)
        if self._context.settings.limit is None:
            await self.tell_vanished()

    async def read(self, entries: Iterator[Entry]) -> None:
        """Read the manifest to its end and submit what was not submitted yet."""
        context, rows_max = self._context, ADMIT_ROWS
        while chunk := await self._offload(partial(self._next_chunk, entries, rows_max)):
            allow = context.settings.allow_changed
            admissions = await context.recorder.admit(chunk, allow_changed=allow)
            concerned = [each for each in admissions if each.standing not in SETTLED]
            if concerned:
                await self._let_in(concerned)

            rows_max = ADMIT_ROWS if concerned else SETTLED_ROWS

        self.reading = False

    async def _let_in(self, admissions: Sequence[Admission]) -> None:
        """Reject the rows that cannot be used, and act on how the others stand."""
        rejected = await self._reject(partial(self._rejections, admissions))
        for admission in admissions:
            await self._take(admission, rejected)

    async def _reject(self, unfit: Callable[[], list[End]]) -> set[int]:
        """Give rows that are *unfit* their outcome, and return which those are."""
        ends = await self._offload(unfit)
        await self._finish_all(Move.REJECT, ends)
        return {ticket.row.n for ticket, _, _ in ends}

    def _next_chunk(self, entries: Iterator[Entry], rows_max: int) -> list[Entry]:
        """Read on for a while: a slow pipe's rows do not wait for a thousand others.

        Nor are a thousand large ones in memory at once.
        """
        chunk: list[Entry] = []
        now = self._context.clock.thread_time
        until, room = now() + CHUNK_S, CHUNK_BYTES
        for entry in islice(entries, rows_max):
            chunk.append(entry)
            room -= len(entry.body)
            if room < 0 or now() > until:
                break

        return chunk

    async def read_journal(self) -> None:
        """Submit the pending rows that the journal knows: for a manifest that came by a pipe."""
        context = self._context
        while page := await context.recorder.ask(lambda j: j.unusable(0, PAGE_ROWS)):
            unusable = [(t, t.last_error or _repeated(t), None) for t in page]
            await self._finish_all(Move.REJECT, unusable)

        after = 0
        while page := await context.recorder.ask(lambda j: j.unseen(after, PAGE_ROWS)):  # noqa: B023
            after = page[-1].row.n
            rejected = await self._reject(partial(self._unfit, page))
            for ticket in page:
                if ticket.row.n not in rejected:
                    await self._feed(ticket)

        self.reading = False

    async def _feed(self, ticket: Ticket) -> None:
        """Let a pending row into flight, unless it is there: its job failed and is run again."""
        if not self._is_in_flight(ticket):
            await self._context.slots.acquire()
            self._submit(ticket)

    async def _take(self, admission: Admission, rejected: set[int]) -> None:
        """Act on how one entry stands."""
        entry, context = admission.entry, self._context
        match admission.standing:
            case Standing.FRESH:
                assert admission.ticket is not None  # noqa: S101  # a fresh one has its ticket
                if admission.ticket.row.n not in rejected:
                    await self._feed(admission.ticket)
            case Standing.CHANGED:
                raise UsageError(
                    f"{context.frozen.manifest}, line {entry.line}: row {entry.id!r} has changed "
                    "since the run began and waits to be submitted; put it back, or pass "
                    "--allow-changed to send it as it is now"
                )
            case Standing.CHANGED_LATE:
                context.log.warning("row.changed_late", id=entry.id, line=entry.line)
                context.notices.tell(
                    "rows.changed_late",
                    f"line {entry.line}, row {entry.id!r}: changed after it was sent; it stays as "
                    "sent, and so does any other like it (see log.jsonl). A new id makes it a new "
                    "row",
                    once="changed_late",
                )
            case _:  # repeated, and rejected
                pass

    # --- What is wrong with rows -----------------------------------------------------------------

    def _rejections(self, admissions: Iterable[Admission]) -> list[End]:
        """Return the rows of a chunk that cannot be used, each with the reason."""
        ends: list[End] = []
        for admission in admissions:
            entry, ticket = admission.entry, admission.ticket
            if ticket is None or self._is_in_flight(ticket):
                continue

            if admission.standing is Standing.REPEATED:
                ends.append((ticket, _repeated(ticket), entry.raw))
            elif error := entry.problem or self._fault(ticket.row, entry.line):
                ends.append((ticket, error, entry.raw))

        return ends

    def _unfit(self, tickets: Iterable[Ticket]) -> list[End]:
        """Return the rows of the journal that cannot be used, each with the reason."""
        idle = (ticket for ticket in tickets if not self._is_in_flight(ticket))
        faults = ((ticket, self._fault(ticket.row, ticket.row.line)) for ticket in idle)
        return [(ticket, error, None) for ticket, error in faults if error is not None]

    def _is_in_flight(self, ticket: Ticket) -> bool:
        """Whether a pending row is on its way: its submit says what is wrong with it by then."""
        return ticket.row.n in self._taken_up

    def _fault(self, row: Row, line: int) -> RowError | None:
        """Return why a row cannot be used, or None; its local files are looked up."""
        return judge(self._check, line, row.values(), row.base or "")[1]

    def _warn(self, problem: Problem) -> None:
        text = f"column {problem.field!r}: {problem.message}"
        self._context.notices.tell("rows.column", text, once=f"column {problem.field}")

    async def _finish_all(self, move: Move, ends: Sequence[End]) -> None:
        """Give rows that are not in flight their outcome; all of them share a few commits.

        Not cut short by a halt: what is begun here ends within milliseconds.
        """
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for ticket, error, raw in ends:
                    finish = partial(self._context.finish, error=error, raw=raw)
                    group.start_soon(finish, ticket, move)

    async def tell_vanished(self) -> None:
        """Report rows that are pending but no longer in the manifest: they are not sent."""
        context = self._context
        gone = await context.recorder.ask(lambda j: j.unseen(0, 3))
        if gone:
            names = ", ".join(repr(ticket.row.id) for ticket in gone)
            context.notices.tell(
                "rows.vanished",
                f"rows that are no longer in the manifest are not sent; they stay pending: {names}",
            )


def _repeated(ticket: Ticket) -> RowError:
    message = f"line {ticket.row.line}: another row before it has the id {ticket.row.id!r}"
    return RowError(ErrorKind.INVALID_ROW, message)
