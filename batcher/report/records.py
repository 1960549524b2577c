"""The outcome files, read once from end to end: what every view of a run wants of its records.

Rule: a line is read in bounded memory, and one that is no record is counted and passed over: a
view must not fail because of what it shows. What stands behind the length that the journal
committed is not known to the run and is not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from batcher.core.lifecycle import OUTCOMES, State
from batcher.core.settings import LINE_BYTES_MAX

RECORD_BYTES_MAX = 2 * LINE_BYTES_MAX  # a record holds its row, and a result beside it


class Error(msgspec.Struct):
    """Why a row did not succeed."""

    kind: str
    message: str = ""
    http_status: int | None = None
    code: str | None = None
    request_id: str | None = None


class Result(msgspec.Struct):
    """What a job handed out, as far as it was fetched."""

    files: dict[str, str] = {}


class Attempts(msgspec.Struct):
    """How many requests a row took."""

    status: int = 0


class Times(msgspec.Struct):
    """When what happened; `job_s` from acceptance to the read that saw the end."""

    submitted: datetime | None = None
    accepted: datetime | None = None
    done_seen: datetime | None = None
    collected: datetime | None = None
    job_s: float | None = None


class Record(msgspec.Struct):
    """What the views want to know of an outcome record; everything else is passed over."""

    id: str
    line: int
    job_id: str | None = None
    result: Result | None = None
    error: Error | None = None
    refund: str | None = None
    cost: float | None = None
    attempts: Attempts = msgspec.field(default_factory=Attempts)
    time: Times = msgspec.field(default_factory=Times)


class Taker(Protocol):
    """What records are read into."""

    unreadable: int  # lines that are no records

    def add(self, outcome: State, record: Record) -> None:
        """Take one record in."""
        ...


def read_outcomes(
    folder: Path,
    lengths: Mapping[str, int | None],
    taker: Taker,
    outcomes: Iterable[State] = OUTCOMES,
) -> None:
    """Read the files of *outcomes*; *lengths*: what the journal committed, None or absent: all."""
    decoder = msgspec.json.Decoder(Record)
    for outcome in outcomes:
        name = f"{outcome}.jsonl"
        for line in whole_lines(folder / name, end=lengths.get(name), bytes_max=RECORD_BYTES_MAX):
            try:
                record = decoder.decode(line)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                taker.unreadable += 1
            else:
                taker.add(outcome, record)


def whole_lines(
    path: Path, *, start: int = 0, end: int | None = None, bytes_max: int
) -> Iterator[bytes]:
    """Yield the lines of a file that may still grow, each at most *bytes_max* long.

    A longer one comes as what cannot be read, `b""`. A last line without its newline is not whole
    yet. A file that is not there has none.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return

    with file:
        at = file.seek(start)
        is_rest = start > 0  # of a line that began before
        while line := file.readline(bytes_max):
            at += len(line)
            is_whole = line.endswith(b"\n")
            if end is not None and at > end:
                return

            if not is_rest and (is_whole or len(line) == bytes_max):
                yield line if is_whole else b""

            is_rest = not is_whole


def epoch_s(at: datetime | None) -> float | None:
    """Return a time of a record in epoch seconds; None if it has none, or none that counts."""
    try:
        return None if at is None or at.tzinfo is None else at.timestamp()
    except (OverflowError, ValueError):  # an edited file
        return None


def between_s(first: float | None, last: float | None) -> float | None:
    """Return how long it took; None if beginning or end is not known."""
    return None if first is None or last is None else last - first
