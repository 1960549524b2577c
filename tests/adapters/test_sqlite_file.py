"""The journal's file: what is refused and why, who may read it, what a failing disk does to it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest

from batcher.adapters.sqlite import DiskFull, Locked, SqliteJournal, connection, mounts, schema
from batcher.adapters.sqlite import statements as sql
from batcher.core.errors import StorageError, UsageError
from batcher.core.events import Decide, Finish, Intend
from batcher.core.journal import Entry
from batcher.core.lifecycle import Move, State
from batcher.core.model import ErrorKind, RowError
from tests.adapters.journal_conformance import ALL, admitted, entry, found, row_in, take

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a journal."""
    return tmp_path / "a folder with ? # %41" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    """Make a journal that this process owns."""
    path.parent.mkdir()
    journal = SqliteJournal.open(path)
    journal.claim(0.0)
    yield journal
    journal.close()


@pytest.fixture
def closed(path: Path, journal: SqliteJournal) -> Path:
    """Leave a journal with 300 rows, cleanly closed."""
    journal.admit([entry(f"row-{line}", line) for line in range(300)])
    journal.close()
    return path


def raw(path: Path) -> closing[sqlite3.Connection]:
    """Open the file past the journal."""
    return closing(sqlite3.connect(path, isolation_level=None))


# --- How it is opened --------------------------------------------------------------------------


def test_only_the_owner_may_read(journal: SqliteJournal, path: Path) -> None:
    """The file, its log and its index hold signed URLs: nobody else may open them."""
    admitted(journal, "a")
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("journal.db", "journal.db-shm", "journal.db-wal"), 0o600)


def test_rights_that_were_widened_are_narrowed(closed: Path) -> None:
    """A copy that came back with other rights is made private again."""
    closed.chmod(0o644)
    SqliteJournal.open(closed).close()
    assert closed.stat().st_mode & 0o777 == 0o600


def test_every_commit_is_synced(journal: SqliteJournal) -> None:
    """WAL with FULL, and no less: with NORMAL a power cut takes acknowledged commits."""
    # Only the connection itself knows its `synchronous`.
    modes = [
        journal._db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "fullfsync", "foreign_keys")
    ]
    assert modes == ["wal", 2, 1, 1]


def test_a_setting_that_does_not_take_is_an_error(tmp_path: Path) -> None:
    """SQLite ignores what it cannot do; here a database in memory cannot have a log."""
    with (
        raw(Path(":memory:")) as db,
        pytest.raises(StorageError, match="journal_mode to memory instead of wal"),
    ):
        connection._configure(db, tmp_path, durable=True, shared=False)


@pytest.mark.parametrize("begun", [False, True])
def test_a_journal_that_was_there_is_not_started_anew(tmp_path: Path, begun: bool) -> None:
    """Where the run had a journal, a missing or empty file would pay again for what was sent."""
    path = tmp_path / "journal.db"
    if begun:
        path.touch()

    with pytest.raises(StorageError, match="corrupt" if begun else "missing"):
        SqliteJournal.open(path, must_exist=True)

    assert path.exists() == begun
    SqliteJournal.open(path).close()
    SqliteJournal.open(path, must_exist=True).close()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The run directory is somebody else's to make."""
    with pytest.raises(StorageError, match="No such file"):
        SqliteJournal.open(tmp_path / "nowhere" / "journal.db")


# --- What is refused ---------------------------------------------------------------------------


def test_a_newer_journal_is_refused_unharmed(closed: Path) -> None:
    """An older batcher does not touch what it does not understand."""
    with raw(closed) as db:
        db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")

    before = closed.read_bytes()
    for attempt in (SqliteJournal.open, SqliteJournal.read):
        with pytest.raises(StorageError, match=f"version {schema.VERSION + 1}"):
            attempt(closed)

    assert closed.read_bytes() == before


def test_another_programs_database_is_refused_unharmed(tmp_path: Path) -> None:
    """A file that happens to be SQLite is not ours for that."""
    path = tmp_path / "journal.db"
    with raw(path) as db:
        db.execute("CREATE TABLE songs (title TEXT)")

    before = path.read_bytes()
    with pytest.raises(StorageError, match="no journal of batcher"):
        SqliteJournal.open(path)

    assert path.read_bytes() == before


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_a_truncated_journal_is_corrupt(closed: Path, kept: float) -> None:
    """A file that lost its end is told as corrupt, with what to do."""
    os.truncate(closed, int(closed.stat().st_size * kept))
    with pytest.raises(StorageError, match=r"corrupt .* backup"):
        SqliteJournal.open(closed, must_exist=True)


