"""The vocabulary: the values that every layer speaks in.

Rule: frozen values, parsed once at the boundary. A vendor's own words live only in its dialect.

    row      one line of the manifest            ticket   a row in flight, up to its outcome
    job      what the API made of a row          result   what a job that is done gives back
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec
import orjson


class ErrorKind(StrEnum):
    """Why a row did not succeed (`error.kind` of an outcome record)."""

    INVALID_ROW = "invalid_row"  # the manifest row cannot be used; nothing was sent
    INVALID_REQUEST = "invalid_request"  # the API says that this request can never work
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    OUT_OF_CREDITS = "out_of_credits"
    NOT_FOUND = "not_found"  # the API does not know the job (any more)
    REJECTED = "rejected"  # the job itself failed
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    PROTOCOL = "protocol"  # an answer that nobody can read
    JOB_TIMEOUT = "job_timeout"
    DOWNLOAD = "download"
    UNKNOWN_OUTCOME = "unknown_outcome"  # sent, answer unknown: may have been charged


class Refund(StrEnum):
    """What the API says of the money of a failed job."""

    DONE = "done"
    ALREADY_DONE = "already_done"
    UNCONFIRMED = "unconfirmed"  # a person must look


class StopReason(StrEnum):
    """Why a run stopped before its end (`stopped.reason` of `summary.json`)."""

    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    OUT_OF_CREDITS = "out_of_credits"
    DEADLINE = "deadline"
    BUDGET = "budget"
    FAILURE_LIMIT = "failure_limit"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    WORKER_LOST = "worker_lost"  # of several processes of a run one died again and again
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Stop:
    """The reason for stopping early, in a word, in a sentence, and when to come back."""

    reason: StopReason
    message: str
    resume_at: float | None = None  # epoch seconds


@dataclass(frozen=True, slots=True)
class RowError:
    """The `error` of an outcome record, and of every attempt that did not make a job."""

    kind: ErrorKind
    message: str
    http_status: int | None = None
    code: str | None = None  # the API's own machine word
    fields: Mapping[str, list[str]] | None = None  # per-field messages of a refused request
    retriable: bool = False  # whether the same row may work later
    request_id: str | None = None  # the API's id of the failing call, for its support

    def as_json(self) -> dict[str, Any]:
        """Return the value as the record schema prints it."""
        return {
            "kind": self.kind,
            "message": self.message,
            "http_status": self.http_status,
            "code": self.code,
            "fields": None if self.fields is None else dict(self.fields),
            "retriable": self.retriable,
            "request_id": self.request_id,
        }


class Result(msgspec.Struct, frozen=True, gc=False):
    """What a job that is done gives back. No URL and no text means: done, but empty."""

    urls: Mapping[str, str] = msgspec.field(default_factory=dict)  # variant -> URL
    text: str | None = None
    files: Mapping[str, str] = msgspec.field(default_factory=dict)  # variant -> path, once fetched
    warnings: Mapping[str, list[str]] = msgspec.field(default_factory=dict)
    ignored: tuple[str, ...] = ()  # variants that the API did not make
    cost: float | None = None  # what the API says that the job cost, in its currency

    @property
    def is_empty(self) -> bool:
        """Whether the API called the job done without handing out anything."""
        return not self.urls and self.text is None

    def as_json(self) -> dict[str, Any]:
        """Return the value as the record schema prints it."""
        return {
            "urls": dict(self.urls),
            "files": dict(self.files),
            "text": self.text,
            "warnings": {name: list(texts) for name, texts in self.warnings.items()},
            "ignored": list(self.ignored),
        }

    def kept(self) -> bytes:
        """Return the value as the journal keeps it while its files are fetched."""
        return orjson.dumps({**self.as_json(), "cost": self.cost})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Result:
        """Rebuild a result from what was `kept`."""
        return cls(
            urls=value["urls"],
            text=value["text"],
            files=value["files"],
            warnings=value["warnings"],
            ignored=tuple(value["ignored"]),
            cost=value.get("cost"),
        )


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file that a row uploads: where it is, and how large it was when the row was read."""

    path: str  # absolute
    size_bytes: int
    pixels: tuple[int, int] | None = None  # width and height, of a picture whose header says them


class Row(msgspec.Struct, frozen=True, gc=False):
    """One usable row of a manifest.

    `body` is the row as one JSON object, kept as bytes because thousands of rows wait at once: it
    is decoded only to build a submit, and goes into the outcome record as it is.
    """

    n: int  # the journal's number for it, in order of admission, from 1
    id: str
    line: int  # physical line (JSONL) or record number (CSV), from 1
    body: bytes
    base: str | None = None  # folder that a relative `file` is resolved against

    def values(self) -> dict[str, Any]:
        """Decode the row's own keys and values."""
        values = orjson.loads(self.body)
        if not isinstance(values, dict):
            raise TypeError("a row's body is a JSON object")

        return values


class Watch(msgspec.Struct, eq=False, gc=False):
    """What the looks at one job have shown, and when the next one is. Ages are its job's."""

    job_class: str
    teaches: bool  # looks at it say how long jobs take: it is known when it began
    is_pioneer: bool = False  # looked at densely: nothing is known of such jobs yet
    is_planned: bool = False  # the next look follows a plan; it is not being read
    seen_s: float = 0.0  # age at the last look that found it pending
    luck: float = 0.0  # of the next look, in [0, 1)
    not_before: float = 0.0  # the event loop's time before which the API asked nobody to look
    due: float = 0.0  # the event loop's time of the next look


class Ticket(msgspec.Struct, eq=False, gc=False):
    """A row in flight: made when the row is fed, gone with its outcome.

    There are as many as jobs may be open, so they are small, and left out of the garbage
    collector's rounds: nothing that a ticket holds leads back to it.

    Times named `_at` are epoch seconds (they go into records and survive a restart); `born` is the
    event loop's time of the acceptance, so that a job's age does not jump with the wall clock.
    """

    row: Row
    generation: int = 0  # of the current or last submit; 0 = never submitted
    submits: int = 0  # over the whole run
    spent: int = 0  # submits that count against --max-attempts
    reads: int = 0
    downloads: int = 0
    job_id: str | None = None
    submitted_at: float | None = None
    accepted_at: float | None = None
    done_seen_at: float | None = None
    born: float = 0.0
    missing: int = 0  # 404s in a row, after the grace time
    hollow: int = 0  # "done" without a result, in a row
    overdue: int = 0  # reads since its time was up, as far as needed to call it looked at
    refreshed: bool = False  # its URLs expired and were asked for anew since the last attempt
    result: Result | None = None
    last_error: RowError | None = None
    cost: int | None = None  # of the last attempt, in nanos: what was quoted, or what was charged
    watch: Watch | None = None  # of its job, once it is followed


ENDINGS = tuple(f"{milli:03d}Z" for milli in range(1_000))  # of a time


def iso(at: float | None) -> str | None:
    """Return epoch seconds as `2026-11-22T06:37:15.123Z`, or None."""
    if at is None:
        return None

    try:
        second, milli = divmod(round(at * 1e6) // 1000, 1_000)
        return _second(second) + ENDINGS[milli]
    except (OverflowError, ValueError, OSError):  # a damaged journal; no year has such a number
        return None


@lru_cache(maxsize=64)  # what is written now is of the same few seconds
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
