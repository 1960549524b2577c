"""The disk fails under a whole run: nothing more is sent, and no job id that was answered is lost.

The engine runs on virtual time; its journal writes through a disk that fails at the n-th write or
sync (once, or for good from there on), and what reaches the simulated API is counted.
`BATCHER_IO_ERRORS=300` tries every n up to 300; without it there are a few.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import apsw
import orjson
import pytest

from batcher.adapters.outcomes import OutcomeFiles
from batcher.adapters.rescue import RescueFile
from batcher.adapters.sqlite import SqliteJournal, room
from batcher.core.errors import StorageError
from batcher.core.events import Accept
from batcher.core.exchange import Request, Response, Transport
from batcher.core.model import Ticket
from batcher.engine.run import Run
from tests.engine.harness import Night
from tests.proofs.apsw_sqlite3 import connecting
from tests.proofs.disk import Disk, recording

pytestmark = pytest.mark.virtual

FAILURES = int(os.environ.get("BATCHER_IO_ERRORS", "0"))
SOME = (1, 75, 180)
LATE = 170  # when some jobs are accepted and some submits are open
ROWS = 20
EARLY = {"wal_autocheckpoint": 12}  # pages: the log is folded in while the run goes on


def refusal(what: str, code: int) -> apsw.IOError:
    """Return what SQLite is told, with its own code."""
    error = apsw.IOError(what)
    error.extendedresult = code  # type: ignore[attr-defined]  # apsw reads it
    return error


class Failing(Disk):
    """A disk that fails at its n-th write or sync, once or for good."""

    def __init__(self, n: int, *, once: bool = False, code: int = apsw.SQLITE_IOERR) -> None:
        super().__init__()
        self.fail = self._fail
        self.has_failed = False
        self._n = n
        self._once = once
        self._code = code
        self._is_armed = False

    def arm(self) -> None:
        """Count from here on."""
        self.operations = 0
        self._is_armed = True

    def _fail(self, what: str, _name: str) -> None:
        is_due = self.operations == self._n if self._once else self.operations >= self._n
        if not self._is_armed or not is_due:
            return

        if what == "delete":
            self._n += 1
            return

        self.has_failed = True
        raise refusal(what, self._code)


class Counted:
    """A transport that counts the submits that begin after the disk has failed."""

    def __init__(self, inner: Transport, disk: Failing) -> None:
        self._inner = inner
        self._disk = disk
        self.late = 0

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Pass on."""
        self.late += request.method == "POST" and self._disk.has_failed
        return await self._inner.send(request, timeout_s=timeout_s)


@contextmanager
def failing_books(night: Night, disk: Failing) -> Iterator[tuple[SqliteJournal, OutcomeFiles]]:
    """Open the books of a run on a disk that is going to fail, as a process does."""
    with recording(disk) as vfs, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connecting(vfs, EARLY))
        journal = SqliteJournal.open(night.directory / "journal.db")
        outcomes = OutcomeFiles(night.directory, sync=lambda _fd: None)
        try:
            journal.claim(night.clock.wall())
            outcomes.recover(journal.outputs())
            disk.arm()
            yield journal, outcomes
        finally:
            outcomes.close()
            with suppress(StorageError):  # the disk may fail for good
                journal.close()


def night_in(folder: Path) -> Night:
    """Return a night with submits that are out for a while."""
    night = Night(folder, faults="latency=0.4,duration=3", settings={"rate": "10/s"})
    night.write_urls(ROWS)
    return night


async def run_until_failure(
    night: Night, disk: Failing, rescue: Any = None
) -> tuple[StorageError, int]:
    """Run on a failing disk; return the failure, and how many submits began after it."""
    inner, kept = night.transport, night.rescue
    night.transport, night.rescue = counted, _ = Counted(inner, disk), rescue or kept
    try:
        with failing_books(night, disk) as (journal, outcomes):
            await Run(night.parts(journal, outcomes)).execute()
    except StorageError as error:
        return error, counted.late
    finally:
        night.transport, night.rescue = inner, kept

    raise AssertionError("the run met no failure")