def test_a_file_that_is_no_database_is_corrupt(closed: Path) -> None:
    """Neither owner nor reader takes garbage for a new journal."""
    closed.write_bytes(b"\xff" * 8192)
    for attempt in (SqliteJournal.open, SqliteJournal.read):
        with pytest.raises(StorageError, match="corrupt"):
            attempt(closed)


def test_a_flipped_byte_never_empties_a_journal(closed: Path) -> None:
    """Wherever the damage is, it is told, or at most one row is touched: never a fresh start."""
    rng, whole = Random(7), closed.read_bytes()
    told = 0
    for offset in [*range(0, 100, 7), *(rng.randrange(len(whole)) for _ in range(60))]:
        broken = bytearray(whole)
        broken[offset] ^= 1 << rng.randrange(8)
        closed.write_bytes(broken)
        try:
            with closing(SqliteJournal.open(closed, must_exist=True)) as journal:
                assert len(journal.unseen(0, ALL)) >= 299
        except StorageError:
            told += 1

    assert told >= 10


def test_a_huge_journal_is_checked_where_it_is_summed_up(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the limit only the small tables are read, so that opening stays quick."""
    # The last limit is 4 GiB, which no test should write.
    monkeypatch.setattr(connection, "CHECKS", connection.CHECKS[-1:])
    SqliteJournal.open(closed, must_exist=True).close()
    with raw(closed) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'counter'").fetchone()

    broken = bytearray(closed.read_bytes())
    broken[(page - 1) * 4096 : page * 4096] = b"\x01" * 4096
    closed.write_bytes(broken)
    with pytest.raises(StorageError, match="corrupt"):
        SqliteJournal.open(closed, must_exist=True)


MOUNTED = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:25 / /net/my\\040share rw,relatime shared:7 - nfs4 host:/x rw
31 27 0:26 / /net/my rw,relatime - fuse.sshfs host: rw
32 27 0:27 / /data rw - tmpfs tmpfs rw
33 32 0:28 / /data rw - cifs //host/x rw
34 27 8:17 / /usb rw - fuseblk /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/net/my share/runs", "nfs4"),
        ("/net/my/runs", "fuse.sshfs"),
        ("/net/myself", "ext4"),
        ("/data", "cifs"),
        ("/usb/x", "fuseblk"),
    ],
)
def test_a_network_folder_is_refused(tmp_path: Path, folder: str, kind: str) -> None:
    """The innermost, latest mount counts; a log on a network needs a person's word."""
    assert mounts.filesystem_of(Path(folder), MOUNTED) == kind
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTED.replace("/data", str(tmp_path)))
    path = tmp_path / "journal.db"
    with pytest.raises(UsageError, match="on cifs"):
        mounts.refuse_network(path, allowed=False, table=table)

    assert mounts.refuse_network(path, allowed=True, table=table)
    assert not mounts.refuse_network(Path("/usb/x"), allowed=False, table=table)
    assert not mounts.refuse_network(path, allowed=False, table=tmp_path / "not Linux")


def test_a_network_journal_is_locked_for_one_process(closed: Path) -> None:
    """Where somebody allows it all the same there is no log, and nobody else gets in."""
    with raw(closed) as db:
        connection._configure(db, closed, durable=True, shared=True)
        db.execute("BEGIN IMMEDIATE")
        db.execute("COMMIT")
        with raw(closed) as other, pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("PRAGMA busy_timeout = 0").connection.execute(sql.EPOCH)


# --- Reading beside the owner ------------------------------------------------------------------


def test_a_reader_sees_each_commit_and_moves_nothing(journal: SqliteJournal, path: Path) -> None:
    """`status` reads while the run goes on; it writes nothing and copies nothing back."""
    admitted(journal, "a", "b")
    with closing(SqliteJournal.read(path)) as reader:
        assert reader.counters()["pending"] == 2
        row_in(journal, State.IN_DOUBT, "c")
        journal.apply([], {"in_doubt": 10})
        journal.note({"account": "x"})
        assert [held.ticket.row.id for held in reader.held(State.IN_DOUBT, 0, ALL)] == ["c"]
        row = reader.find("c")
        assert row is not None
        assert (row.state, reader.outputs(), reader.fact("account")) == (
            *(State.IN_DOUBT, {"in_doubt": 10}, "x"),
        )
        before = path.read_bytes()

    assert path.read_bytes() == before
    assert journal.apply([Intend(1, 1.0, 1)]) == [True]


