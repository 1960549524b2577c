"""The recorder: the one writer of a run.

Rule: journal and outcome files are touched by this task alone. Whoever says something waits until
it is durable (`await commit(event)`); what many tasks say within a few milliseconds shares one
write, one fsync of each outcome file and one transaction.

The order inside a group is what makes a crash harmless: one transaction makes the moves, then the
outcome lines are appended and synced, then it commits together with the files' new lengths. A crash
in between leaves lines that the journal does not know; the next start cuts them off.

A full disk is waited for. After any other failure nothing more is written, so nothing new is sent:
everybody who waits is answered with it, and job ids that come in until `close` are rescued.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread

from batcher.core.errors import StorageError
from batcher.core.events import Event, Finish
from batcher.core.journal import Admission, Entry, Journal
from batcher.core.lifecycle import Move, State
from batcher.core.model import Ticket
from batcher.engine.books.decide import Rewritable
from batcher.engine.books.group import Group, Groups
from batcher.engine.books.rescue import Rescue
from batcher.engine.notices import Notices

R = TypeVar("R")

LINGER_S = 0.04  # from the start of one write to that of the next, while a group grows
DISK_FULL_RETRY_S = 1.0  # a try costs one write; whoever freed some space sees it go on

OUTCOME_OF = {
    Move.REJECT: State.FAILED,
    Move.REFUSE: State.FAILED,
    Move.FAIL: State.FAILED,
    Move.EXHAUST: State.EXHAUSTED,
    Move.SUCCEED: State.SUCCEEDED,
    Move.DOUBT: State.IN_DOUBT,
}


class Offload(Protocol):
    """Run a call that blocks, somewhere that it does no harm."""

    async def __call__(self, call: Callable[[], R], /) -> R:
        """Return what *call* returns."""
        ...


async def in_thread(call: Callable[[], R]) -> R:
    """Run *call* in a worker thread; what is written there is not cut short by a cancellation."""
    return await anyio.to_thread.run_sync(call)


class Outcomes(Rewritable, Protocol):
    """Where outcome lines go."""

    def take_back(self) -> None:
        """Cut off what the last `append` added: the journal did not commit it."""
        ...


class Recorder:
    """The one writer."""

    def __init__(
        self,
        journal: Journal,
        outcomes: Outcomes,
        notices: Notices,
        *,
        rescue: Rescue,
        offload: Offload = in_thread,
        linger_s: float = LINGER_S,
        on_failure: Callable[[Exception], None] = lambda _error: None,
    ) -> None:
        self._journal = journal
        self._outcomes = outcomes
        self._notices = notices
        self._rescue = rescue
        self._offload = offload
        self._on_failure = on_failure
        self._groups = Groups(linger_s)
        self._counters: Counter[str] = Counter()
        self._turn = anyio.Lock(fast_acquire=True)
        self.failure: Exception | None = None  # why nothing is written any more
        self.waits_for_room = False  # the disk is full

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter of the run; it becomes durable with the next group."""
        self._counters[name] += amount

    def commit(self, event: Event, ticket: Ticket | None = None) -> Awaitable[bool]:
        """Say *event*, and return what is to be awaited until it is durable.

        That gives False for a job id that belongs to another row. *ticket* says whose job an
        `Accept` brings: if it cannot be committed, it is rescued.
        """
        if self.failure is not None:
            return self._refuse(event, ticket, self.failure)

        return self._groups.join(event, ticket)

    async def admit(self, entries: Sequence[Entry], *, allow_changed: bool) -> list[Admission]:
        """Note manifest rows and learn how each stands."""
        return await self.ask(lambda j: j.admit(entries, allow_changed=allow_changed))

    async def ask(self, question: Callable[[Journal], R]) -> R:
        """Ask the journal something, in turn with the writes."""

        async def once() -> R:
            async with self._turn:
                return await self._offload(lambda: question(self._journal))

        return await self._patiently(once)

    async def decide(self, decision: Callable[[Journal, Outcomes], R]) -> R:
        """Perform a *decision*: it moves rows and rewrites outcome files (`adoption.claim`).

        Begun, it is finished, in one turn: between its steps a group would write into a file that
        is to be replaced. So it keeps its turn while the disk is full, and must bear repetition.
        """

        async def once() -> R:
            return await self._offload(lambda: decision(self._journal, self._outcomes))

        with anyio.CancelScope(shield=True):
            async with self._turn:
                try:
                    answer = await self._patiently(once)
                except Exception as error:
                    self._fail(error)  # a file may be half replaced: nothing may be added to it
                    raise

        return answer

    async def run(self) -> None:
        """Write group after group until `close`; a cancellation from outside does not cut it.

        Raises then what made it write no more, if anything did.
        """
        with anyio.CancelScope(shield=True):
            await self._write_groups()

        if self.failure is not None:
            raise self.failure

    async def _write_groups(self) -> None:
        while (group := await self._groups.next()) is not None:
            await self._write_group(group)

        if self._counters and self.failure is None:
            await self._write([])

    def close(self) -> None:
        """Let `run` write what waits and end."""
        self._groups.close()

    async def _write_group(self, group: Group) -> None:
        try:
            group.answers = await self._write(group.events)
        except Exception as error:
            self._fail(error)
            lost = [group, *self._groups.drain()]
            unwritten = [pair for each in lost for pair in each.unwritten()]
            await self._keep(unwritten)
            for each in lost:
                each.failure = error
                each.tell()

            return

        group.tell()

    async def _write(self, events: list[Event]) -> list[bool]:
        """Write one group; wait and try again for as long as the disk is full."""
        counters = dict(self._counters)
        self._counters.clear()

        async def once() -> list[bool]:
            async with self._turn:
                if self.failure is not None:
                    raise self.failure

                return await self._offload(lambda: self._durably(events, counters))

        return await self._patiently(once)

    async def _patiently(self, once: Callable[[], Awaitable[R]]) -> R:
        """Return what *once* returns; try it again for as long as the disk is full."""
        while True:
            try:
                answer = await once()
            except StorageError as error:
                if not error.disk_full:
                    raise

                await self._wait_for_room(error)
                continue

            self._found_room()
            return answer

    async def _wait_for_room(self, error: StorageError) -> None:
        """Wait a while; nothing is lost, and nothing new is sent, until there is room."""
        if not self.waits_for_room:
            text = f"the disk is full, the run waits until there is room: {error}"
            self._notices.tell("disk.full", text, urgent=True, once="disk.full")

        self.waits_for_room = True
        await anyio.sleep(DISK_FULL_RETRY_S)

    def _found_room(self) -> None:
        if self.waits_for_room:
            text = "the disk has room again, the run goes on"
            self._notices.tell("disk.room", text, urgent=True, once="disk.room")
            self.waits_for_room = False

    def _fail(self, error: Exception) -> None:
        """Write nothing more: nobody knows what of the last call is on the disk."""
        if self.failure is None:
            self.failure = error
            text = "nothing more can be written: nothing new is sent, open submits are waited for"
            self._notices.tell("journal.failed", text, urgent=True)
            self._on_failure(error)

    async def _refuse(self, event: Event, ticket: Ticket | None, failure: Exception) -> bool:
        await self._keep([(event, ticket)])
        raise failure

    async def _keep(self, lost: Sequence[tuple[Event, Ticket | None]]) -> None:
        lines = [self._rescue.line_of(event, ticket) for event, ticket in lost]
        with anyio.CancelScope(shield=True):
            await self._offload(lambda: self._rescue.keep(lines))

    def _durably(self, events: list[Event], counters: dict[str, int]) -> list[bool]:
        lines = [(OUTCOME_OF[e.move], e.record) for e in events if isinstance(e, Finish)]
        lengths: dict[str, int] = {}

        def append() -> dict[str, int]:
            lengths.update(self._outcomes.append(lines))
            return lengths

        try:
            return self._journal.apply(events, append if lines else None, counters)
        except StorageError as error:
            # After any other failure nobody knows whether the commit is on the disk, and the files
            # may be another process's by now: the next start reads the journal and cuts them back.
            if error.disk_full and lengths:  # else the last lines are of a group that is committed
                self._outcomes.take_back()

            raise