@pytest.mark.parametrize("once", [True, False], ids=["once", "for good"])
@pytest.mark.parametrize("n", range(1, FAILURES + 1) if FAILURES else SOME)
async def test_nothing_is_sent_after_a_failure_and_no_job_id_is_lost(
    n: int, once: bool, tmp_path: Path
) -> None:
    """Exit 74, no submit after it; the resume knows every job by its id and pays none twice."""
    night = night_in(tmp_path)
    failure, late = await run_until_failure(night, Failing(n, once=once))

    assert failure.exit_code == 74
    assert late == 0
    rescued = len(night.rescue.lines())
    assert bool(rescued) == bool(getattr(failure, "__notes__", ()))
    await anyio.sleep(60.0)
    assert await night.process() is None

    night.assert_no_row_paid_twice()
    known = {record["job_id"] for record in night.records("succeeded")}
    assert night.simulation.ledger.jobs.keys() == known, "a paid job is not known by its id"
    assert len(night.outcomes()) == ROWS
    assert not night.rescue.path.exists()
    assert night.log.names().count("rescue.adopted") == bool(rescued)


async def test_a_failing_outcome_file_ends_it_the_same_way(tmp_path: Path) -> None:
    """The journal works, but nothing is sent when the lines cannot be made durable."""
    night = night_in(tmp_path)
    disk = Failing(1_000_000)

    def sync(_fd: int) -> None:
        if night.simulation.ledger.counts()["jobs"] >= 8:
            disk.has_failed = True
            raise OSError(5, "Input/output error")

    counted = Counted(night.transport, disk)
    with night.books() as (journal, _), closing(OutcomeFiles(night.directory, sync=sync)) as files:
        files.recover(journal.outputs())
        parts = night.parts(journal, files)
        with pytest.raises(StorageError, match="Input/output"):
            await Run(replace(parts, transport=counted)).execute()

    assert disk.has_failed
    assert counted.late == 0
    await night.process()
    known = {record["job_id"] for record in night.records("succeeded")}
    assert night.simulation.ledger.jobs.keys() == known


class NoRoomEither:
    """A rescue file that cannot be written."""

    path = Path("/somewhere/rescue.jsonl")

    def append(self, lines: bytes) -> None:
        """Fail."""
        raise OSError(30, "Read-only file system")

    def lines(self) -> list[bytes]:
        """Hold nothing."""
        return []

    def remove(self) -> None:
        """Do nothing."""


async def test_job_ids_that_cannot_be_written_down_are_told(tmp_path: Path) -> None:
    """The whole disk fails: the error that ends the run brings the lines, ready to be saved."""
    night = night_in(tmp_path)
    failure, late = await run_until_failure(night, Failing(LATE), NoRoomEither())

    assert late == 0
    (note,) = failure.__notes__
    head, _, lines = note.partition("\n")
    assert "Save these lines as /somewhere/rescue.jsonl before you resume" in head
    night.rescue.path.write_text(lines + "\n")
    await night.process()

    known = {record["job_id"] for record in night.records("succeeded")}
    assert night.simulation.ledger.jobs.keys() == known


async def test_open_submits_are_waited_for_no_longer_than_the_grace(tmp_path: Path) -> None:
    """An answer that never comes does not keep a run that has lost its journal."""
    night = night_in(tmp_path)
    night.simulation.plan = type(night.simulation.plan).parse("hang=1")
    begin = anyio.current_time()
    _, late = await run_until_failure(night, Failing(20))

    assert late == 0
    assert anyio.current_time() - begin < 45.0  # some seconds of work, and --grace


async def test_job_ids_of_the_group_that_failed_are_rescued(tmp_path: Path) -> None:
    """A whole group of answers fails at once: each of its job ids is kept, before anybody hears."""
    night = night_in(tmp_path)

    class Refusing:
        """A journal that takes no acceptance."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def apply(self, events: Any, *more: Any) -> Any:
            if any(isinstance(event, Accept) for event in events):
                raise StorageError("the disk is gone")

            return self._inner.apply(events, *more)

    with night.books() as (journal, outcomes):
        parts = night.parts(Refusing(journal), outcomes, {"rate": "1000/s", "connections": 64})
        with pytest.raises(StorageError, match="the disk is gone"):
            await Run(parts).execute()

    jobs = night.simulation.ledger.jobs.keys()
    assert len(jobs) > 1
    assert {orjson.loads(line)["job_id"] for line in night.rescue.lines()} == jobs


# --- A quota -------------------------------------------------------------------------------------


class UsedUp(Failing):
    """A disk on which a quota is used up for a while: writes fail in SQLite's words for that."""

    def __init__(self, from_s: float, to_s: float, what: str = "write", code: int = 0) -> None:
        super().__init__(10**9)
        self._what = what
        self._code = code or apsw.SQLITE_IOERR_WRITE
        self._from = anyio.current_time() + from_s
        self._to = anyio.current_time() + to_s
        self.refused = 0

    def is_used_up(self) -> bool:
        """Whether nothing may grow now."""
        return self._is_armed and self._from <= anyio.current_time() < self._to

    def _fail(self, what: str, _name: str) -> None:
        if what == self._what and self.is_used_up():
            self.refused += 1
            raise refusal(what, self._code)