def test_a_reader_cannot_write(closed: Path) -> None:
    """Even its connection refuses."""
    with (
        closing(SqliteJournal.read(closed)) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader._db.execute("DELETE FROM fact")


def test_a_reader_does_not_make_a_journal(tmp_path: Path) -> None:
    """Asking for the status of nothing leaves nothing behind."""
    with pytest.raises(StorageError, match="no journal"):
        SqliteJournal.read(tmp_path / "journal.db")

    assert list(tmp_path.iterdir()) == []


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Make *folder* one that this process cannot write to, whoever runs the tests."""
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)

    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


def test_a_folder_that_one_may_only_read_can_be_read() -> None:
    """A finished run on a read-only medium is readable; one with a log says what to do."""
    with tempfile.TemporaryDirectory() as name:  # the tests' own folder is closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "journal.db"
        with closing(SqliteJournal.open(path)) as journal:
            journal.claim(0.0)
            admitted(journal, "a")

        path.chmod(0o644)
        with without_rights(folder), closing(SqliteJournal.read(path)) as reader:
            assert reader.counters()["rows"] == 1

        (folder / "journal.db-wal").touch(0o600)
        with without_rights(folder), pytest.raises(StorageError, match="journal"):
            SqliteJournal.read(path)


# --- When it fails -----------------------------------------------------------------------------


def test_a_full_disk_loses_nothing_and_passes(journal: SqliteJournal) -> None:
    """What did not fit is not there, what was there stays, and the same call works later."""
    (n,) = admitted(journal, "a")
    many = [entry(f"row-{line}", line, "x" * 2_000) for line in range(200)]
    (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count = {pages + 5}")  # a disk of our own that is full
    for _ in range(2):
        with pytest.raises(DiskFull) as failure:
            journal.admit(many)

        assert failure.value.disk_full
        assert journal.counters()["rows"] == 1
        assert journal.find("row-0") is None

    assert journal.apply([Intend(n, 1.0, 1)]) == [True]
    journal._db.execute("PRAGMA max_page_count = 1000000")
    assert len(journal.admit(many)) == 200


FAILING_DISK = """
import resource, sys
from pathlib import Path
from batcher.adapters.sqlite import SqliteJournal
from batcher.core.errors import StorageError
from batcher.core.events import Intend
from tests.adapters.journal_conformance import admitted, entry

path = Path(sys.argv[1])
journal = SqliteJournal.open(path)
journal.claim(0.0)
numbers = admitted(journal, *(f"row-{line}" for line in range(2_000)))
size = Path(f"{path}-wal").stat().st_size
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 300_000, hard))
done = []
try:
    for n in numbers:
        journal.apply([Intend(n, 1.0, 1)])
        done.append(n)
except StorageError as failure:
    assert not failure.disk_full, failure

resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
try:
    journal.note({"more": "x"})
except StorageError as failure:
    assert "since" in str(failure), failure
    print(*done)
"""


def test_a_failing_disk_stops_all_writing(tmp_path: Path) -> None:
    """After such an error nothing more is written, and what was acknowledged is there.

    The kernel refuses to let the log grow: a write fails in the middle of a transaction.
    """
    path = tmp_path / "journal.db"
    command = [sys.executable, "-c", FAILING_DISK, str(path)]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    acknowledged = [int(n) for n in child.stdout.split()]
    assert child.returncode == 0, child.stderr
    assert 0 < len(acknowledged) < 2_000
    with closing(SqliteJournal.open(path, must_exist=True)) as journal:
        journal.claim(1.0)
        left = [ticket.row.n for ticket in journal.unanswered(0, 2 * ALL)]
        assert left[: len(acknowledged)] == acknowledged
        assert len(left) - len(acknowledged) <= 1
        assert journal.fact("more") is None


def test_a_call_that_fails_at_its_end_is_undone_whole(journal: SqliteJournal) -> None:
    """What a transaction wrote before it failed is not there: a length below zero comes last."""
    (n,) = admitted(journal, "a")
    with pytest.raises(StorageError, match="CHECK"):
        journal.apply([Intend(n, 1.0, 1)], {"succeeded": -1})

    assert (found(journal).state, found(journal).attempts) == (State.PENDING, ())
    assert journal.counters()["submits"] == 0


def test_a_lock_of_somebody_else_is_told(journal: SqliteJournal, path: Path) -> None:
    """A foreign writer makes a call fail whole, not wait for ever; afterwards all goes on."""
    (n,) = admitted(journal, "a")
    journal._db.execute("PRAGMA busy_timeout = 0")  # else this test would wait for it
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Locked, match="another process"):
            journal.apply([Intend(n, 1.0, 1)])

    assert journal.apply([Intend(n, 1.0, 1)]) == [True]


def test_two_calls_at_once_are_a_bug(journal: SqliteJournal) -> None:
    """A second caller in the middle of a call is refused at once, and the first is undone."""

    class Nosy(list[Entry]):
        def __iter__(self) -> Iterator[Entry]:
            journal.counters()
            return super().__iter__()

    with pytest.raises(RuntimeError, match="two calls"):
        journal.admit(Nosy([entry("a")]))

    assert journal.find("a") is None


# --- What is in it -----------------------------------------------------------------------------


def test_the_ledger_can_only_grow(journal: SqliteJournal) -> None:
    """No statement, ours or anybody's, removes an attempt or answers it a second time."""
    row_in(journal, State.ACCEPTED)
    for statement in ("DELETE FROM attempt", "UPDATE attempt SET verdict = 'withdraw'"):
        with pytest.raises(sqlite3.IntegrityError):
            journal._db.execute(statement)


