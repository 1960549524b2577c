"""The outcome record: one line for every row that has come to its end, and the way back.

Rule: one schema for all four files, and every record is itself a row for a later run. The row's own
bytes go in as they stand in the manifest and come out as they went in, so that a number which no
double can hold, or a spelling that someone relies on, survives any number of rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

import msgspec
import orjson

from batcher.core.lifecycle import State
from batcher.core.model import ErrorKind, Refund, Result, RowError, Ticket, iso
from batcher.core.money import amount
from batcher.core.settings import RAW_CHARS_MAX

VERSION = 1
UNREADABLE = b"null"  # the body of a line that could not be read
DEPTH_MAX = 100  # of a value that has to be cleaned


class Known(TypedDict, total=False):
    """What is known of a row's end beyond its ticket; what is left out is null in the record."""

    result: Result | None
    error: RowError | None
    refund: Refund | None
    refund_raw: str | None  # the API's own word
    cost: float | None  # as the API says it; if not the result's
    raw: str | None  # the text of a line that could not be read


def outcome_record(
    ticket: Ticket, outcome: State, *, provider: str, at: float, **known: Unpack[Known]
) -> bytes:
    """Return the record of a row as one line of JSON, without the newline.

    *at* is when the row came to its end, in epoch seconds. Never raises on what an API or a
    manifest may say: text that is not Unicode and numbers beyond 64 bits are written as near as
    JSON can.
    """
    row, result, error = ticket.row, known.get("result"), known.get("error")
    record: dict[str, Any] = {
        "v": VERSION,
        "id": row.id,
        "line": row.line,
        "outcome": outcome,
        "provider": provider,
        "job_id": ticket.job_id,
        "result": None if result is None else result.as_json(),
        "error": None if error is None else error.as_json(),
        "refund": known.get("refund"),
        "refund_raw": known.get("refund_raw"),
        "cost": _cost(ticket, outcome, known),
        "attempts": {
            "submit": ticket.submits,
            "status": ticket.reads,
            "download": ticket.downloads,
        },
        "time": _times(ticket, at if outcome is State.SUCCEEDED else None),
    }
    if row.base is not None:
        record["base"] = row.base

    record["row"] = orjson.Fragment(row.body)
    if row.body == UNREADABLE:
        record["raw"] = (known.get("raw") or "")[:RAW_CHARS_MAX]

    return _encoded(record)


def _cost(ticket: Ticket, outcome: State, known: Known) -> float | None:
    """Return what the row cost: as the API says, else as quoted if a job may have been made."""
    result, error, cost = known.get("result"), known.get("error"), known.get("cost")
    if cost is None and result is not None:
        cost = result.cost

    if cost is not None or ticket.cost is None:
        return cost

    is_unknown = error is not None and error.kind is ErrorKind.UNKNOWN_OUTCOME
    is_charged = ticket.job_id is not None or outcome is State.IN_DOUBT or is_unknown
    return amount(ticket.cost) if is_charged else None


def _times(ticket: Ticket, collected_at: float | None) -> dict[str, Any]:
    job_s = None
    if ticket.done_seen_at is not None and ticket.accepted_at is not None:
        took_s = round(ticket.done_seen_at - ticket.accepted_at, 3)
        job_s = took_s if took_s >= 0 else None  # the wall clock was set back in between

    return {
        "submitted": iso(ticket.submitted_at),
        "accepted": iso(ticket.accepted_at),
        "done_seen": iso(ticket.done_seen_at),
        "collected": iso(collected_at),
        "job_s": job_s,
    }


def _encoded(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record)
    except TypeError:  # orjson takes no lone surrogate, no number beyond 64 bits, no odd key
        return orjson.dumps(_cleaned(record, DEPTH_MAX))


def _cleaned(value: Any, depth: int) -> Any:
    """Return *value* with whatever JSON cannot hold written in another way."""
    if value is None or isinstance(value, bool | float | orjson.Fragment):
        return value

    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)

    if depth and isinstance(value, Mapping):
        return {_text(key): _cleaned(item, depth - 1) for key, item in value.items()}

    if depth and isinstance(value, list | tuple):
        return [_cleaned(item, depth - 1) for item in value]

    return _text(value)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()


# --- The way back ----------------------------------------------------------------------------


def is_record(values: Mapping[str, object]) -> bool:
    """Whether a row of a manifest is the outcome record of an earlier run."""
    return "row" in values and "outcome" in values and "v" in values


def as_written(document: bytes, key: str) -> bytes:
    """Return the bytes of one value of a JSON object that has *key*, unchanged."""
    return bytes(msgspec.json.decode(document, type=dict[str, msgspec.Raw])[key])
