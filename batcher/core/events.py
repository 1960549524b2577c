"""What can happen to a row, as the journal is told: one event moves one row once.

Rule: an event says everything that must become durable together with its move. Times are epoch
seconds, amounts of money nanos. A job has three of them at least, so they are Structs, which cost a
fifth of a frozen dataclass to make.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from batcher.core.lifecycle import Move
from batcher.core.model import Refund, RowError


class Intend(msgspec.Struct, frozen=True, gc=False):
    """A submit is about to leave: opens an attempt. Durable before the first byte."""

    n: int
    at: float
    generation: int  # 1 for the first submit of the row
    cost: int | None = None  # nanos that the job will be charged, as far as known
    move: ClassVar[Move] = Move.INTEND


class Accept(msgspec.Struct, frozen=True, gc=False):
    """The API made a job: closes the attempt. Refused if the id already belongs to another row."""

    n: int
    at: float
    job_id: str
    request_id: str | None = None
    move: ClassVar[Move] = Move.ACCEPT


class Withdraw(msgspec.Struct, frozen=True, gc=False):
    """Proof that the submit made no job: closes the attempt.

    `spent` says whether it counts against --max-attempts. `error` is None if it never left. Of a
    row in doubt the attempt was closed before; the proof came later, and `error` says which.
    """

    n: int
    at: float
    spent: bool
    error: RowError | None = None
    resubmission: bool = False  # a refusal only by the API's own advice: kept for audits
    move: ClassVar[Move] = Move.WITHDRAW


class Collect(msgspec.Struct, frozen=True, gc=False):
    """The job is done and its files are to be fetched; `result` is `Result.as_json` encoded."""

    n: int
    at: float
    result: bytes
    move: ClassVar[Move] = Move.COLLECT


class Rerun(msgspec.Struct, frozen=True, gc=False):
    """The job failed, was refunded and may be submitted again; its id is given up.

    It counts against --max-attempts.
    """

    n: int
    at: float
    error: RowError
    refund: Refund | None = None
    refund_raw: str | None = None  # the API's own word
    cost: int | None = None  # nanos that the API says the job was charged; None = as intended
    move: ClassVar[Move] = Move.RERUN


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The row has an outcome, and `record` is its line. Closes an open attempt with `error`."""

    n: int
    at: float
    move: Move  # REJECT, REFUSE, DOUBT, EXHAUST, SUCCEED or FAIL
    record: bytes  # one JSON object, without the newline
    error: RowError | None = None
    refund: Refund | None = None
    result: bytes | None = None  # kept where only the download failed, so that it can be retried
    refund_raw: str | None = None  # the API's own word
    cost: int | None = None  # nanos that the API says the job was charged; None = as intended


class Decide(msgspec.Struct, frozen=True, gc=False):
    """A person, or what the API said later, takes a row out of exhausted or in_doubt.

    `job_id` goes with ADOPT only.
    """

    n: int
    at: float
    move: Move  # RETRY, REPOLL, REFETCH, ADOPT or RESUBMIT
    job_id: str | None = None
    note: str = ""  # who decided, and on what evidence
    record: bytes | None = None


Event = Intend | Accept | Withdraw | Collect | Rerun | Finish | Decide