def test_decisions_are_kept_with_their_reasons(journal: SqliteJournal, path: Path) -> None:
    """Whoever audits a run finds who decided what, also where a row was closed."""
    n = row_in(journal, State.IN_DOUBT)
    closing_error = RowError(ErrorKind.UNKNOWN_OUTCOME, "closed: nothing there")
    take(journal, [Decide(n, 3.0, Move.RESUBMIT, note="ann"), Intend(n, 4.0, 2)])
    take(journal, [Finish(n, 5.0, Move.DOUBT, b"{}"), Decide(n, 6.0, Move.ADOPT, "j", "seen")])
    take(journal, [Finish(n, 7.0, Move.EXHAUST, b"{}"), Decide(n, 8.0, Move.REPOLL, note="bob")])
    other = row_in(journal, State.IN_DOUBT, "b")
    take(journal, [Finish(other, 9.0, Move.GIVE_UP, b"{}", closing_error)])
    with raw(path) as db:
        rows = db.execute("SELECT n, at, move, job_id, note FROM decision").fetchall()

    assert rows == [
        (n, 3.0, "resubmit", None, "ann"),
        (n, 6.0, "adopt", "j", "seen"),
        (n, 8.0, "repoll", None, "bob"),
        (other, 9.0, "give_up", None, "closed: nothing there"),
    ]


def test_the_documents_questions_can_be_asked(closed: Path) -> None:
    """What `docs/journal.md` shows a person to type runs, and as a reader."""
    page = (ROOT / "docs" / "journal.md").read_text(encoding="utf-8")
    block = page.split("sqlite3 'file:journal.db?mode=ro'\n\n")[1].split("\n\n")[0]
    questions = block.split(";")[:-1]
    assert len(questions) > 5
    with raw(closed) as db:
        db.execute("PRAGMA query_only = 1")
        for question in questions:
            db.execute(question).fetchall()


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (sql.FOLLOWED, "row_open (state=? AND n>?)"),
        (sql.HELD, "row_open (state=? AND n>?)"),
        (sql.UNANSWERED, "row_open (state=? AND n>?)"),
        (sql.UNSEEN, "row_open (state=? AND n>?)"),
        (sql.KNOWN, "row_by_id"),
        (sql.KNOWN_COPY, "row_by_copy"),
        (sql.FOUND, "row_by_id"),
        (sql.JOB_OWNERS, "row_by_job"),
        (sql.JOB_OWNERS, "attempt_given_up"),
        (sql.for_rows(sql.ACCEPT_ALL, 64), "row USING INTEGER PRIMARY KEY"),
        (sql.for_rows(sql.ACCEPT_ALL, 1), "attempt_given_up"),
        (sql.for_rows(sql.CLOSE_ACCEPTED, 64), "attempt USING PRIMARY KEY"),
        (sql.SUCCEED_ALL, "row USING INTEGER PRIMARY KEY"),
    ],
)
def test_no_question_reads_all_rows(journal: SqliteJournal, statement: str, index: str) -> None:
    """Resuming a run of millions of ended rows costs what its open rows cost."""
    numbered = [digit for digit in "12345" if f"?{digit}" in statement]
    parameters = ["[]"] * (len(numbered) or statement.count("?"))
    explained = journal._db.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
    plan = [step for *_, step in explained]
    assert any(index in step for step in plan), plan
    assert not [step for step in plan if step.startswith(("SCAN r", "SCAN a", "SCAN row"))], plan
    if index.startswith(
        "row_open"
    ):  # two ordered halves are merged and cut before the page is sorted
        is_sorted = any("TEMP B-TREE" in step for step in plan)
        assert is_sorted == ("MERGE (UNION ALL)" in plan), plan


def test_many_rows_move_in_one_call(journal: SqliteJournal) -> None:
    """A batch may be larger than any limit on a statement's parameters."""
    numbers = admitted(journal, *(f"row-{line}" for line in range(3_000)))
    assert all(journal.apply([Intend(n, 1.0, 1) for n in numbers]))
    assert journal.counters()["intent"] == 3_000
    assert found(journal, "row-2999").state is State.INTENT
