"""How fast a manifest is read, checked and admitted, and how fast a finished run is resumed.

Method: everything is real: the reader with the checks of a dialect, the journal with its syncs, the
commands as processes of their own. `orjson.loads` of every line in a bare loop, timed beside each
format, is what the ratios refer to (1.0 = as fast as that). Rows are read twice over: judged, with
all that may be wrong with them, and not, as a resume reads rows that have their outcome. Making
entries is not counted in what admission costs.

A finished run is built through the ports of journal and outcome files, as if every row had
succeeded, and then `batcher run` is told to do it again; a loopback server counts who calls. Prints
one JSON line and asserts nothing.

    python benchmarks/manifest.py [--rows 200000] [--resume-rows 1000000] [--dir .] [--quick]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).parents[1]))

from batcher.adapters.manifest import open_manifest
from batcher.adapters.outcomes import OutcomeFiles
from batcher.adapters.rundir import RunDirectory
from batcher.adapters.sqlite import SqliteJournal
from batcher.core.events import Accept, Event, Finish, Intend
from batcher.core.journal import Entry
from batcher.core.lifecycle import Move, State
from batcher.core.model import Result, Row, Ticket
from batcher.core.record import outcome_record
from batcher.core.settings import ADMIT_ROWS
from batcher.engine.rows import ProviderCheck
from batcher.providers import provider_named

PROVIDER = "removit"
KEY = "test-key"
ROUNDS = 3  # of each format; the best one counts
CHECK = ProviderCheck(provider_named(PROVIDER, {}))


def body(n: int) -> bytes:
    """Return one row as JSON."""
    return b'{"id":"sku-%d","file_url":"https://shop.example/images/%d/front.jpg"}' % (n, n)


# --- Manifests -------------------------------------------------------------------------------


def json_lines(path: Path, rows: int) -> None:
    """Write the rows as JSON lines, packed if the name says so."""
    with gzip.open(path, "wb", 6) if path.suffix == ".gz" else path.open("wb") as file:
        for n in range(rows):
            file.write(body(n) + b"\n")


def derived(path: Path, rows: int) -> None:
    """Write rows without an id."""
    with path.open("wb") as file:
        for n in range(rows):
            file.write(b'{"file_url":"https://shop.example/images/%d/front.jpg"}\n' % n)


def records(path: Path, rows: int) -> None:
    """Write the rows as outcome records of an earlier run."""
    with path.open("wb") as file:
        for n in range(rows):
            file.write(record(Row(n + 1, f"sku-{n}", n + 1, body(n))) + b"\n")


def table(path: Path, rows: int) -> None:
    """Write the rows as a table."""
    with path.open("w") as file:
        file.write("id,file_url\n")
        file.writelines(f"sku-{n},https://shop.example/images/{n}/front.jpg\n" for n in range(rows))


def addresses(path: Path, rows: int) -> None:
    """Write a plain list of addresses."""
    with path.open("w") as file:
        file.writelines(f"https://shop.example/images/{n}/front.jpg\n" for n in range(rows))


FORMATS: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "jsonl": ("rows.jsonl", json_lines),
    "jsonl_gz": ("rows.jsonl.gz", json_lines),
    "jsonl_without_ids": ("derived.jsonl", derived),
    "records": ("records.jsonl", records),
    "csv": ("rows.csv", table),
    "txt": ("rows.txt", addresses),
}


def record(row: Row) -> bytes:
    """Return the record of a row that succeeded."""
    ticket = Ticket(row, generation=1, submits=1, reads=3, job_id=job_id(row.n))
    ticket.submitted_at, ticket.accepted_at, ticket.done_seen_at = 1.8e9, 1.8e9 + 0.1, 1.8e9 + 4
    result = Result({"final": f"https://cdn.example/{row.n}.png"})
    return outcome_record(ticket, State.SUCCEEDED, provider=PROVIDER, at=1.8e9 + 4, result=result)


def job_id(n: int) -> str:
    """Return the job of a row."""
    return f"019c8f2e-7d1a-7000-8000-{n:012d}"


# --- Reading and admission -------------------------------------------------------------------


def seconds(work: Callable[[], object]) -> float:
    """Return how much processor time *work* takes in this thread."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def loads_all(path: Path) -> None:
    """Decode every line and do nothing with it: the reference."""
    with path.open("rb") as file:
        for line in file:
            orjson.loads(line)


def read_all(path: Path, *, judged: bool) -> None:
    """Read and forget every row."""
    for _ in open_manifest(str(path)).entries(CHECK, judged=judged):
        pass


def reading(folder: Path, rows: int) -> dict[str, dict[str, float]]:
    """Measure each format against the reference."""
    reference = folder / "reference.jsonl"
    json_lines(reference, rows)
    measured = {}
    for name, (file, write) in FORMATS.items():
        write(folder / file, rows)
        works = (
            partial(loads_all, reference),
            partial(read_all, folder / file, judged=True),
            partial(read_all, folder / file, judged=False),
        )
        rounds = [[seconds(work) for work in works] for _ in range(ROUNDS)]
        bare_s, judged_s, read_s = (min(times) for times in zip(*rounds, strict=True))
        measured[name] = {
            "rows_per_s": round(rows / judged_s),
            "us_per_row": round(1e6 * judged_s / rows, 2),
            "us_per_row_not_judged": round(1e6 * read_s / rows, 2),
            "orjson_ratio": round(bare_s / judged_s, 4),
        }

    return measured


