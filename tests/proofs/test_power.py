"""A power cut at any moment takes nothing that was acknowledged: not a job id, not an intent."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import apsw
import pytest

from batcher.adapters.sqlite import SqliteJournal
from batcher.core.errors import StorageError
from batcher.core.events import Accept, Collect, Finish, Intend
from batcher.core.lifecycle import Move, State
from tests.adapters.journal_conformance import ENCODED, entry
from tests.proofs.apsw_sqlite3 import connecting
from tests.proofs.disk import Disk, recording
from tests.support.figures import Figures

STATES = int(os.environ.get("BATCHER_POWER_STATES", "300"))
EARLY = {"wal_autocheckpoint": 12}  # pages: the log is folded in while the work goes on
ORDER = (State.PENDING, State.INTENT, State.ACCEPTED, State.READY, State.SUCCEEDED)
GROUPS = 6
ROWS = 8  # in a group
FAILURES = int(os.environ.get("BATCHER_IO_ERRORS", "60"))


@dataclass
class Promises:
    """What the journal has acknowledged so far."""

    states: dict[str, State] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)


def work(journal: SqliteJournal, said: Promises) -> Iterator[None]:
    """Take rows through their lives as a run does; each step is a commit that was waited for."""
    journal.claim(0.0)
    for group in range(GROUPS):
        names = [f"{group}-{n}" for n in range(ROWS)]
        lines = journal.admit([entry(name, n) for n, name in enumerate(names)])
        rows = {line.ticket.row.n: line.entry.id for line in lines if line.ticket is not None}
        said.states |= dict.fromkeys(rows.values(), State.PENDING)
        yield
        journal.apply([Intend(n, 1.0, 1) for n in rows])
        said.states |= dict.fromkeys(rows.values(), State.INTENT)
        yield
        jobs = {n: f"job-{name}" for n, name in rows.items()}
        journal.apply([Accept(n, 2.0, job) for n, job in jobs.items()])
        said.jobs |= {rows[n]: job for n, job in jobs.items()}
        said.states |= dict.fromkeys(rows.values(), State.ACCEPTED)
        yield
        journal.apply([Collect(n, 3.0, ENCODED) for n in rows])
        said.states |= dict.fromkeys(rows.values(), State.READY)
        yield
        done = list(rows)[: ROWS // 2]
        journal.apply([Finish(n, 4.0, Move.SUCCEED, b"{}") for n in done], {"succeeded": group})
        said.states |= dict.fromkeys((rows[n] for n in done), State.SUCCEEDED)
        yield


def power_cuts(folder: Path, states: int, changed: Mapping[str, object]) -> Iterator[str]:
    """Cut the power in so many moments, and yield what each recovery lost or found corrupt."""
    disk, said, rng = Disk(), Promises(), Random(7)
    seen: list[tuple[dict[str, bytes], Promises]] = []

    def watch() -> None:
        """Remember some of what could be found after a cut right here."""
        promised = Promises(dict(said.states), dict(said.jobs))
        seen.extend((disk.after_power_cut(rng), promised) for _ in range(2))

    round_ = 0
    while states > 0:
        disk.files.clear()
        home = folder / f"written-{round_}"
        home.mkdir()
        said.states.clear()
        said.jobs.clear()
        disk.watch = watch
        write_through(disk, home / "journal.db", said, changed)
        for image, promised in seen[: max(0, states)]:
            yield from losses(folder / "found", image, promised)

        states -= len(seen)
        seen.clear()
        round_ += 1


def write_through(disk: Disk, path: Path, said: Promises, changed: Mapping[str, object]) -> None:
    """Let the journal's own code work on the recording disk."""
    with recording(disk) as vfs, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connecting(vfs, changed))
        with closing(SqliteJournal.open(path)) as journal:
            for _ in work(journal, said):
                pass


def losses(folder: Path, image: dict[str, bytes], promised: Promises) -> Iterator[str]:
    """Open what a power cut left with SQLite's own file system, and yield what is wrong with it."""
    if not promised.states:
        return  # nothing was acknowledged: the file need not even be a journal yet

    folder.mkdir(exist_ok=True)
    for stale in folder.iterdir():
        stale.unlink()

    for name, content in image.items():
        (folder / name).write_bytes(content)

    try:
        with closing(SqliteJournal.open(folder / "journal.db", must_exist=True)) as journal:
            journal.claim(9.0)
            for name, state in promised.states.items():
                held = journal.find(name)
                if held is None or ORDER.index(held.state) < ORDER.index(state):
                    yield f"lost: {name} was {state}"
                elif name in promised.jobs and held.ticket.job_id != promised.jobs[name]:
                    yield f"lost: the job of {name}"
    except StorageError as error:
        yield f"corrupt: {error}"


def test_nothing_acknowledged_is_lost(tmp_path: Path, figures: Figures) -> None:
    """Every state that a power cut can leave opens, is whole, and knows all that was promised."""
    found = list(power_cuts(tmp_path, STATES, EARLY))
    lost = sum(loss.startswith("lost") for loss in found)
    corrupt = len(found) - lost
    figures.add("power cuts", {"states": STATES, "lost": lost, "corrupt": corrupt})
    assert found == []


def test_the_control_loses_job_ids(tmp_path: Path, figures: Figures) -> None:
    """`synchronous=NORMAL`, the usual advice for WAL, does lose them: so this proof can fail."""
    found = list(power_cuts(tmp_path, min(STATES, 300), {**EARLY, "synchronous": 1}))
    lost = sum(loss.startswith("lost") for loss in found)
    figures.add("power cuts with synchronous=NORMAL", {"states": min(STATES, 300), "lost": lost})
    assert lost


@pytest.mark.parametrize("step", [1, 7])
def test_an_io_error_ends_the_work_and_loses_nothing(
    step: int, tmp_path: Path, figures: Figures
) -> None:
    """The n-th write or sync fails: the journal says so, takes nothing more, and is whole."""
    met = 0
    for n in range(step, FAILURES, step):
        said, disk = Promises(), Disk()
        disk.fail = partial(_fail, disk, n)
        home = tmp_path / f"failing-{n}"
        home.mkdir()
        try:
            write_through(disk, home / "journal.db", said, EARLY)
        except StorageError:
            met += 1

        image = {path.name: path.read_bytes() for path in home.iterdir()}
        lost = list(losses(tmp_path / "found", image, said))
        figures.add("failing writes of the journal", {"tried": 1, "lost": len(lost)})
        assert lost == []

    assert met > FAILURES // step // 2


def _fail(disk: Disk, n: int, what: str, _name: str) -> None:
    if disk.operations == n and what in ("write", "sync"):
        raise apsw.IOError(what)
