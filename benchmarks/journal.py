"""How many durable events a second the journal takes, and what admission and opening cost.

Method: one writer, as in the recorder. A batch of N stands for N producers that wait for one
durable transaction. Every row lives through three events (intend, accept, succeed), all rows of a
batch together. FULL is how the journal runs; NORMAL, which loses commits at a power cut, and a
plain JSONL file with `fdatasync` per batch stand beside it for comparison. Figures depend on the
disk: run it where the run directories are. `recorder` is the whole way as a run goes it: so many
tasks each wait for every event of their rows, through the recorder, with the outcome files; beside
the events a second stands what an event costs the event loop's thread and the other one, in
microseconds of processor time, and how many events shared a transaction. Prints one JSON line and
asserts nothing.

    python benchmarks/journal.py [--rows 20000] [--large 1000000] [--dir .]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import orjson

sys.path.insert(0, str(Path(__file__).parents[1]))

from batcher.adapters.outcomes import OutcomeFiles
from batcher.adapters.sqlite import SqliteJournal
from batcher.core.events import Accept, Event, Finish, Intend
from batcher.core.journal import Entry
from batcher.core.lifecycle import Move
from batcher.engine.books.record import Recorder
from batcher.engine.books.rescue import Rescue
from batcher.engine.books.thread import OwnThread
from batcher.engine.notices import Notices

BATCHES = (1, 16, 64, 256)
PRODUCERS = (1, 32, 256, 1_000)  # tasks that wait for their events through the recorder
ADMITTED = 500  # entries in one call
RECORD = b'{"v":1,"id":"sku-00000001","line":1,"outcome":"succeeded"}'


def entry(line: int, *, hashed: bool = False) -> Entry:
    """Make a typical manifest line; *hashed*: with an id derived from its content."""
    row_id = f"sku-{line:08d}"
    body = orjson.dumps(
        {
            "id": row_id,
            "file_url": f"https://shop.example/images/{line:08d}/front.jpg",
            "mode": "params",
            "params": "Test-Api",
        }
    )
    digest = hashlib.blake2b(body, digest_size=16).digest()
    return Entry(line, f"row-{digest.hex()}" if hashed else row_id, hashed, body, digest)


def life(numbers: range) -> Iterator[list[Event]]:
    """Yield the three batches of events that take these rows from pending to succeeded."""
    yield [Intend(n, 1.0, 1) for n in numbers]
    yield [Accept(n, 2.0, f"019c8f2e-7d1a-7000-8000-{n:012d}") for n in numbers]
    yield [Finish(n, 3.0, Move.SUCCEED, RECORD) for n in numbers]


def batches(first: int, rows: int, size: int) -> Iterator[list[Event]]:
    """Yield all events of *rows* rows in batches of *size*."""
    for n in range(first, first + rows, size):
        yield from life(range(n, min(n + size, first + rows)))


def events_per_s(
    write: Callable[[list[Event]], object], rows: int, first: int = 1
) -> dict[str, int]:
    """Measure each batch size on rows of its own; small batches get fewer rows."""
    speeds = {}
    for size in BATCHES:
        count = max(rows * size // BATCHES[-1], min(rows, 1_000))
        prepared = list(batches(first, count, size))
        began = time.perf_counter()
        for batch in prepared:
            write(batch)

        speeds[str(size)] = round(3 * count / (time.perf_counter() - began))
        first += count

    return speeds


def admit(journal: SqliteJournal, rows: int, *, hashed: bool = False, size: int = ADMITTED) -> int:
    """Admit *rows* lines and return how many a second; making the entries is not counted."""
    spent_s = 0.0
    for line in range(1, rows + 1, size):
        entries = [entry(n, hashed=hashed) for n in range(line, min(line + size, rows + 1))]
        began = time.perf_counter()
        journal.admit(entries)
        spent_s += time.perf_counter() - began

    return round(rows / spent_s)


def sqlite_speeds(folder: Path, rows: int, *, normal: bool) -> dict[str, int]:
    """Measure the journal itself."""
    path = folder / f"{'normal' if normal else 'full'}.db"
    journal = SqliteJournal.open(path)
    if normal:
        journal._db.execute("PRAGMA synchronous = 1")  # a setting that the journal does not offer

    journal.claim(0.0)
    admit(journal, 2 * rows + 4_000)
    speeds = events_per_s(journal.apply, rows)
    journal.close()
    return speeds


class Unheard:
    """A log that nobody reads."""

    def debug(self, event: str, /, **values: object) -> None:
        """Take an event."""

    info = warning = error = debug


class Counted(SqliteJournal):
    """A journal that counts its transactions."""

    groups = 0

    def apply(self, *told: Any, **also: Any) -> list[bool]:
        """Count, and write."""
        self.groups += 1
        return super().apply(*told, **also)


async def record(
    journal: SqliteJournal, outcomes: OutcomeFiles, rows: range, producers: int
) -> None:
    """Take *rows* through their lives, *producers* at a time."""
    log = Unheard()
    with OwnThread() as thread:
        rescue = Rescue(None, log)
        recorder = Recorder(journal, outcomes, Notices(log), rescue=rescue, offload=thread)
        await produce_all(recorder, rows, producers)


async def produce_all(recorder: Recorder, rows: range, producers: int) -> None:
    """Have the events of *rows* made durable, by so many tasks."""
    waiting = iter(rows)

    async def produce() -> None:
        for n in waiting:
            for (event,) in life(range(n, n + 1)):
                await recorder.commit(event)

    async with anyio.create_task_group() as group:
        group.start_soon(recorder.run)
        async with anyio.create_task_group() as tasks:
            for _ in range(producers):
                tasks.start_soon(produce)

        recorder.close()


def recorder_speeds(folder: Path, rows: int) -> dict[str, dict[str, float]]:
    """Measure the whole way of an event, by the number of tasks that wait at once."""
    (folder / "recorder").mkdir()
    journal = Counted.open(folder / "recorder" / "journal.db")
    journal.claim(0.0)
    admit(journal, rows * len(PRODUCERS))
    outcomes = OutcomeFiles(folder / "recorder")
    outcomes.recover({})
    speeds, first = {}, 1
    for producers in PRODUCERS:
        count = min(rows, producers * 100)
        journal.groups = 0
        began = time.perf_counter(), time.thread_time(), time.process_time()
        run_fast(record, journal, outcomes, range(first, first + count), producers)
        wall, loop, both = time.perf_counter(), time.thread_time(), time.process_time()
        events = 3 * count
        loop_s = loop - began[1]
        speeds[str(producers)] = {
            "events_per_s": round(events / (wall - began[0])),
            "loop_us": round(loop_s / events * 1e6, 1),
            "writer_us": round((both - began[2] - loop_s) / events * 1e6, 1),
            "events_in_a_group": round(events / journal.groups, 1),
        }
        first += count

    outcomes.close()
    journal.close()
    return speeds


def run_fast(main: Callable[..., Awaitable[None]], *words: Any) -> None:
    """Run *main* on the event loop that a run uses."""
    anyio.run(main, *words, backend_options={"use_uvloop": find_spec("uvloop") is not None})


def jsonl_speeds(folder: Path, rows: int) -> dict[str, int]:
    """Measure an append-only file that is synced after each batch."""
    with (folder / "events.jsonl").open("wb", buffering=0) as file:

        def write(batch: list[Event]) -> None:
            lines = [orjson.dumps([event.move, event.n, event.at]) for event in batch]
            file.write(b"\n".join([*lines, b""]))
            os.fdatasync(file.fileno())

        return events_per_s(write, rows)


def large_run(folder: Path, rows: int) -> dict[str, float]:
    """Measure a long run: admission, opening with the check of the file, sums, size."""
    path = folder / "large.db"
    journal = SqliteJournal.open(path)
    journal.claim(0.0)
    fresh = admit(journal, rows)
    began = time.perf_counter()
    for batch in batches(1, rows * 9 // 10, 256):
        journal.apply(batch)

    events = round(3 * (rows * 9 // 10) / (time.perf_counter() - began))
    journal.close()
    began = time.perf_counter()
    journal = SqliteJournal.open(path, must_exist=True)
    opened_s = time.perf_counter() - began
    began = time.perf_counter()
    journal.counters()
    journal.claim(1.0)
    journal.followed(0, 1000)
    journal.unanswered(0, 1000)
    summed_s = time.perf_counter() - began
    known = admit(journal, rows)
    again = journal.claim(2.0) and admit(journal, rows)
    began = time.perf_counter()
    journal.submits_since(0.0)
    ledger_s = time.perf_counter() - began
    journal.close()
    return {
        "rows": rows,
        "admit_fresh_per_s": fresh,
        "admit_known_per_s": known,
        "admit_known_again_per_s": again,
        "events_per_s_256": events,
        "open_s": round(opened_s, 3),
        "counters_and_open_rows_s": round(summed_s, 4),
        "submits_since_s": round(ledger_s, 3),
        "bytes_per_row": round(path.stat().st_size / rows),
    }


def hashed_admission(folder: Path, rows: int) -> dict[str, int]:
    """Measure admission of derived ids, which land all over the index, by entries per call."""
    speeds = {}
    for size in (500, 2_000):
        journal = SqliteJournal.open(folder / f"hashed-{size}.db")
        journal.claim(0.0)
        speeds[str(size)] = admit(journal, rows, hashed=True, size=size)
        journal.close()

    return speeds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--dir", type=Path, default=Path())
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.large = options.rows // 10, options.large // 10

    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        folder = Path(name)
        measured = {
            "benchmark": "journal",
            "sqlite": sqlite3.sqlite_version,
            "events_per_s": {
                "full": sqlite_speeds(folder, options.rows, normal=False),
                "normal": sqlite_speeds(folder, options.rows, normal=True),
                "jsonl_fdatasync": jsonl_speeds(folder, options.rows),
            },
            "recorder": recorder_speeds(folder, options.rows),
            "admit_derived_ids_per_s": hashed_admission(folder, options.rows * 5),
            "large": large_run(folder, options.large),
        }

    print(json.dumps(measured))


if __name__ == "__main__":
    main()
