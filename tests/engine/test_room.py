"""`--min-free`: with too little room on a disk nothing new is begun, and nothing paid is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from batcher.adapters.disks import LocalDisks
from batcher.core.errors import NotSent
from batcher.core.exchange import Response
from batcher.core.model import Stop, StopReason
from batcher.engine.files.collect import Stored, Wanted
from batcher.engine.room import size_text
from batcher.engine.run import Run
from tests.engine.harness import Night

pytestmark = pytest.mark.virtual

LEAST = 500_000_000
INTERRUPT = Stop(StopReason.INTERRUPTED, "signal")


class Disk:
    """A disk with little room from one time to another."""

    def __init__(self, from_s: float, to_s: float, free: int = 120_500_000) -> None:
        self._from = anyio.current_time() + from_s
        self._to = anyio.current_time() + to_s
        self._free = free
        self.looks: list[float] = []

    def is_low(self) -> bool:
        """Whether there is too little room now."""
        return self._from <= anyio.current_time() < self._to

    def tightest(self) -> tuple[str, int] | None:
        """Say how much is left."""
        self.looks.append(anyio.current_time())
        return ("/x", self._free if self.is_low() else LEAST)


def night_on(disk: Disk | None, folder: Path, **settings: Any) -> Night:
    """Return a night whose run writes to a disk."""
    night = Night(folder, faults="latency=0.5,duration=20", settings={"min_free": LEAST})
    night.settings |= {"rate": "10/s", **settings}
    night.more["disks"] = disk
    return night


async def test_nothing_new_is_begun_while_there_is_too_little_room(tmp_path: Path) -> None:
    """Submits stop within a second, open ones and jobs go on, and it ends by itself."""
    disk = Disk(5.0, 100.0)
    night = night_on(disk, tmp_path)
    night.write_urls(80)
    seen: list[tuple[float, str, int]] = []

    async def watch(run: Run) -> None:
        run.watch(lambda shot: seen.append((anyio.current_time(), shot.binding, shot.in_flight)))

    begin, wall = anyio.current_time(), night.clock.wall()
    stop = await night.process(watch)

    assert stop is None
    assert night.counts() == {"succeeded": 80}
    sent = [at - wall for at in night.simulation.ledger.submits_at]
    assert not [at for at in sent if 6.1 < at < 100.0]
    assert 40 <= len([at for at in sent if at <= 6.1]) < 70
    told = [str(values["message"]) for _, name, values in night.log.seen if name == "room.low"]
    assert len(told) == 1
    assert "waits for room: 120 MB free on /x, --min-free 500 MB" in told[0]
    assert night.log.names().count("room.back") == 1
    held = [shot for shot in seen if 40.0 < shot[0] - begin < 99.0]
    assert {binding for _, binding, _ in held} == {"the disk: 120 MB free on /x, --min-free 500 MB"}


async def test_no_row_is_sent_before_the_first_look(tmp_path: Path) -> None:
    """A run that begins on a full disk sends nothing at all until there is room."""
    night = night_on(Disk(0.0, 50.0), tmp_path)
    night.write_urls(5)
    begin = night.clock.wall()
    with anyio.fail_after(120.0):
        await night.process()

    assert min(night.simulation.ledger.submits_at) - begin >= 50.0
    assert night.counts() == {"succeeded": 5}


async def test_what_was_paid_for_is_journaled_meanwhile(tmp_path: Path) -> None:
    """Jobs of before come to their ends in the files while nothing new is begun."""
    disk = Disk(3.0, 1e9)
    night = night_on(disk, tmp_path)
    night.write_urls(100)

    async def interrupt(run: Run) -> None:
        await anyio.sleep(60.0)
        run.control.interrupt(INTERRUPT)

    assert await night.process(interrupt) is not None
    jobs = len(night.simulation.ledger.jobs)
    assert 0 < jobs < 100
    assert night.counts() == {"succeeded": jobs}


async def test_waiting_for_room_is_no_outage_and_no_throttle(tmp_path: Path) -> None:
    """Not even with failures right before and right after it, and little patience."""
    night = night_on(Disk(2.0, 200.0), tmp_path, max_wait_s=60.0, max_outage_s=60.0)
    night.write_urls(30)
    inner, until = night.transport, anyio.current_time() + 202.0

    class Down:
        async def send(self, request: Any, *, timeout_s: float) -> Response:
            if request.method == "POST" and anyio.current_time() < until:
                raise NotSent("no connection")

            return await inner.send(request, timeout_s=timeout_s)

    night.transport = Down()

    assert await night.process() is None
    assert night.counts() == {"succeeded": 30}


class Slow:
    """A store that notes when it was asked."""

    def __init__(self) -> None:
        self.begun: list[float] = []

    async def fetch(self, wanted: Wanted) -> Stored:
        """Bring one file in."""
        self.begun.append(anyio.current_time())
        return Stored(f"downloads/{wanted.row_id}.png", "png")


async def test_no_download_begins_either(tmp_path: Path) -> None:
    """Results wait where they are; then each is fetched once."""
    disk = Disk(3.0, 60.0)
    night = night_on(disk, tmp_path)
    store = Slow()
    night.store = store
    night.write_urls(40)
    begin = anyio.current_time()
    await night.process()

    assert night.counts() == {"succeeded": 40}
    assert len(store.begun) == 40
    assert min(store.begun) - begin >= 60.0


@pytest.mark.parametrize(("least", "nobody"), [(0, False), (LEAST, True)], ids=["off", "unknown"])
async def test_it_can_be_off_and_nobody_need_know(least: int, nobody: bool, tmp_path: Path) -> None:
    """0 looks at nothing; a disk that cannot be asked holds nothing up."""
    disk = Disk(0.0, 1e9, free=0)
    night = night_on(disk, tmp_path, min_free=least)
    if nobody:
        disk.tightest = lambda: None  # type: ignore[method-assign]  # no disk can be asked
    night.write_urls(5)
    await night.process()

    assert night.counts() == {"succeeded": 5}
    assert disk.looks == []


async def test_it_looks_about_once_a_second(tmp_path: Path) -> None:
    """Two thousand submits a second do not ask the system two thousand times."""
    disk = Disk(1e9, 1e9)
    night = night_on(disk, tmp_path, rate="2000/s")
    night.write_urls(200)
    begin = anyio.current_time()
    await night.process()

    assert len(disk.looks) <= anyio.current_time() - begin + 2


def test_the_tightest_disk_counts(tmp_path: Path) -> None:
    """Of real folders the one with least room is named; one that is gone says nothing."""
    gone, there = tmp_path / "gone", tmp_path
    found = LocalDisks([gone, there]).tightest()
    assert found is not None
    assert found[0] == str(there)
    assert found[1] > 0
    assert LocalDisks([gone]).tightest() is None
    assert LocalDisks([Path("/proc")]).tightest() is None or not Path("/proc").exists()


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_000, "1 kB"), (99_990, "99.9 kB"),
     (120_900_000, "120 MB"), (999_999_999, "999 MB"), (1_500_000_000, "1.5 GB"),
     (2.5e15, "2500 TB")],
)  # fmt: skip
def test_sizes_are_rounded_down(size: float, said: str) -> None:
    """What is said to be free is never more than there is."""
    assert size_text(size) == said