def chunks(path: Path, size: int = ADMIT_ROWS) -> Iterator[list[Entry]]:
    """Yield the entries of a manifest as the feed admits them."""
    entries = open_manifest(str(path)).entries(CHECK, judged=False)
    while chunk := list(islice(entries, size)):
        yield chunk


def admitted_per_s(journal: SqliteJournal, path: Path, rows: int) -> int:
    """Admit a whole manifest and return how many rows a second of processor time."""
    spent_s = 0.0
    for chunk in chunks(path):
        spent_s += seconds(partial(journal.admit, chunk))

    return round(rows / spent_s)


def admission(folder: Path, rows: int) -> dict[str, int]:
    """Measure admission of rows that are new, pending since an earlier process, and ended."""
    path = folder / FORMATS["jsonl"][0]
    journal = SqliteJournal.open(folder / "journal.db")
    measured = {}
    for epoch, name in enumerate(("new", "pending", "pending_again")):
        journal.claim(float(epoch))
        measured[f"{name}_per_s"] = admitted_per_s(journal, path, rows)

    for first in range(1, rows + 1, ADMIT_ROWS):
        for batch in life(range(first, min(first + ADMIT_ROWS, rows + 1)), b"{}"):
            journal.apply(batch)

    for name in ("ended", "ended_again"):
        journal.claim(9.0)
        measured[f"{name}_per_s"] = admitted_per_s(journal, path, rows)

    journal.close()
    return measured


def life(numbers: Sequence[int], line: bytes) -> Iterator[list[Event]]:
    """Yield the events that take rows from pending to succeeded."""
    yield [Intend(n, 1.8e9, 1) for n in numbers]
    yield [Accept(n, 1.8e9, job_id(n)) for n in numbers]
    yield [Finish(n, 1.8e9, Move.SUCCEED, line) for n in numbers]


# --- Commands --------------------------------------------------------------------------------


def command(*args: str) -> dict[str, Any]:
    """Run batcher in a process of its own, and return what it took."""
    env = os.environ | {"REMOVIT_API_KEY": KEY}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "batcher", *args],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "exit": process.returncode,
        "wall_s": round(wall_s, 2),
        "cpu_s": round(used.ru_utime + used.ru_stime, 2),
        "rss_mib": round(used.ru_maxrss / 1024, 1),
    }


def checking(folder: Path, rows: int) -> dict[str, Any]:
    """Measure `batcher check`; a tenth of the rows beside it shows what memory grows by."""
    few = folder / "few.jsonl"
    json_lines(few, rows // 10)
    small = command("check", str(few), "--provider", PROVIDER)
    whole = command("check", str(folder / FORMATS["jsonl"][0]), "--provider", PROVIDER)
    return {"rows": rows, **whole, "rss_mib_of_a_tenth": small["rss_mib"]}


class Door:
    """A port that counts who knocks, and answers nobody."""

    def __init__(self) -> None:
        self.knocks = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            caller, _ = self._socket.accept()
            self.knocks += 1
            caller.close()


def finished_run(run: Path, manifest: Path) -> None:
    """Bring every row of a manifest to its end, through the ports that a run uses."""
    directory = RunDirectory(run)
    journal, outcomes = SqliteJournal.open(directory.journal), OutcomeFiles(run)
    journal.claim(1.8e9)
    outcomes.recover(journal.outputs())
    for chunk in chunks(manifest):
        tickets = [a.ticket for a in journal.admit(chunk) if a.ticket is not None]
        for batch in life([ticket.row.n for ticket in tickets], b"{}"):
            is_end = isinstance(batch[0], Finish)
            lines = [(State.SUCCEEDED, record(t.row)) for t in tickets] if is_end else []
            journal.apply(batch, outcomes.append(lines) if lines else {})

    outcomes.close()
    journal.close()


def resuming(folder: Path, rows: int) -> dict[str, Any]:
    """Measure the same command again on a run of which every row has succeeded."""
    door, run = Door(), folder / "run"
    manifest = folder / "resumed.jsonl"
    common = ("--provider", PROVIDER, "--base-url", door.url, "--run-dir", str(run), "--quiet")
    manifest.touch()
    started = command("run", str(manifest), *common)  # makes the directory
    json_lines(manifest, rows)
    finished_run(run, manifest)
    rounds = [command("run", str(manifest), *common) for _ in range(2)]
    return {
        "rows": rows,
        **min(rounds, key=lambda one: float(one["wall_s"])),
        "empty_wall_s": started["wall_s"],
        "rows_per_s": round(rows / min(one["wall_s"] for one in rounds)),
        "requests": door.knocks,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--resume-rows", type=int, default=1_000_000)
    parser.add_argument("--dir", type=Path, default=Path())
    parser.add_argument("--quick", action="store_true", help="a twentieth of the rows")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.resume_rows = options.rows // 20, options.resume_rows // 20

    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        folder = Path(name)
        measured = {
            "benchmark": "manifest",
            "rows": options.rows,
            "reading": reading(folder, options.rows),
            "admission": admission(folder, options.rows),
            "check": checking(folder, options.rows),
            "resume": resuming(folder, options.resume_rows),
        }

    print(json.dumps(measured))


if __name__ == "__main__":
    main()
