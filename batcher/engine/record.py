"""The recorder: the one writer of a run.

Rule: journal and outcome files are touched by this task alone. Whoever says something waits until
it is durable (`await commit(event)`); what many tasks say within a few milliseconds shares one
write, one fsync of each outcome file and one transaction.

The order inside a group is what makes a crash harmless: outcome lines are appended and synced
first, then one transaction commits the moves together with the files' new lengths. A crash in
between leaves lines that the journal does not know; the next start cuts them off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread

from batcher.core.errors import StorageError
from batcher.core.events import Event, Finish
from batcher.core.journal import Admission, Entry, Journal
from batcher.core.lifecycle import Move, State
from batcher.engine.notices import Notices

R = TypeVar("R")

LINGER_S = 0.002  # lets a group gather; an fsync takes 0.2 ms on a fast disk and 10 on a slow one
GROUP_MAX = 2_000  # events in one transaction
DISK_FULL_RETRY_S = 5.0

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


class Outcomes(Protocol):
    """Where outcome lines go."""

    def append(self, lines: Sequence[tuple[State, bytes]]) -> dict[str, int]:
        """Append lines durably; return the new length of each file that was touched."""
        ...

    def take_back(self) -> None:
        """Cut off what the last `append` added: the journal did not commit it."""
        ...

    def rebuild(self, name: str, keep: Callable[[dict[str, Any]], bool]) -> int:
        """Rewrite a file atomically with the records to *keep*; return its length."""
        ...


class _Wish:
    """One event and whoever waits for it."""

    __slots__ = ("answer", "done", "event", "failure")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.done = anyio.Event()
        self.answer = False
        self.failure: Exception | None = None


class Recorder:
    """The one writer."""

    def __init__(
        self,
        journal: Journal,
        outcomes: Outcomes,
        notices: Notices,
        *,
        offload: Offload = in_thread,
        linger_s: float = LINGER_S,
    ) -> None:
        self._journal = journal
        self._outcomes = outcomes
        self._notices = notices
        self._offload = offload
        self._linger_s = linger_s
        self._wishes: list[_Wish] = []
        self._counters: Counter[str] = Counter()
        self._bell = anyio.Event()
        self._turn = anyio.Lock()
        self._closing = False
        self._failure: Exception | None = None
        self.waits_for_room = False  # the disk is full

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter of the run; it becomes durable with the next group."""
        self._counters[name] += amount

    async def commit(self, event: Event) -> bool:
        """Wait until *event* is durable. False: a job id that belongs to another row."""
        self._refuse_after_failure()
        wish = _Wish(event)
        self._wishes.append(wish)
        self._bell.set()
        await wish.done.wait()
        if wish.failure is not None:
            raise wish.failure

        return wish.answer

    async def admit(self, entries: Sequence[Entry], *, allow_changed: bool) -> list[Admission]:
        """Note manifest rows and learn how each stands."""
        return await self.ask(lambda j: j.admit(entries, allow_changed=allow_changed))

    async def ask(self, question: Callable[[Journal], R]) -> R:
        """Ask the journal something, in turn with the writes."""
        while True:
            try:
                async with self._turn:
                    return await self._offload(lambda: question(self._journal))
            except StorageError as error:
                if not error.disk_full:
                    raise

                await self._wait_for_room(error)

    async def decide(self, decision: Callable[[Journal, Outcomes], R]) -> R:
        """Perform a *decision*: it moves rows and rewrites outcome files (`adoption.claim`).

        Begun, it is finished, in one turn: between its steps a group would write into a file that
        is to be replaced. So it keeps its turn while the disk is full, and must bear repetition.
        """
        with anyio.CancelScope(shield=True):
            async with self._turn:
                answer = await self._decide(decision)

        return answer

    async def _decide(self, decision: Callable[[Journal, Outcomes], R]) -> R:
        while True:
            try:
                return await self._offload(lambda: decision(self._journal, self._outcomes))
            except Exception as error:
                if not (isinstance(error, StorageError) and error.disk_full):
                    self._failure = error  # a file may be half replaced: nothing may be added to it
                    raise

                await self._wait_for_room(error)

    async def run(self) -> None:
        """Write group after group until `close`; a cancellation from outside does not cut it."""
        with anyio.CancelScope(shield=True):
            await self._write_groups()

    async def _write_groups(self) -> None:
        while not (self._closing and not self._wishes):
            await self._bell.wait()
            self._bell = anyio.Event()
            if self._wishes and self._linger_s and not self._closing:
                await anyio.sleep(self._linger_s)

            while self._wishes:
                await self._write_group()

        await self._flush_counters()

    def close(self) -> None:
        """Let `run` write what waits and end."""
        self._closing = True
        self._bell.set()

    def _next_group(self) -> list[_Wish]:
        """Take wishes off the queue, up to the first row that is in the group already."""
        rows: set[int] = set()
        group: list[_Wish] = []
        for wish in self._wishes[:GROUP_MAX]:
            if wish.event.n in rows:
                break

            rows.add(wish.event.n)
            group.append(wish)

        del self._wishes[: len(group)]
        return group

    async def _write_group(self) -> None:
        group = self._next_group()
        try:
            answers = await self._write([wish.event for wish in group])
        except Exception as error:
            self._failure = error
            for wish in (*group, *self._wishes):
                wish.failure = error
                wish.done.set()

            self._wishes.clear()
            raise

        for wish, answer in zip(group, answers, strict=True):
            wish.answer = answer
            wish.done.set()

    async def _write(self, events: list[Event]) -> list[bool]:
        """Write one group; wait and try again for as long as the disk is full."""
        counters = dict(self._counters)
        self._counters.clear()
        while True:
            try:
                async with self._turn:
                    self._refuse_after_failure()
                    answers = await self._offload(lambda: self._durably(events, counters))
            except StorageError as error:
                if not error.disk_full:
                    raise

                await self._wait_for_room(error)
                continue

            self.waits_for_room = False
            return answers

    async def _wait_for_room(self, error: StorageError) -> None:
        """Wait a while; nothing is lost, and nothing new is sent, until there is room."""
        if not self.waits_for_room:
            text = f"the disk is full, the run waits until there is room: {error}"
            self._notices.tell("disk.full", text, urgent=True)

        self.waits_for_room = True
        await anyio.sleep(DISK_FULL_RETRY_S)

    def _durably(self, events: list[Event], counters: dict[str, int]) -> list[bool]:
        lines = [(OUTCOME_OF[e.move], e.record) for e in events if isinstance(e, Finish)]
        if lines:
            self._journal.outputs()  # raises `Fenced`: the files may be another process's by now

        lengths = self._outcomes.append(lines) if lines else {}
        try:
            return self._journal.apply(events, lengths, counters)
        except StorageError as error:
            # After any other failure nobody knows whether the commit is on the disk, and the files
            # may be another process's by now: the next start reads the journal and cuts them back.
            if error.disk_full:
                self._outcomes.take_back()

            raise

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _flush_counters(self) -> None:
        if self._counters:
            await self._write([])
