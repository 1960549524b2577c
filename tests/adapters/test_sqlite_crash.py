"""A process that is killed at any instant has done all that it was told was done."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from batcher.adapters.sqlite import SqliteJournal
from batcher.core.lifecycle import State
from batcher.core.model import Ticket
from tests.adapters.sqlite_sums import added_up

ROOT = Path(__file__).resolve().parents[2]
KILLS = 10
LINES_MAX = 120  # acknowledgements before a kill
STEPS = (State.PENDING, State.INTENT, State.ACCEPTED, State.READY, State.SUCCEEDED)

# Takes rows through their lives, eight at a time, and says what is durable once it is.
WORKER = """
import sys
from pathlib import Path
from batcher.adapters.sqlite import SqliteJournal
from batcher.core.events import Accept, Collect, Finish, Intend
from batcher.core.lifecycle import Move
from tests.adapters.journal_conformance import ENCODED, entry

journal = SqliteJournal.open(Path(sys.argv[1]))
epoch = journal.claim(0.0)
for group in range(10_000):
    lines = journal.admit([entry(f"{epoch}-{group}-{line}", line) for line in range(8)])
    rows = [line.ticket.row.n for line in lines]
    print("pending", *rows, flush=True)
    for said, events in (
        ("intent", [Intend(n, 1.0, 1, cost=n) for n in rows]),
        ("accepted", [Accept(n, 2.0, f"job-{n}") for n in rows]),
        ("ready", [Collect(n, 3.0, ENCODED) for n in rows]),
        ("succeeded", [Finish(n, 4.0, Move.SUCCEED, b"{}", cost=2 * n) for n in rows]),
    ):
        journal.apply(events, {"succeeded": rows[-1]}, {"groups": 1})
        print(said, *rows, flush=True)
"""


def work_until_killed(path: Path, after: int) -> dict[int, State]:
    """Run a worker, kill it after so many acknowledgements, and return what it said of each row."""
    said: dict[int, State] = {}
    command = [sys.executable, "-c", WORKER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        for count, line in enumerate(worker.stdout):  # to the end: what it said before it died
            state, *rows = line.split()
            if line.endswith("\n"):
                said |= {int(n): State(state) for n in rows}

            if count == after:
                worker.kill()

    assert worker.returncode == -9
    return said


def all_rows(journal: SqliteJournal) -> dict[int, Ticket]:
    """Return every row that has not succeeded, by number."""
    limit = 1_000_000
    rows = [
        *journal.followed(0, limit), *journal.unanswered(0, limit), *journal.unseen(0, limit)
    ]  # fmt: skip
    return {ticket.row.n: ticket for ticket in rows}


@pytest.mark.e2e
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """Each row is where it was said to be, or one step on, and the sums are right."""
    path, rng = tmp_path / "journal.db", Random(1)
    said: dict[int, State] = {}
    for _ in range(KILLS):
        said |= work_until_killed(path, rng.randrange(LINES_MAX))
        with closing(SqliteJournal.read(path)) as reader:  # beside a dead owner's log
            counters, outputs = reader.counters(), reader.outputs()

        with closing(SqliteJournal.open(path, must_exist=True)) as journal:
            journal.claim(0.0)
            rows = all_rows(journal)
            assert journal.counters() == counters
            assert journal.outputs() == outputs

        assert counters.items() >= added_up(path).items()
        assert counters["jobs_priced"] == counters["submits"]
        assert counters["rows"] >= len(said)
        assert counters["rows"] - counters["succeeded"] == len(rows)
        for n, state in said.items():
            now = _state_of(rows.get(n))
            assert STEPS.index(now) - STEPS.index(state) in (0, 1), (n, state, now)

        groups = sum(STEPS.index(_state_of(rows.get(n))) for n in range(1, counters["rows"] + 1))
        assert counters.get("groups", 0) * 8 == groups


def _state_of(ticket: Ticket | None) -> State:
    if ticket is None:
        return State.SUCCEEDED

    if ticket.job_id is None:
        return State.INTENT if ticket.generation else State.PENDING

    assert ticket.job_id == f"job-{ticket.row.n}"
    return State.ACCEPTED if ticket.result is None else State.READY
