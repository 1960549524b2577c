"""The run of several workers: started, followed, stopped and told of as one.

Rule: whoever leads sends no request and writes to no journal. A worker that dies is started again,
which is a crash and a resume of its shard; one that ends for good leaves its part of every limit to
the others, one window later. For `cli.driving` this is a run like any other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from signal import Signals
from typing import Protocol

import anyio
import anyio.abc
import msgspec

from batcher.cli.exits import OK, SOME_ROWS, STOPPED
from batcher.cli.workers.team import Team, Worker
from batcher.core.errors import BatcherError, StorageError
from batcher.core.log import Log
from batcher.core.model import Stop, StopReason
from batcher.core.stats import Snapshot
from batcher.engine.books.record import Offload, in_thread
from batcher.engine.clock import Clock
from batcher.engine.control import Control
from batcher.engine.shards.messages import (
    Failed,
    Held,
    How,
    Said,
    Seen,
    Sharing,
    Stopping,
    UsedUp,
    decoded,
)
from batcher.report.merging import merged

TICK_S = 1.0
DEATHS_MAX = 5  # of one worker, in one process that leads
PAUSE_S = 1.0  # before a worker is started again; doubled each time
NOTICES_MAX = 1_000
PREFIX = "batcher: "  # of what a command says on standard error
INTERRUPTED = (130, 143)
ENDED = (OK, SOME_ROWS, STOPPED, *INTERRUPTED)  # all that is known is written


class WorkerFailed(BatcherError):
    """A worker ended for a reason for which all of them must end."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Books(Protocol):
    """What the shards hold together. Blocks."""

    def counters(self) -> dict[str, int]:
        """Return the sums of all journals."""
        ...

    def follow(self) -> None:
        """Bring the merged files up to date."""
        ...

    def end(self) -> None:
        """Make the merged files whole: no worker is alive."""
        ...