async def test_a_used_up_quota_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite calls it an I/O error: the run waits, sends nothing, and goes on with room."""
    night = night_in(tmp_path)
    disk = UsedUp(1.0, 120.0)
    # No quota can be had without being root; the real one is met in tests/e2e/test_full_disk.py.
    monkeypatch.setattr(room, "has_room", lambda _folder: not disk.is_used_up())
    begin = night.clock.wall()
    with failing_books(night, disk) as (journal, outcomes):
        await Run(night.parts(journal, outcomes)).execute()

    assert disk.refused > 50
    assert night.counts() == {"succeeded": ROWS}
    sent = [at - begin for at in night.simulation.ledger.submits_at]
    assert not [at for at in sent if 2.0 < at < 120.0]
    assert night.log.names().count("disk.full") == 1
    night.assert_no_row_paid_twice()


async def test_a_failed_sync_is_no_lack_of_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever room there is: what was to be saved may be lost, so nothing is tried again."""
    night = night_in(tmp_path)
    disk = UsedUp(1.0, 120.0, "sync", apsw.SQLITE_IOERR_FSYNC)
    monkeypatch.setattr(room, "has_room", lambda _folder: not disk.is_used_up())
    failure, _ = await run_until_failure(night, disk)

    assert failure.exit_code == 74
    assert not getattr(failure, "disk_full", False)
    assert disk.refused <= 2  # the commit, and the closing


def test_room_is_told_by_growing(tmp_path: Path) -> None:
    """A file that grows says that there is room, and is gone again; no folder says nothing."""
    assert room.has_room(tmp_path)
    assert room.has_room(tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []


# --- What the next start makes of the file -------------------------------------------------------


def rescued_file(night: Night, change: dict[str, object] | None = None) -> RescueFile:
    """Return the rescue file with each of its lines changed."""
    path = night.directory / "rescue.jsonl"
    lines = [orjson.loads(line) | (change or {}) for line in path.read_bytes().splitlines()]
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return RescueFile(path)


@pytest.mark.parametrize(
    "change",
    [{"intent_at": 1.0}, {"generation": 2}, {"generation": 0}, {"id": "sku-99"}, {"id": 5}],
    ids=["another time", "a later submit", "an earlier one", "another run's", "no line at all"],
)
async def test_a_line_of_another_attempt_is_left_and_told(
    change: dict[str, object], tmp_path: Path
) -> None:
    """A file of another run, or an old one, gives no row a job: the rows are in doubt."""
    night = night_in(tmp_path)
    await run_until_failure(night, Failing(LATE))
    rescued = len(night.rescue.lines())
    rescued_file(night, change)
    await night.process()

    assert rescued > 0
    assert len(night.records("in_doubt")) >= rescued
    assert night.log.names().count("rescue.left") == 1
    assert len(night.rescue.lines()) == rescued
    night.assert_no_row_paid_twice()


async def test_rows_in_doubt_get_their_rescued_jobs_later(tmp_path: Path) -> None:
    """The lines came from the screen after a resume: the next one takes the rows out of doubt."""
    night = night_in(tmp_path)
    await run_until_failure(night, Failing(LATE))
    saved = night.rescue.path.read_bytes()
    night.rescue.path.unlink()
    await night.process()
    doubtful = len(night.records("in_doubt"))
    lines = len(saved.splitlines())
    night.rescue.path.write_bytes(saved + saved + b'{"torn')
    await night.process()

    assert doubtful >= lines > 0
    assert len(night.records("in_doubt")) == doubtful - lines
    assert night.rescue.path.exists()  # a torn line may have been a job: a person must see it
    known = {record["job_id"] for record in night.records("succeeded")}
    assert night.simulation.ledger.jobs.keys() == known
    night.assert_no_row_paid_twice()


async def test_a_job_of_another_row_is_not_taken_over(tmp_path: Path) -> None:
    """A job has one row, whatever a file says."""
    night = night_in(tmp_path)
    await run_until_failure(night, Failing(LATE))
    with night.unmended_books() as (journal, _):
        followed: list[Ticket] = journal.followed(0, 1)

    assert followed, "no job was accepted before"
    rescued_file(night, {"job_id": followed[0].job_id})
    await night.process()

    assert night.log.names().count("rescue.left") == 1
    night.assert_no_row_paid_twice()
