"""What the page shows of a run, and nothing else: values of fixed size, whatever the run's.

Rule: every text in here has lost its secrets and everything that does not print; it may still be
markup of somebody's making, which is the page's business.
"""

from __future__ import annotations

from dataclasses import dataclass

from batcher.report.page.histogram import Distribution
from batcher.report.page.timeline import Column
from batcher.report.summary import Summary

# The kinds of events on the time line.
SUBMITTED = "submitted"  # a submit left
SUCCEEDED = "succeeded"  # a row ended well
STARTED = "started"  # a row's last submit left: from now on it is in flight
THROTTLED = "throttled"  # an answer was a 429
TROUBLED = "troubled"  # an answer was another error, or none came


@dataclass(frozen=True, slots=True)
class Example:
    """One row that met an error."""

    row_id: str
    line: int
    outcome: str
    message: str
    job_id: str | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """The rows that ended with one kind of error."""

    kind: str
    rows: int
    outcomes: tuple[tuple[str, int], ...]
    answers: tuple[tuple[str, int], ...]  # `HTTP 422`, `code 503`, the most frequent first
    example: Example


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a row's life and how long it took."""

    name: str
    meaning: str
    times: Distribution


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of so many submits."""

    text: str
    count: int


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened to the run as a whole."""

    at: float | None
    event: str
    text: str
    is_urgent: bool


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What the log adds to what journal and records know."""

    is_there: bool = False
    bytes_skipped: int = 0  # of its beginning, because it is too long
    moments: tuple[Moment, ...] = ()
    moments_left_out: int = 0
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limit:
    """What the submits are held to."""

    text: str
    per_s: float | None  # None: only a cap for longer than an hour
    is_published: bool  # by the API; else it was set, or is our own cautious one


@dataclass(frozen=True, slots=True)
class Picture:
    """A result, small enough to be shown."""

    row_id: str
    href: str | None  # None: the page is not where the files are
    source: str  # a `data:` address
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Pictures:
    """The contact sheet, or why there is none."""

    shown: tuple[Picture, ...] = ()
    files: int = 0  # rows that have files of a kind that can be shown
    note: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A file of the run."""

    name: str
    href: str
    meaning: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class About:
    """Which run it is and how it goes about it."""

    title: str
    run: str  # as an argument of a command
    program: str
    provider: str
    provider_title: str
    manifest: str
    rerun: str  # the command that runs the failed rows as a manifest of their own
    settings: tuple[tuple[str, str, bool], ...]  # (name, value, whether it is not the default)
    links: tuple[Link, ...]
    processes: int
    batcher: str  # the version that made the page
    made_at: float


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the page shows."""

    about: About
    summary: Summary
    commands: tuple[str, ...]  # what to type next, the most important first
    columns: tuple[Column, ...]  # the time line; empty: nothing happened
    ends_are_sure: bool  # whether it is known when the rows ended that did not succeed
    limit: Limit | None
    in_flight_max: int
    stages: tuple[Stage, ...]
    reads: tuple[tuple[int, int], ...]  # (status reads, rows that took so many)
    errors: tuple[ErrorGroup, ...]
    answers: tuple[Answer, ...]
    log: LogFacts
    pictures: Pictures
    unreadable: int  # lines of the outcome files that are no records
