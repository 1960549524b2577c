"""What is left of a run's past, read once into bins of time: records, ledger and log.

Rule: memory does not grow with the run. When a row ended that did not succeed stands in the log
alone; where the log does not have them all, a row ends when the records last knew of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from batcher.adapters.sqlite.history import History
from batcher.core.lifecycle import OUTCOMES, State
from batcher.core.model import ErrorKind
from batcher.report.advice import meaning_of
from batcher.report.page.events import LINE_BYTES_MAX, LOG_BYTES_MAX, SKIPPED, epoch_of
from batcher.report.page.facts import STARTED, SUBMITTED, SUCCEEDED, THROTTLED
from batcher.report.page.source import Telling
from batcher.report.page.timeline import Column, TimeBins
from batcher.report.records import Record, epoch_s, read_outcomes, whole_lines

Source = Literal["known", "logged"]

EXAMPLE_CHARS: Final = 240
KINDS_MAX: Final = 15  # of error; there are so many
OTHER: Final = "other"
LOST: Final = tuple(OUTCOMES[1:])  # every outcome but success
LEFT: Final = "left"  # a row that had been sent ended without a result


class Tape:
    """The past, taken in piece by piece."""

    def __init__(self, tell: Telling) -> None:
        self.unreadable = 0
        self.untimed: Counter[str] = Counter()  # ends of which nobody knows when
        self.examples: dict[str, tuple[str, str]] = {}  # kind -> (meaning, message)
        self._tell = tell
        self._bins = TimeBins()
        self._ended: Counter[str] = Counter()  # by outcome, but for those that succeeded

    def add(self, outcome: State, record: Record) -> None:
        """Take in one outcome record."""
        times = record.time
        submitted, accepted, done, collected = map(
            epoch_s, (times.submitted, times.accepted, times.done_seen, times.collected)
        )
        if submitted is not None:
            self._bins.add(STARTED, submitted)

        last = collected or done or accepted or submitted
        if outcome is State.SUCCEEDED:
            self._count(SUCCEEDED, last)
            return

        kind = None if record.error is None else self._kind(record.error.kind)
        self._ended[outcome] += 1
        self._count(f"known:{outcome}", last)
        if kind is not None and record.error is not None:
            self._count(f"known:error:{kind}", last)
            message = self._tell(record.error.message, EXAMPLE_CHARS)
            self.examples.setdefault(kind, (meaning_of(kind), message))

        if submitted is not None and last is not None:
            self._bins.add(f"known:{LEFT}", last)

    def add_submits(self, journal: Path) -> None:
        """Take in when submits left, and which were answered by a 429. Raises `StorageError`."""
        with closing(History.read(journal)) as history:
            for submits in history.submits():
                self._bins.add(SUBMITTED, submits.at, submits.number)
                if submits.is_throttled:
                    self._bins.add(THROTTLED, submits.at, submits.number)

            for at, number in history.open_rows():
                self._bins.add(STARTED, at, number)

    def add_log(self, path: Path) -> None:
        """Take in the end of a log, which may not be there."""
        start = max(0, path.stat().st_size - LOG_BYTES_MAX) if path.exists() else 0
        for line in whole_lines(path, start=start, bytes_max=LINE_BYTES_MAX):
            if SKIPPED.search(line):
                continue

            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue

            if isinstance(event, dict):
                self._take(event)

    @property
    def source(self) -> Source:
        """Where the ends of rows that did not succeed are taken from."""
        logged = {name: self._bins.totals[f"logged:{name}"] for name in self._ended}
        return "logged" if logged == self._ended else "known"

    def columns(self, columns_max: int) -> list[Column]:
        """Return the past in columns of equal width, ascending."""
        return self._bins.columns(STARTED, (SUCCEEDED, f"{self.source}:{LEFT}"), columns_max)

    def _take(self, event: Mapping[str, Any]) -> None:
        at = epoch_of(event.get("time"))
        if at is None:
            return

        if event.get("event") == "row.finished" and event.get("outcome") in LOST:
            kind = event.get("kind")
            self._bins.add(f"logged:{event['outcome']}", at)
            self._bins.add(f"logged:error:{kind if kind in self.examples else OTHER}", at)
            if kind != ErrorKind.INVALID_ROW:
                self._bins.add(f"logged:{LEFT}", at)
        elif event.get("event") == "answer.error":
            is_throttled = event.get("http_status") == 429 and event.get("step") != "submit"
            if is_throttled:  # those of submits are in the ledger
                self._bins.add(THROTTLED, at)

    def _count(self, name: str, at: float | None) -> None:
        if at is None:
            self.untimed[name] += 1
        else:
            self._bins.add(name, at)

    def _kind(self, word: str) -> str:
        kind = self._tell(word, 40)
        is_known = kind in self.examples or len(self.examples) < KINDS_MAX
        return kind if is_known else OTHER


def record_tape(
    folder: Path,
    lengths: Mapping[str, int | None],
    journals: Iterable[Path],
    logs: Iterable[Path],
    tell: Telling,
) -> Tape:
    """Read what is left of the past of a run in *folder*. Raises `StorageError`."""
    tape = Tape(tell)
    read_outcomes(folder, lengths, tape)
    for journal in journals:
        tape.add_submits(journal)

    for log in logs:
        tape.add_log(log)

    return tape
