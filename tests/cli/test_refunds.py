"""`batcher refunds`: what a person sends to the API's support, also while the run goes on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batcher.adapters.runfile import write_run_file
from batcher.adapters.sqlite import SqliteJournal
from batcher.cli.app import cli
from batcher.cli.commands.refunds import PAGE_ROWS
from batcher.core.events import Accept, Event, Finish, Intend, Rerun
from batcher.core.lifecycle import Move
from batcher.core.model import ErrorKind, Refund, RowError
from batcher.core.settings import Frozen, Settings
from tests.adapters.journal_conformance import admitted, take

ERROR = RowError(ErrorKind.REJECTED, "broken", code="WORKER_TIMEOUT")
LOST = RowError(ErrorKind.UNKNOWN_OUTCOME, "no answer came")
RUN = Frozen(provider="deapi", base_url="https://a.example", manifest="-", params={"task": "ocr"})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Make the directory of a run that has not begun."""
    write_run_file(tmp_path / "run.toml", RUN, Settings())
    return tmp_path


@pytest.fixture
def journal(run: Path) -> Iterator[SqliteJournal]:
    """Own the run, as a process that works on it."""
    with closing(SqliteJournal.open(run / "journal.db", durable=False)) as journal:
        journal.claim(0.0)
        yield journal


def refunds(run: Path, *flags: str) -> Result:
    """Ask for the refunds of a run."""
    return CliRunner().invoke(cli, ["refunds", str(run), *flags])


def rows(done: Result) -> list[dict[str, str]]:
    """Read the table."""
    assert done.exit_code == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout_bytes.decode(), newline="")))


def made(n: int, generation: int = 1) -> list[Event]:
    """Submit a row; the API makes a job."""
    job = f"-j{n}-{generation}"
    return [Intend(n, 1.0, generation, 1_360_000), Accept(n, 2.0, job, "req")]


def settle(journal: SqliteJournal) -> None:
    """Let rows end in every way that matters."""
    good, back, kept, silent, lost = admitted(journal, "good", "back", "kept", "silent", "lost")
    take(journal, [*made(good), Finish(good, 3.0, Move.SUCCEED, b"{}")])
    take(journal, [*made(back), Rerun(back, 3.0, ERROR, Refund.DONE, "true")])
    take(journal, [*made(kept), Finish(kept, 3.0, Move.FAIL, b"{}", ERROR, Refund.UNCONFIRMED)])
    take(journal, [*made(silent), Finish(silent, 3.0, Move.EXHAUST, b"{}", ERROR)])
    take(journal, [Intend(lost, 1.0, 1), Finish(lost, 3.0, Move.DOUBT, b"{}", LOST)])


def test_what_was_paid_for_nothing_is_listed(run: Path, journal: SqliteJournal) -> None:
    """By row, while the run goes on; the sums are beside it, not in it."""
    settle(journal)
    done = refunds(run)
    assert [(r["row_id"], r["job_id"], r["refund"], r["outcome"]) for r in rows(done)] == [
        ("back", "'-j2-1", "done", "given_up"),
        ("kept", "'-j3-1", "unconfirmed", "failed"),
        ("silent", "'-j4-1", "", "exhausted"),
        ("lost", "", "", "in_doubt"),
    ]
    assert rows(done)[0].items() >= {"cost": "0.00136", "currency": "USD"}.items()
    assert done.stderr == (
        "batcher: 4 jobs without a result (0.00408 USD): 1 refunded (0.00136 USD), "
        "1 unconfirmed (0.00136 USD), 1 without a word about the money (0.00136 USD), "
        "1 in doubt; no price known of 1\n"
    )


def test_only_what_a_person_must_look_at(run: Path, journal: SqliteJournal) -> None:
    """What the API says it gave back is left out, and so it is of the sums."""
    settle(journal)
    done = refunds(run, "--unconfirmed")
    assert [row["row_id"] for row in rows(done)] == ["kept", "silent", "lost"]
    assert done.stderr.startswith("batcher: 3 jobs without a result (0.00272 USD)")


def test_a_program_gets_exact_values(run: Path, journal: SqliteJournal) -> None:
    """One JSON object a line, ids untouched."""
    settle(journal)
    lines = refunds(run, "--json").stdout.splitlines()
    assert [json.loads(line)["job_id"] for line in lines] == ["-j2-1", "-j3-1", "-j4-1", None]


def test_every_page_is_told(run: Path, journal: SqliteJournal) -> None:
    """More rows than are read at a time, each once, in order."""
    numbers = admitted(journal, *(f"r{n}" for n in range(2 * PAGE_ROWS + 1)))
    journal.apply([Intend(n, 1.0, 1) for n in numbers])
    journal.apply([Finish(n, 2.0, Move.DOUBT, b"{}", LOST) for n in numbers])
    listed = rows(refunds(run))
    assert [row["row_id"] for row in listed] == [f"r{n}" for n in range(2 * PAGE_ROWS + 1)]


def test_a_run_without_charges_has_an_empty_table(run: Path) -> None:
    """Before its journal is there, too; nothing is made by asking."""
    done = refunds(run)
    assert (rows(done), done.stdout.count("\n")) == ([], 1)
    assert done.stderr == "batcher: 0 jobs without a result\n"
    assert [file.name for file in run.iterdir()] == ["run.toml"]


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    """2, and one line that says what is wrong."""
    done = refunds(tmp_path)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "is no run directory" in done.stderr
