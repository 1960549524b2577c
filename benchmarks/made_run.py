"""A finished run of as many rows as you like, in seconds: nothing is sent, and the books are real.

    python benchmarks/made_run.py FOLDER [--rows 1000000] [--url http://127.0.0.1:1]

`batcher run` makes the directory over an empty manifest. Then the manifest gets its rows, and they
come to their end through the ports that a run itself uses: read and checked, admitted, intended,
accepted, appended to `succeeded.jsonl`, moved in the journal. What is left is FOLDER/rows.jsonl and
FOLDER/run, and `batcher status FOLDER/run` or the same `run` again take it for their own.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from batcher.adapters.manifest import open_manifest  # after the path
from batcher.adapters.outcomes import OutcomeFiles
from batcher.adapters.rundir import RunDirectory
from batcher.adapters.sqlite import SqliteJournal
from batcher.core.events import Accept, Finish, Intend
from batcher.core.journal import Entry
from batcher.core.lifecycle import Move, State
from batcher.core.model import Result, Ticket
from batcher.core.record import outcome_record
from batcher.core.settings import ADMIT_ROWS
from batcher.engine.rows import ProviderCheck
from batcher.providers import provider_named
from benchmarks.measured import BATCHER, Process, run_env, run_words, write_manifest

PROVIDER = "removit"
JOB_S = 4.0
MANIFEST, RUN = "rows.jsonl", "run"


def make_run(folder: Path, rows: int, url: str) -> None:
    """Leave a finished run in *folder*, which exists and is empty."""
    manifest = write_manifest(folder / MANIFEST, 0)
    run = folder / RUN
    Process([*BATCHER, *run_words(manifest, run, url)], env=run_env(folder)).end()
    finish(run, write_manifest(manifest, rows))


def finish(run: Path, manifest: Path) -> None:
    """Bring every row of a manifest to its end, as if its job had succeeded."""
    journal = SqliteJournal.open(RunDirectory(run).journal)
    outcomes = OutcomeFiles(run)
    journal.claim(time.time())
    outcomes.recover(journal.outputs())
    for chunk in _chunks(manifest):
        tickets = [found.ticket for found in journal.admit(chunk) if found.ticket is not None]
        _succeed(journal, outcomes, tickets, time.time())

    outcomes.close()
    journal.close()


def _chunks(manifest: Path) -> Iterator[list[Entry]]:
    check = ProviderCheck(provider_named(PROVIDER, {}))
    entries = open_manifest(str(manifest)).entries(check)
    while chunk := list(islice(entries, ADMIT_ROWS)):
        yield chunk


def _succeed(
    journal: SqliteJournal, outcomes: OutcomeFiles, tickets: list[Ticket], at: float
) -> None:
    """Let rows live through all that a row lives through."""
    journal.apply([Intend(ticket.row.n, at, 1) for ticket in tickets])
    for ticket in tickets:
        ticket.generation = ticket.submits = 1
        ticket.job_id = f"019c8f2e-7d1a-7000-8000-{ticket.row.n:012d}"
        ticket.submitted_at = ticket.accepted_at = at
        ticket.done_seen_at, ticket.reads = at + JOB_S, 3

    journal.apply([Accept(ticket.row.n, at, str(ticket.job_id)) for ticket in tickets])
    records = [_record(ticket, at + JOB_S) for ticket in tickets]
    lengths = outcomes.append([(State.SUCCEEDED, record) for record in records])
    ends = [
        Finish(ticket.row.n, at + JOB_S, Move.SUCCEED, record)
        for ticket, record in zip(tickets, records, strict=True)
    ]
    journal.apply(ends, lengths)


def _record(ticket: Ticket, at: float) -> bytes:
    result = Result({"final": f"https://cdn.example/{ticket.row.n:08d}.png"})
    return outcome_record(ticket, State.SUCCEEDED, provider=PROVIDER, at=at, result=result)


def main() -> None:
    """Make it and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--url", default="http://127.0.0.1:1")
    told = parser.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    make_run(told.folder, told.rows, told.url)
    print(told.folder / RUN)


if __name__ == "__main__":
    main()
