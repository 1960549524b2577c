"""A journal that an older batcher made: it goes on, it can be read, and no crash harms it."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batcher.adapters.sqlite import DiskFull, SqliteJournal, connection, schema
from batcher.core.errors import StorageError
from batcher.core.events import Accept, Intend
from batcher.core.journal import Journal
from batcher.core.lifecycle import Move, State
from batcher.core.model import Refund
from tests.adapters.journal_conformance import ALL, Said, event, found, take

ROOT = Path(__file__).resolve().parents[2]

# As it was released; it never changes again.
SCHEMA_1 = """
-- Which process owns the run: the one that knows the highest epoch.
CREATE TABLE owner (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    epoch       INTEGER NOT NULL,
    claimed_at  REAL
) STRICT;
INSERT INTO owner VALUES (1, 0, NULL);

-- One line of the manifest.
CREATE TABLE row (
    n            INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL,
    copy         INTEGER NOT NULL CHECK (copy >= 0),  -- k: k-th repetition of an id, to be rejected
    line         INTEGER NOT NULL,
    digest       BLOB    NOT NULL,
    admitted     INTEGER NOT NULL,                    -- epoch that met it first
    state        TEXT    NOT NULL CHECK (state IN ('pending', 'intent', 'accepted', 'ready',
                                                   'succeeded', 'failed', 'exhausted', 'in_doubt')),
    generation   INTEGER NOT NULL DEFAULT 0,          -- of its last attempt; 0 = none
    spent        INTEGER NOT NULL DEFAULT 0,          -- attempts that count against the limit
    job_id       TEXT,
    accepted_at  REAL,
    done_seen_at REAL,
    result       BLOB,                                -- JSON, while its files are still to be had
    error        TEXT,                                -- JSON, the last one; before any attempt:
                                                      -- why the line cannot be used
    base         TEXT,
    body         BLOB    NOT NULL,
    CHECK (job_id IS NOT NULL OR state NOT IN ('accepted', 'ready')),
    CHECK (job_id IS NULL OR state NOT IN ('pending', 'intent')),
    CHECK (result IS NOT NULL OR state <> 'ready')
) STRICT;
CREATE UNIQUE INDEX row_by_id ON row (id) WHERE copy = 0;
CREATE UNIQUE INDEX row_by_copy ON row (id, digest, copy) WHERE copy > 0;
CREATE UNIQUE INDEX row_by_job ON row (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX row_open ON row (state, n) WHERE state NOT IN ('succeeded', 'failed');

-- Rows from earlier epochs that this epoch's manifest met again, and how often.
CREATE TABLE met (
    n            INTEGER PRIMARY KEY,
    times        INTEGER NOT NULL
) STRICT;

-- The money ledger: one line for each submit, written before its first byte, closed once.
CREATE TABLE attempt (
    n            INTEGER NOT NULL REFERENCES row (n),
    generation   INTEGER NOT NULL CHECK (generation >= 1),
    epoch        INTEGER NOT NULL,
    intent_at    REAL    NOT NULL,
    answered_at  REAL,
    verdict      TEXT    CHECK (verdict IN ('accept', 'withdraw', 'refuse', 'doubt', 'exhaust',
                                                     'resubmit')),
    job_id       TEXT,
    given_up     INTEGER,                             -- 1: the row gave this job up
    refund       TEXT    CHECK (refund IN ('done', 'already_done', 'unconfirmed')),
    http_status  INTEGER,
    request_id   TEXT,
    kind         TEXT,
    message      TEXT,
    resubmission INTEGER,                             -- 1: refused, and tried again by advice
    PRIMARY KEY (n, generation)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_given_up ON attempt (job_id) WHERE given_up = 1;
CREATE TRIGGER attempt_is_kept BEFORE DELETE ON attempt
    BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER attempt_closes_once BEFORE UPDATE OF verdict ON attempt WHEN OLD.verdict IS NOT NULL
    BEGIN SELECT raise(ABORT, 'an attempt is closed once'); END;

-- What a person decided, and on what evidence.
CREATE TABLE decision (
    id           INTEGER PRIMARY KEY,
    n            INTEGER NOT NULL REFERENCES row (n),
    epoch        INTEGER NOT NULL,
    at           REAL    NOT NULL,
    move         TEXT    NOT NULL,
    job_id       TEXT,
    note         TEXT    NOT NULL
) STRICT;

CREATE TABLE output (
    file         TEXT    PRIMARY KEY,
    bytes        INTEGER CHECK (bytes >= 0)           -- NULL: to be rebuilt
) STRICT, WITHOUT ROWID;
CREATE TABLE counter (
    name         TEXT    PRIMARY KEY,
    value        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE fact (
    key          TEXT    PRIMARY KEY,
    value        TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
"""
ERROR = '{"kind":"rejected","message":"broken","http_status":null,"code":"E1","fields":null,\
"retriable":false,"request_id":null}'

# A run that was killed: one row in each place that a start has to deal with.
ROWS_1 = f"""
UPDATE owner SET epoch = 3, claimed_at = 9.0;
INSERT INTO row (n, id, copy, line, digest, admitted, state, generation, spent, job_id,
                 accepted_at, error, body) VALUES
    (1, 'fresh', 0, 1, x'01', 1, 'pending', 0, 0, NULL, NULL, NULL, x'7b7d'),
    (2, 'again', 0, 2, x'02', 1, 'pending', 2, 2, NULL, NULL, '{ERROR}', x'7b7d'),
    (3, 'open', 0, 3, x'03', 1, 'intent', 1, 0, NULL, NULL, NULL, x'7b7d'),
    (4, 'job', 0, 4, x'04', 1, 'accepted', 1, 0, 'j4', 2.0, NULL, x'7b7d'),
    (5, 'doubt', 0, 5, x'05', 1, 'in_doubt', 1, 0, NULL, NULL, NULL, x'7b7d'),
    (6, 'failed', 0, 6, x'06', 1, 'failed', 1, 0, 'j6', 2.0, '{ERROR}', x'7b7d'),
    (7, 'done', 0, 7, x'07', 1, 'succeeded', 1, 0, 'j7', 2.0, NULL, x'7b7d');
INSERT INTO attempt (n, generation, epoch, intent_at, answered_at, verdict, job_id, given_up,
                     refund, request_id, kind, message) VALUES
    (2, 1, 1, 1.0, 2.0, 'accept', 'j2', 1, 'done', 'q2', NULL, NULL),
    (2, 2, 1, 3.0, 4.0, 'withdraw', NULL, NULL, NULL, NULL, 'unavailable', 'later'),
    (3, 1, 3, 1.0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, 1, 1, 1.0, 2.0, 'accept', 'j4', NULL, NULL, 'q4', NULL, NULL),
    (5, 1, 1, 1.0, 2.0, 'doubt', NULL, NULL, NULL, NULL, 'timeout', 'no answer'),
    (6, 1, 1, 1.0, 2.0, 'accept', 'j6', NULL, 'unconfirmed', 'q6', NULL, NULL),
    (7, 1, 1, 1.0, 2.0, 'accept', 'j7', NULL, NULL, 'q7', NULL, NULL);
INSERT INTO counter VALUES ('rows', 7), ('pending', 2), ('intent', 1), ('accepted', 1),
    ('in_doubt', 1), ('failed', 1), ('succeeded', 1), ('submits', 7), ('jobs_accepted', 4),
    ('refund_done', 1), ('refund_unconfirmed', 1), ('status_reads', 12);
INSERT INTO output VALUES ('failed.jsonl', 70);
INSERT INTO fact VALUES ('account', 'x');
"""
IDS = ("fresh", "again", "open", "job", "doubt", "failed", "done")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a journal of version 1, as a process left it that was killed: the log not folded in."""
    made = tmp_path / "made.db"
    with closing(sqlite3.connect(made, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = wal")
        db.executescript(
            f"BEGIN; PRAGMA application_id = {schema.APPLICATION_ID}; PRAGMA user_version = 1;"
            f"{SCHEMA_1}{ROWS_1}COMMIT;"
        )
        (tmp_path / "run").mkdir()
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{made}{suffix}", tmp_path / "run" / f"journal.db{suffix}")

    return tmp_path / "run" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    """Open it as the run's next process does."""
    with closing(SqliteJournal.open(path, must_exist=True)) as journal:
        journal.claim(10.0)
        yield journal


def version_of(path: Path) -> int:
    """Return the version that the file tells."""
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def is_whole(journal: Journal) -> None:
    """Check that everything which version 1 knew is there."""
    states = [found(journal, row_id).state for row_id in IDS]
    assert states == ["pending", "pending", "intent", "accepted", "in_doubt", "failed", "succeeded"]
    assert [len(found(journal, row_id).attempts) for row_id in IDS] == [0, 2, 1, 1, 1, 1, 1]
    assert found(journal, "job").ticket.job_id == "j4"
    counters = journal.counters()
    assert [counters[name] for name in ("submits", "jobs_accepted", "status_reads")] == [7, 4, 12]
    assert [counters[f"refund_{refund}"] for refund in Refund] == [1, 0, 1]
    assert journal.outputs() == {"failed.jsonl": 70}
    assert journal.fact("account") == "x"
    charges = [(c.job_id, c.cost, c.refund, c.refund_raw) for c in journal.charges(0, ALL)]
    assert charges == [
        *(("j2", None, "done", None), (None, None, None, None), ("j6", None, "unconfirmed", None))
    ]


def test_an_older_journal_goes_on(path: Path, journal: SqliteJournal) -> None:
    """Every row is taken up where it was; what is paid from now on has a cost."""
    assert version_of(path) == schema.VERSION
    is_whole(journal)
    assert [ticket.row.id for ticket in journal.unanswered(0, ALL)] == ["open"]
    assert [ticket.row.id for ticket in journal.followed(0, ALL)] == ["job"]
    assert [ticket.row.id for ticket in journal.unseen(0, ALL)] == ["fresh", "again"]
    take(journal, [Intend(2, 11.0, 3, cost=7), Accept(2, 12.0, "j2-3")])
    take(journal, [event(Move.FAIL, 4, said=Said(5, Refund.DONE, "done"))])
    counters = journal.counters()
    assert (counters["cost"], counters["cost_refunded"], counters["jobs_priced"]) == (12, 5, 2)
    assert [counters[f"refund_{refund}"] for refund in Refund] == [2, 0, 1]


def test_it_becomes_what_a_new_one_is(path: Path, tmp_path: Path) -> None:
    """Tables, columns, types, indexes and triggers are those of a file that was made anew."""
    SqliteJournal.open(path).close()
    SqliteJournal.open(tmp_path / "new.db").close()
    shapes = []
    for file in (path, tmp_path / "new.db"):
        with closing(sqlite3.connect(file)) as db:
            names = db.execute("SELECT type, name FROM sqlite_schema ORDER BY name").fetchall()
            columns = [
                db.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)).fetchall()
                for kind, name in names
                if kind == "table"
            ]
            lists = db.execute("SELECT name, strict, wr FROM pragma_table_list ORDER BY name")
            shapes.append((names, columns, lists.fetchall()))

    assert shapes[0] == shapes[1]


def test_it_is_brought_up_once(path: Path) -> None:
    """The next start finds the present version and changes nothing."""
    for epoch in (4, 5):
        with closing(SqliteJournal.open(path)) as journal:
            assert journal.claim(0.0) == epoch
            is_whole(journal)


def test_two_starts_at_once_bring_it_up_once(path: Path) -> None:
    """Who finds the old version, but comes second, does nothing."""

    def be_faster(statement: str) -> None:
        if statement.startswith("BEGIN"):
            SqliteJournal.open(path).close()

    with closing(sqlite3.connect(path, isolation_level=None)) as late:
        late.set_trace_callback(be_faster)
        connection._upgrade(late, path)

    with closing(SqliteJournal.open(path)) as journal:
        journal.claim(0.0)
        is_whole(journal)


def test_who_only_reads_leaves_it_as_it_is(path: Path) -> None:
    """`status` and `refunds` of an old run work, and the file is the old one afterwards."""
    before = path.read_bytes()
    with closing(SqliteJournal.read(path)) as reader:
        is_whole(reader)  # type: ignore[arg-type]  # a reader answers these questions too
        assert [held.ticket.row.id for held in reader.held(State.IN_DOUBT, 0, ALL)] == ["doubt"]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._db.execute("DELETE FROM fact")

    assert path.read_bytes() == before
    assert version_of(path) == 1


def test_a_reader_may_watch_it_being_brought_up(path: Path) -> None:
    """A `status` that began on the old version goes on while the run is taken up."""
    with (
        closing(SqliteJournal.read(path)) as reader,
        closing(SqliteJournal.open(path)) as journal,
    ):
        journal.claim(0.0)
        take(journal, [Intend(1, 11.0, 1, cost=7)])
        assert reader.counters()["cost"] == 7
        row = reader.find("fresh")
        assert row is not None
        assert (row.state, row.ticket.cost) == (State.INTENT, None)


# Kills itself the moment before SQLite runs a statement of the change.
KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from batcher.adapters.sqlite import SqliteJournal

fatal, connect = sys.argv[2], sqlite3.connect


def look(statement):
    if statement.startswith(fatal):
        os.kill(os.getpid(), signal.SIGKILL)


def watched(*arguments, **options):
    db = connect(*arguments, **options)
    db.set_trace_callback(look)
    return db


sqlite3.connect = watched
SqliteJournal.open(Path(sys.argv[1]), must_exist=True)
"""
FATAL = [*schema.UPGRADES[1], f"PRAGMA user_version = {schema.VERSION}", "COMMIT"]


@pytest.mark.parametrize("statement", FATAL)
def test_a_crash_in_the_middle_leaves_the_old_one(path: Path, statement: str) -> None:
    """Wherever the process dies, the file is of version 1 and whole, and the next start goes on."""
    command = [sys.executable, "-c", KILLED, str(path), statement]
    child = subprocess.run(command, cwd=ROOT, check=False)
    assert child.returncode == -signal.SIGKILL
    image = path.parent.parent / "image"
    shutil.copytree(path.parent, image)
    assert version_of(image / "journal.db") == 1
    with closing(SqliteJournal.read(path)) as reader:
        is_whole(reader)  # type: ignore[arg-type]  # a reader answers these questions too

    with closing(SqliteJournal.open(path, must_exist=True)) as journal:
        journal.claim(0.0)
        is_whole(journal)


def test_a_full_disk_in_the_middle_leaves_the_old_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit is taken back whole, and the same start works once there is room."""
    # A change that fills the disk: the real one fits into pages that are there.
    filling = ("PRAGMA max_page_count = 1", "CREATE TABLE t AS SELECT zeroblob(100000)")
    monkeypatch.setitem(schema.UPGRADES, 1, (*schema.UPGRADES[1], *filling))
    with pytest.raises(DiskFull):
        SqliteJournal.open(path)

    assert version_of(path) == 1
    monkeypatch.undo()
    with closing(SqliteJournal.open(path)) as journal:
        journal.claim(0.0)
        is_whole(journal)


@pytest.mark.parametrize("version", [0, schema.VERSION + 1, -1])
def test_a_version_that_never_was_is_refused(path: Path, version: int) -> None:
    """A number that no batcher wrote is no older version."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")

    for attempt in (SqliteJournal.open, SqliteJournal.read):
        with pytest.raises(StorageError, match=f"version {version}"):
            attempt(path)

    assert version_of(path) == version
