"""The process that leads: its workers are stood in for, so that each may die as a test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import pytest

from batcher.cli.workers.conductor import DEATHS_MAX, Conductor, WorkerFailed
from batcher.core.errors import StorageError
from batcher.core.model import Stop, StopReason
from batcher.core.stats import Snapshot
from batcher.engine.clock import LoopClock
from batcher.engine.shards.messages import (
    Failed,
    Held,
    Message,
    Said,
    Seen,
    Sharing,
    Stopping,
    UsedUp,
    decoded,
    encoded,
)
from tests.support.logs import Events
from tests.support.threads import virtual_thread

pytestmark = pytest.mark.virtual

KILLED = -9
SETTLE_S = 60.0
HALT = Stop(StopReason.OUT_OF_CREDITS, "nothing left")


@dataclass
class Life:
    """One life of a worker: what it says, how long it takes, how it ends; None = when told."""

    code: int | None = 0
    says: tuple[Message, ...] = ()
    takes_s: float = 1.0
    errors: tuple[str, ...] = ()
    pid: int = 1
    heard: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._told = anyio.Event()

    def send(self, line: bytes) -> None:
        """Hear a message; a stop ends a worker that waits for one."""
        message = decoded(line)
        self.heard.append(message)
        if isinstance(message, Stopping) and message.how != "halt":
            self._told.set()

    async def listen(self, hear: Callable[[bytes], None], told: Callable[[str], None]) -> int:
        """Say everything at once, live, and end."""
        for message in self.says:
            hear(encoded(message))

        for line in self.errors:
            told(line)

        with anyio.move_on_after(self.takes_s if self.code is not None else None):
            await self._told.wait()
            return 130

        assert self.code is not None
        return self.code


@dataclass
class Books:
    """Books that count what is asked of them."""

    ends: int = 0
    trouble: Exception | None = None

    def counters(self) -> dict[str, int]:
        """Return what all journals hold."""
        return {"succeeded": 7}

    def follow(self) -> None:
        """Fail, if that is what is wanted."""
        if self.trouble is not None:
            raise self.trouble

    def end(self) -> None:
        """Count."""
        self.ends += 1


def leading(*lives: list[Life], books: Books | None = None) -> tuple[Conductor, list[int]]:
    """Return a conductor of workers with these lives, and the list of those that were started."""
    started: list[int] = []

    async def start(number: int) -> Life:
        started.append(number)
        return lives[number].pop(0)

    log = Events()
    conductor = Conductor(
        len(lives),
        start,
        books or Books(),
        log,
        settle_s=SETTLE_S,
        clock=LoopClock(),
        offload=virtual_thread,
    )
    return conductor, started


async def test_the_run_ends_when_all_workers_have() -> None:
    """Every worker ended by itself: no stop, the files are merged, the counts are the journals'."""
    books = Books()
    shot = Snapshot(0.0, 0.0, {"succeeded": 3}, 4, 1, 10, ())
    conductor, _ = leading([Life(says=(Seen(shot),))], [Life(3, says=(Seen(shot),))], books=books)
    seen: list[Snapshot] = []
    conductor.watch(seen.append)
    assert await conductor.execute() is None
    assert books.ends == 1
    assert conductor.snapshot().counters == {"succeeded": 7}
    assert (seen[-1].in_flight_max, seen[-1].rows_total) == (20, 8)


async def test_a_worker_that_dies_is_started_again_a_few_times() -> None:
    """Each death is a crash and a resume of its shard; the last one leaves the run resumable."""
    deaths = [Life(KILLED) for _ in range(DEATHS_MAX + 1)]
    conductor, started = leading(deaths, [Life(takes_s=300.0)])
    stop = await conductor.execute()
    assert stop is not None
    assert stop.reason is StopReason.WORKER_LOST
    assert started.count(0) == DEATHS_MAX + 1
    assert started.count(1) == 1
    texts = [text for text, _ in conductor.snapshot().notices]
    assert "worker 0 was killed by SIGKILL (1); it goes on where it was" in texts


async def test_a_part_that_is_used_up_stops_the_run_when_all_have_ended() -> None:
    """The others go on to their end, undisturbed; then it is told whose part was too small."""
    other = Life(takes_s=100.0)
    conductor, _ = leading([Life(4, says=(UsedUp("it made all 2 jobs"),))], [other])
    stop = await conductor.execute()
    assert stop == Stop(StopReason.BUDGET, "worker 0: it made all 2 jobs")
    assert [m for m in other.heard if isinstance(m, Stopping)] == []
    notices = [text for text, _ in conductor.snapshot().notices]
    assert notices == ["worker 0 ends, the others go on: it made all 2 jobs"]


