"""Journals that released versions wrote, and left behind when they were killed, go on today.

`golden/make.py` made them with the code of their time. The books of the API of that moment lie
beside them, so that a simulated API goes on where that one stood, and its ledger judges.
"""

from __future__ import annotations

import shutil
import sqlite3
import tarfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.adapters.sqlite import SqliteJournal, schema
from batcher.core.errors import StorageError
from batcher.core.lifecycle import OUTCOMES
from batcher.engine.books.opening import open_books
from batcher.engine.clock import LoopClock
from batcher.simulator import Job, SimulatedTransport
from batcher.simulator.ledger import Course, End, Order, Trace
from tests.engine.harness import AUTH, FLUX, Night
from tests.engine.test_collect import FakeStore, always
from tests.support.figures import Figures

FOLDER = Path(__file__).parent / "golden"
LATER_S = 3_600.0  # after the kill somebody resumes


@dataclass(frozen=True)
class Golden:
    """One file: its version, and how many rows were in each state, as those who made it counted."""

    name: str
    version: int
    states: dict[str, int]
    params: dict[str, object]

    @property
    def provider(self) -> str:
        """The API that it is of."""
        return self.name.partition("-")[0]


GOLDEN = (
    Golden(
        "removit-1",
        1,
        {
            "pending": 7,
            "intent": 7,
            "accepted": 20,
            "ready": 2,
            "succeeded": 8,
            "failed": 6,
            "exhausted": 11,
            "in_doubt": 3,
        },
        {},
    ),
    Golden(
        "deapi-2",
        2,
        {
            "pending": 8,
            "intent": 6,
            "accepted": 29,
            "ready": 1,
            "succeeded": 10,
            "failed": 5,
            "exhausted": 3,
            "in_doubt": 2,
        },
        FLUX,
    ),
)
each = pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)


def unpack(golden: Golden, folder: Path) -> Path:
    """Put a golden run where it can be worked on; return its run directory."""
    with tarfile.open(FOLDER / f"{golden.name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")

    return folder / "run"


def night_of(golden: Golden, folder: Path) -> Night:
    """Return the run, with an API that stands where that of its time stood."""
    unpack(golden, folder)
    night = Night(folder, provider=golden.provider, params=golden.params, seed=9)
    night.store = FakeStore(always(None))
    books = orjson.loads((folder / "books.json").read_bytes())
    night.clock = LoopClock(max(books["submits_at"]) + LATER_S)
    night.transport = SimulatedTransport(
        night.simulation, AUTH[golden.provider], clock=night.clock.wall
    )
    ledger = night.simulation.ledger
    ledger.references = {name: Trace(**trace) for name, trace in books["references"].items()}
    ledger.jobs = {told["job_id"]: _job(told) for told in books["jobs"]}
    return night


def _job(told: dict[str, Any]) -> Job:
    return Job(
        id=told["job_id"],
        reference=told["reference"],
        order=Order(told["task"]),
        course=Course(End(told["end"])),
        created_at=told["created_at"],
        done_at=told["done_at"],
    )


def states_of(directory: Path) -> dict[str, int]:
    """Return how many rows are in each state, as who only reads sees it."""
    with closing(SqliteJournal.read(directory / "journal.db")) as reader:
        counters = reader.counters()
        return {state: counters[state] for state in GOLDEN[0].states}


def version_of(directory: Path) -> int:
    """Return the version of the journal, without changing a byte of it."""
    return number(directory, "PRAGMA user_version")


def number(directory: Path, statement: str) -> int:
    """Return a number that the journal has, without changing a byte of it."""
    path = directory / "journal.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return int(db.execute(statement).fetchone()[0])


def content(directory: Path) -> dict[str, bytes]:
    """Return every file of a run but the locks and what SQLite makes anew."""
    kept = (path for path in directory.rglob("*") if path.is_file())
    skipped = ("run.lock", ".alive", "journal.db-shm")
    return {str(path): path.read_bytes() for path in kept if path.name not in skipped}


def test_there_is_a_golden_journal_of_every_version() -> None:
    """A version of the schema that was released has its file, which today's version will be too."""
    assert {golden.version for golden in GOLDEN} >= set(range(1, schema.VERSION))


@each
def test_who_only_reads_changes_nothing(golden: Golden, tmp_path: Path) -> None:
    """States, settings and doubts of an old run can be read, and every byte of it stays."""
    directory = unpack(golden, tmp_path)
    before = content(directory)
    assert states_of(directory) == golden.states
    assert version_of(directory) == golden.version
    frozen, settings = read_run_file(directory / "run.toml")
    assert (frozen.provider, settings.max_attempts) == (golden.provider, 2)
    assert content(directory) == before


@each
@pytest.mark.virtual
async def test_an_old_run_goes_on_to_its_end(
    golden: Golden, tmp_path: Path, figures: Figures
) -> None:
    """Paid jobs are followed, pending rows alone are sent, open submits are held: none is lost."""
    night = night_of(golden, tmp_path)
    ledger, before = night.simulation.ledger, night.outcomes()
    sent = {name: trace.submits for name, trace in ledger.references.items()}
    paid, jobs = set(ledger.jobs), ledger.jobs_per_reference()
    decided = number(night.directory, "SELECT count(*) FROM decision")
    wanted_again = number(night.directory, f"SELECT count(*) FROM row WHERE {RESUBMITTED}")

    assert await night.process() is None

    submits = sum(trace.submits for trace in ledger.references.values()) - sum(sent.values())
    again = [n for n, t in ledger.references.items() if t.submits > sent.get(n, 0) and jobs.get(n)]
    unknown = paid - {r["job_id"] for outcome in OUTCOMES for r in night.records(outcome)}
    held = golden.states["in_doubt"] + golden.states["intent"]
    followed = golden.states["accepted"] + golden.states["ready"]
    figures.add(
        "golden journals",
        {
            "journals": 1,
            "rows": sum(golden.states.values()),
            "jobs followed": followed,
            "paid rows sent again": len(again) - wanted_again,
            "jobs lost": max(0, len(unknown) - held - decided),
        },
    )
    assert submits == golden.states["pending"]
    assert len(again) == wanted_again
    assert len(unknown) <= held + decided
    assert night.outcomes().items() >= before.items()
    assert {outcome: len(night.records(outcome)) for outcome in OUTCOMES} == {
        **{outcome: golden.states[outcome] for outcome in ("exhausted", "failed")},
        "in_doubt": held,
        "succeeded": golden.states["succeeded"] + golden.states["pending"] + followed,
    }


# A person said of a row in doubt that it shall be sent again, and it was not yet.
RESUBMITTED = """
    state = 'pending' AND n IN (SELECT n FROM decision WHERE move = 'resubmit')"""


@each
def test_a_newer_journal_is_refused_unharmed(golden: Golden, tmp_path: Path) -> None:
    """One version more than this batcher knows: the error says so, and no byte is touched."""
    directory = unpack(golden, tmp_path)
    newer = tmp_path / "newer"
    with closing(sqlite3.connect(directory / "journal.db")) as db:
        db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
        shutil.copytree(directory, newer, ignore=shutil.ignore_patterns("*-shm"))

    before = content(newer)
    run = RunDirectory(newer)
    for _ in range(2):
        with (
            run.lock(0.0),
            pytest.raises(StorageError, match=f"version {schema.VERSION + 1}"),
            open_books(run, golden.provider),
        ):
            pytest.fail("it was opened")

    with pytest.raises(StorageError, match=f"version {schema.VERSION + 1}"):
        SqliteJournal.read(newer / "journal.db")

    assert content(newer) == before
