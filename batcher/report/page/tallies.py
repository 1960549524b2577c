"""What the page of a run adds up of its outcome records, in tallies of fixed size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from batcher.core.lifecycle import State
from batcher.report.page import facts
from batcher.report.page.facts import ErrorGroup, Example
from batcher.report.page.histogram import Histogram
from batcher.report.page.timeline import TimeBins
from batcher.report.records import Error, Record, between_s, epoch_s

KINDS_MAX = 40  # more than there are: a file may have been edited
ANSWERS_MAX = 6  # of one kind of error
READS_MAX = 10  # so many status reads and more are one
SAMPLES_MAX = 96
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif")
MESSAGE_CHARS = 400
LATEST = "latest"  # on the time line: when a row that did not succeed was last known in flight


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

        self.answered.add(between_s(submitted, accepted))
        self.job.add(times.job_s)
        self.collected.add(between_s(done, collected))
        self.whole.add(between_s(submitted, collected))
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

    def _note_error(self, outcome: State, record: Record, error: Error) -> None:
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


def _answer(error: Error, tell: Callable[[object, int], str]) -> Iterator[str]:
    if error.http_status is not None:
        yield f"HTTP {error.http_status}"

    if error.code is not None:
        yield f"code {tell(error.code, 40)}"