async def test_what_no_worker_can_go_on_with_ends_all() -> None:
    """One cannot write its journal: the others end politely; its words and code are told."""
    other = Life(None)
    conductor, started = leading([Life(74, says=(Failed("journal.db: disk full"),))], [other])
    with pytest.raises(WorkerFailed, match=r"journal\.db: disk full") as told:
        await conductor.execute()

    assert told.value.exit_code == 74
    assert [m.how for m in other.heard if isinstance(m, Stopping)] == ["halt", "interrupt"]
    assert sorted(started) == [0, 1]


async def test_what_one_is_told_reaches_the_others_and_those_to_come() -> None:
    """A closing goes to every other worker, and to one that is started while it lasts."""
    held = Held("submit", "throttled", 100.0)
    first, second, other = Life(says=(held,), takes_s=30.0), Life(takes_s=300.0), Life(KILLED)
    conductor, _ = leading([first], [other, second])
    await conductor.execute()
    assert held not in first.heard
    assert next(m for m in second.heard if isinstance(m, Held)).wait_s == pytest.approx(
        98.0, abs=2.0
    )


async def test_a_halt_of_one_halts_all() -> None:
    """The account is empty: nobody submits any more, and the run says why it stopped."""
    teller = Life(4, says=(Stopping("halt", HALT),), takes_s=5.0)
    other = Life(4, takes_s=9.0)
    conductor, _ = leading([teller], [other])
    assert await conductor.execute() == HALT
    assert Stopping("halt", HALT) in other.heard


async def test_an_interrupted_worker_interrupts_the_run() -> None:
    """A signal that reached one worker alone is meant for the run; nobody is started again."""
    other = Life(None)
    conductor, started = leading([Life(143)], [other])
    stop = await conductor.execute()
    assert stop is not None
    assert stop.reason is StopReason.INTERRUPTED
    assert sorted(started) == [0, 1]


async def test_nobody_is_started_again_once_the_run_is_interrupted() -> None:
    """A worker that dies while all of them end is not brought back to life."""
    conductor, started = leading([Life(KILLED, takes_s=5.0)], [Life(None)])

    async def interrupt() -> None:
        await anyio.sleep(2.0)
        conductor.control.abort(Stop(StopReason.INTERRUPTED, "SIGINT"))

    async with anyio.create_task_group() as group:
        group.start_soon(interrupt)
        await conductor.execute()

    assert sorted(started) == [0, 1]


async def test_the_part_of_one_that_ended_goes_to_the_others_a_window_later() -> None:
    """Not before nothing of it counts any more, and never while the run has only its own part."""
    long = Life(takes_s=200.0)
    conductor, _ = leading([Life(takes_s=1.0)], [long], [Life(takes_s=100.0)])

    async def look() -> None:
        await anyio.sleep(SETTLE_S)
        assert long.heard == []
        await anyio.sleep(2.0)
        assert long.heard == [Sharing(2)]

    async with anyio.create_task_group() as group:
        group.start_soon(look)
        await conductor.execute()

    assert long.heard == [Sharing(2), Sharing(1)]


async def test_words_of_many_workers_are_told_once() -> None:
    """What all workers say is told once; what they say on standard error is told, too."""
    said = Said("the service is slow")
    lives = [[Life(says=(said,), errors=("batcher: a warning", ""))] for _ in range(3)]
    conductor, _ = leading(*lives)
    await conductor.execute()
    assert conductor.snapshot().notices == (("the service is slow", False), ("a warning", True))


async def test_a_copy_that_fails_for_a_while_stops_nobody() -> None:
    """The merged files are a copy: what hinders it is logged, and the workers go on."""
    books = Books(trouble=StorageError("no room"))
    conductor, _ = leading([Life(takes_s=5.0)], books=books)
    assert await conductor.execute() is None
    assert books.ends == 1


async def test_a_worker_that_cannot_be_started_ends_the_run() -> None:
    """No process can be made: one line, exit code 74."""

    async def start(_number: int) -> Life:
        raise OSError(11, "Resource temporarily unavailable")

    conductor = Conductor(
        1, start, Books(), Events(), settle_s=1.0, clock=LoopClock(), offload=virtual_thread
    )
    with pytest.raises(WorkerFailed, match="cannot be started: Resource") as told:
        await conductor.execute()

    assert told.value.exit_code == StorageError.exit_code
