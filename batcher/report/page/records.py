"""The outcome files, read once from end to end into tallies of fixed size.

Rule: a line is read in bounded memory, and one that is no record is counted and passed over: a
report must not fail because of what it reports on. What stands behind the length that the journal
committed is not known to the run and is not read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from batcher.core.lifecycle import OUTCOMES, State
from batcher.core.settings import LINE_BYTES_MAX
from batcher.report.page import facts
from batcher.report.page.facts import ErrorGroup, Example
from batcher.report.page.histogram import Histogram
from batcher.report.page.timeline import TimeBins

RECORD_BYTES_MAX = 2 * LINE_BYTES_MAX  # a record holds its row, and a result beside it
KINDS_MAX = 40  # more than there are: a file may have been edited
ANSWERS_MAX = 6  # of one kind of error
READS_MAX = 10  # so many status reads and more are one
SAMPLES_MAX = 96
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif")
MESSAGE_CHARS = 400
LATEST = "latest"  # on the time line: when a row that did not succeed was last known in flight


class _Error(msgspec.Struct):
    kind: str
    message: str = ""
    http_status: int | None = None
    code: str | None = None
    request_id: str | None = None


class _Result(msgspec.Struct):
    files: dict[str, str] = {}


class _Attempts(msgspec.Struct):
    status: int = 0


class _Times(msgspec.Struct):
    submitted: datetime | None = None
    accepted: datetime | None = None
    done_seen: datetime | None = None
    collected: datetime | None = None
    job_s: float | None = None


class Record(msgspec.Struct):
    """What a report wants to know of an outcome record; everything else is passed over."""

    id: str
    line: int
    job_id: str | None = None
    result: _Result | None = None
    error: _Error | None = None
    attempts: _Attempts = msgspec.field(default_factory=_Attempts)
    time: _Times = msgspec.field(default_factory=_Times)


class Sample:
    """A few of many, evenly spread: every n-th, and n doubles as they become many."""

    def __init__(self, size_max: int = SAMPLES_MAX) -> None:
        self.seen = 0
        self.items: list[tuple[str, str]] = []  # (row id, path)
        self._size_max = size_max
        self._stride = 1

    def offer(self, row_id: str, path: str) -> None:
        """Take one or leave it."""
        if self.seen % self._stride == 0:
            self.items.append((row_id, path))

        self.seen += 1
        if len(self.items) >= self._size_max:
            self.items = self.items[::2]
            self._stride *= 2


@dataclass
class _Group:
    example: Example
    rows: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)


class Tallies:
    """What the records add up to. *tell* makes a stranger's text fit to be shown."""

    def __init__(self, bins: TimeBins, tell: Callable[[object, int], str]) -> None:
        self.answered, self.job, self.collected, self.whole, self.spacing = (
            Histogram() for _ in range(5)
        )
        self.reads: Counter[int] = Counter()
        self.pictures = Sample()
        self.unreadable = 0
        self._bins = bins
        self._tell = tell
        self._groups: dict[str, _Group] = {}

    @property
    def errors(self) -> tuple[ErrorGroup, ...]:
        """The kinds of error, the most frequent first."""
        groups = sorted(self._groups.items(), key=lambda item: -item[1].rows)
        return tuple(
            ErrorGroup(
                kind,
                group.rows,
                tuple(group.outcomes.most_common()),
                tuple(group.answers.most_common(ANSWERS_MAX)),
                group.example,
            )
            for kind, group in groups
        )

    def add(self, outcome: State, record: Record) -> None:
        """Take one record in."""
        times = record.time
        submitted, accepted, done, collected = map(
            epoch_s, (times.submitted, times.accepted, times.done_seen, times.collected)
        )
        if submitted is not None:
            self._bins.add(facts.STARTED, submitted)
            if outcome is not State.SUCCEEDED:
                self._bins.add(LATEST, accepted or submitted)

        if collected is not None:
            self._bins.add(facts.SUCCEEDED, collected)

        self.answered.add(_between(submitted, accepted))
        self.job.add(times.job_s)
        self.collected.add(_between(done, collected))
        self.whole.add(_between(submitted, collected))
        self._note_reads(record)
        self._note_files(record)
        if record.error is not None:
            self._note_error(outcome, record, record.error)

    def _note_reads(self, record: Record) -> None:
        reads, job_s = record.attempts.status, record.time.job_s
        if record.job_id is not None and reads >= 0:
            self.reads[min(reads, READS_MAX)] += 1

        if job_s is not None and reads > 0:
            self.spacing.add(job_s / reads)

    def _note_files(self, record: Record) -> None:
        files = {} if record.result is None else record.result.files
        for path in files.values():
            if path.lower().endswith(PICTURE_ENDINGS):
                self.pictures.offer(record.id, path)
                return

    def _note_error(self, outcome: State, record: Record, error: _Error) -> None:
        tell = self._tell
        kind = tell(error.kind, 40)
        if kind not in self._groups and len(self._groups) >= KINDS_MAX:
            kind = "other"

        if kind not in self._groups:
            self._groups[kind] = _Group(
                Example(
                    row_id=tell(record.id, 80),
                    line=record.line,
                    outcome=outcome.value,
                    message=tell(error.message, MESSAGE_CHARS),
                    job_id=None if record.job_id is None else tell(record.job_id, 80),
                    request_id=None if error.request_id is None else tell(error.request_id, 80),
                )
            )

        group = self._groups[kind]
        group.rows += 1
        group.outcomes[outcome.value] += 1
        answer = " ".join(_answer(error, tell))
        if answer and (answer in group.answers or len(group.answers) < KINDS_MAX):
            group.answers[answer] += 1


class Taker(Protocol):
    """What records are read into."""

    unreadable: int  # lines that are no records

    def add(self, outcome: State, record: Record) -> None:
        """Take one record in."""
        ...


def read_outcomes(folder: Path, lengths: Mapping[str, int | None], tallies: Taker) -> None:
    """Read the four files; *lengths* are what the journal committed, None or absent: all."""
    decoder = msgspec.json.Decoder(Record)
    for outcome in OUTCOMES:
        name = f"{outcome}.jsonl"
        for line in whole_lines(folder / name, end=lengths.get(name), bytes_max=RECORD_BYTES_MAX):
            try:
                record = decoder.decode(line)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                tallies.unreadable += 1
            else:
                tallies.add(outcome, record)


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


def _between(first: float | None, last: float | None) -> float | None:
    return None if first is None or last is None else last - first


def _answer(error: _Error, tell: Callable[[object, int], str]) -> Iterator[str]:
    if error.http_status is not None:
        yield f"HTTP {error.http_status}"

    if error.code is not None:
        yield f"code {tell(error.code, 40)}"