class Conductor:
    """Leads the workers of one run, one for each shard."""

    def __init__(
        self,
        shards: int,
        start: Callable[[int], Awaitable[Worker]],
        books: Books,
        log: Log,
        *,
        settle_s: float,
        clock: Clock | None = None,
        offload: Offload = in_thread,
    ) -> None:
        self.control = Control(log)
        self._shards = shards
        self._start = start
        self._books = books
        self._log = log
        self._settle_s = settle_s  # until nothing of a worker that ended counts in any window
        self._clock = clock or Clock()
        self._offload = offload
        self._began = self._clock.now()
        self._shots: dict[int, Snapshot] = {}
        self._failed: dict[int, str] = {}
        self._lost: list[int] = []
        self._used_up: dict[int, str] = {}  # workers whose part of a budget is used up, and how
        self._team = Team(shards, self.control, self._clock)
        self._counters: dict[str, int] = {}
        self._notices: dict[tuple[str, bool], None] = {}
        self._observers: list[Callable[[Snapshot], None]] = []
        self.control.on_halt.append(lambda: self._team.stop("halt"))

    async def execute(self) -> Stop | None:
        """Let every worker bring its shard to its end; return why the run stopped early, or None.

        Raises `BatcherError` where a worker cannot go on.
        """
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._tick)
            beside.start_soon(self._pass_on, self.control.interrupted, "interrupt")
            beside.start_soon(self._pass_on, self.control.aborted, "abort")
            async with anyio.create_task_group() as workers:
                for number in range(self._shards):
                    workers.start_soon(self._lead, number, beside)

            beside.cancel_scope.cancel()

        await self._end()
        if self.control.error is not None:
            raise self.control.error

        return self.control.stop

    def snapshot(self) -> Snapshot:
        """Return the whole run at this instant."""
        now = self._clock.now()
        nothing = Snapshot(0.0, 0.0, {}, None, 0, 0, ())
        shots = list(self._shots.values())
        return replace(
            merged(shots) if shots else nothing,
            at=self._clock.wall(),
            elapsed_s=now - self._began,
            counters=self._counters,
            stop=self.control.stop,
            notices=tuple(self._notices),
        )

    def watch(self, observer: Callable[[Snapshot], None]) -> None:
        """Let *observer* see a snapshot about once a second."""
        self._observers.append(observer)

    def tell(self, text: str, *, is_urgent: bool = False) -> None:
        """Tell a person something, once, whichever worker says it."""
        if len(self._notices) < NOTICES_MAX:
            self._notices.setdefault((text, is_urgent))

    # --- One worker ------------------------------------------------------------------------------

    async def _lead(self, number: int, beside: anyio.abc.TaskGroup) -> None:
        """Bring one shard to its end, through as many lives of its worker as it takes."""
        deaths = 0
        while not self.control.interrupted.is_set():
            code = await self._live(number)
            if code >= 0:
                self._judge(number, code)
                break

            deaths += 1
            killed = f"worker {number} was killed by {_signal_name(code)}"
            self._log.warning("worker.died", worker=number, signal=-code, deaths=deaths)
            if deaths > DEATHS_MAX:
                self._lost.append(number)
                self.tell(f"{killed} {deaths} times and is not started again", is_urgent=True)
                break

            self.tell(f"{killed} ({deaths}); it goes on where it was", is_urgent=True)
            with anyio.move_on_after(PAUSE_S * 2.0 ** (deaths - 1)):
                await self.control.interrupted.wait()

        beside.start_soon(self._hand_over)

    async def _live(self, number: int) -> int:
        """Start a worker, and return its exit code once it has ended."""
        try:
            worker = await self._start(number)
        except OSError as error:
            self._failed[number] = f"worker {number} cannot be started: {error.strerror or error}"
            return StorageError.exit_code

        self._log.info("worker.started", worker=number, pid=worker.pid)
        self._team.join(number, worker)
        try:
            code = await worker.listen(partial(self._hear, number), partial(self._told, number))
        finally:
            self._team.leave(number)

        self._log.info("worker.ended", worker=number, exit_code=code)
        return code

    def _judge(self, number: int, code: int) -> None:
        """Act on how a worker ended by itself."""
        if code not in ENDED:
            text = self._failed.get(number, f"worker {number} ended with exit code {code}")
            error = WorkerFailed(text, code)
            self.control.fail(error, Stop(StopReason.INTERRUPTED, text))
        elif code in INTERRUPTED:
            self.control.interrupt(Stop(StopReason.INTERRUPTED, f"worker {number} was interrupted"))

    async def _hand_over(self) -> None:
        """Leave a worker's part of every limit to those that are still at work."""
        await anyio.sleep(self._settle_s)
        self._team.hand_over()

    # --- What they say ---------------------------------------------------------------------------

    def _hear(self, number: int, line: bytes) -> None:
        try:
            message = decoded(line)
        except msgspec.MsgspecError as error:
            self._log.error("worker.unreadable", worker=number, message=str(error))
            return

        match message:
            case Seen(shot):
                self._shots[number] = shot
            case Said(text, is_urgent):
                self.tell(text, is_urgent=is_urgent)
            case Failed(text):
                self._failed[number] = text
            case Held():
                self._team.hold(message, number)
            case UsedUp(text):
                self._used_up[number] = text
                self.tell(f"worker {number} ends, the others go on: {text}")
            case Stopping("halt", stop):
                self.control.halt(stop)
            case Stopping(_, stop):
                self.control.interrupt(stop)
            case Sharing():
                pass

    def _told(self, number: int, line: str) -> None:
        """Take what a worker says on standard error: nobody else would hear it."""
        if line.strip():
            self._log.warning("worker.said", worker=number, text=line)
            self.tell(line.removeprefix(PREFIX), is_urgent=True)

    async def _pass_on(self, event: anyio.Event, how: How) -> None:
        await event.wait()
        self._team.stop(how)

    # --- What is seen of them --------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            try:
                await self._offload(self._books.follow)
                self._counters = await self._offload(self._books.counters)
            except (OSError, StorageError) as error:  # a copy: it is mended at the next tick
                self._log.warning("outcomes.not_merged", message=str(error))

            shot = self.snapshot()
            for observer in self._observers:
                observer(shot)

            await anyio.sleep(TICK_S)

    async def _end(self) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await self._offload(self._books.end)
                self._counters = await self._offload(self._books.counters)
            except (OSError, StorageError) as error:
                raise StorageError(
                    f"the outcome files could not be merged: {error}; each shard has its own, and "
                    "`resume` merges them"
                ) from error

        if self._lost:
            names = ", ".join(map(str, self._lost))
            self.control.halt(Stop(StopReason.WORKER_LOST, f"worker {names} was killed each time"))

        for number, text in self._used_up.items():
            self.control.halt(Stop(StopReason.BUDGET, f"worker {number}: {text}"))


def _signal_name(code: int) -> str:
    try:
        return Signals(-code).name
    except ValueError:
        return f"signal {-code}"
