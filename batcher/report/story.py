"""All that is known of one row: from the journal, its outcome record, the log, and its files.

Rule: the journal is asked, the files are read line by line with the row's id as a needle, and
nothing is guessed: what is not kept while a row is in flight (its status reads) is None.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import orjson

from batcher.core.journal import Charge, Held
from batcher.core.lifecycle import OUTCOMES, State
from batcher.core.model import Result, iso
from batcher.core.money import amount
from batcher.report.page.events import LINE_BYTES_MAX, LOG_BYTES_MAX
from batcher.report.records import RECORD_BYTES_MAX, whole_lines

EVENTS_MAX = 20  # of the log, the last ones
EVENT_KEYS = ("time", "event", "step", "kind", "http_status", "request_id", "reason", "message")
TEXT_CHARS_MAX = 1_000
DONE = frozenset({"row.finished", "job.accepted", "download.stored"})  # told better elsewhere


@dataclass(frozen=True, slots=True)
class Found:
    """A row in the part of the run that it is in. `held` is None for a repeated line's record."""

    folder: Path
    held: Held | None
    charges: tuple[Charge, ...]
    record: dict[str, Any] | None
    events: tuple[dict[str, Any], ...] = ()
    events_before: int = 0  # more of them, before the first

    @property
    def state(self) -> State:
        """Where the row stands."""
        return State.FAILED if self.held is None else self.held.state


def story_of(found: Found) -> dict[str, Any]:
    """Return what is known of a row, as JSON."""
    held, record = found.held, found.record
    row, ticket = (None, None) if held is None else (held.ticket.row, held.ticket)
    result = _result(found)
    reads = None if record is None else record.get("attempts", {}).get("status")
    return {
        "id": record["id"] if row is None and record is not None else row and row.id,
        "line": record["line"] if row is None and record is not None else row and row.line,
        "state": found.state,
        "row": (record or {}).get("row") if row is None else msgspec.Raw(row.body),
        "base": (record or {}).get("base") if row is None else row.base,
        "job_id": (record or {}).get("job_id") if ticket is None else ticket.job_id,
        "accepted": None if ticket is None else iso(ticket.accepted_at),
        "done_seen": None if ticket is None else iso(ticket.done_seen_at),
        "attempts": [] if held is None else list(_attempts(held, found.charges)),
        "attempts_counted": None if ticket is None else ticket.spent,
        "status_reads": reads,
        "error": _error(found),
        "urls": dict(result.urls) if result is not None else {},
        "files": list(_files(result, found.folder)),
        "text": None if result is None else result.text,
        "events": list(found.events),
        "events_before": found.events_before,
        "record": record,
    }


def _error(found: Found) -> Any:
    """Return why there is no result; of a row without an outcome, what went wrong last."""
    if found.record is not None:
        return found.record.get("error")

    held = found.held
    return None if held is None or held.error is None else held.error.as_json()


def _result(found: Found) -> Result | None:
    if found.record is not None:
        value = found.record.get("result")
        with contextlib.suppress(KeyError, TypeError, AttributeError):  # an edited file
            return None if value is None else Result.from_json(value)

    return None if found.held is None else found.held.ticket.result


def _attempts(held: Held, charges: tuple[Charge, ...]) -> Iterator[dict[str, Any]]:
    """Yield every submit of a row with its job and its money, as far as the ledger tells."""
    ticket = held.ticket
    known = {charge.generation: charge for charge in charges}
    for attempt in held.attempts:
        charge, is_last = known.get(attempt.generation), attempt.generation == ticket.generation
        job_id = charge.job_id if charge is not None else ticket.job_id if is_last else None
        cost = charge.cost if charge is not None else ticket.cost if is_last else None
        may_cost = attempt.verdict in ("accept", "doubt", "resubmit", None)
        yield {
            "generation": attempt.generation,
            "submitted": iso(attempt.intent_at),
            "answered": iso(attempt.answered_at),
            "verdict": attempt.verdict,
            "http_status": attempt.http_status,
            "request_id": attempt.request_id,
            "message": attempt.message,
            "job_id": job_id,
            "cost": amount(cost) if cost is not None and (charge or may_cost) else None,
            "refund": None if charge is None else charge.refund,
            "refund_raw": None if charge is None else charge.refund_raw,
        }


def _files(result: Result | None, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the files of a result, and how large they are; null: it is not there any more."""
    for variant, name in ({} if result is None else result.files).items():
        path = folder / name
        size = None
        with contextlib.suppress(OSError, ValueError):
            size = path.stat().st_size

        yield {"variant": variant, "path": str(path), "bytes": size}


# --- Looking for it ----------------------------------------------------------------------------


def find_record(
    folder: Path,
    lengths: Mapping[str, int | None],
    outcomes: tuple[State, ...],
    is_it: Callable[[dict[str, Any]], bool],
    needle: bytes,
) -> dict[str, Any] | None:
    """Return the first record that *is_it*; only lines with *needle* in them are looked at."""
    for outcome in outcomes:
        name = f"{outcome}.jsonl"
        for line in whole_lines(folder / name, end=lengths.get(name), bytes_max=RECORD_BYTES_MAX):
            if needle not in line:
                continue

            record = _loaded(line)
            if record is not None and is_it(record):
                return record

    return None


def record_of(
    folder: Path, lengths: Mapping[str, int | None], state: State, row_id: str, line: int
) -> dict[str, Any] | None:
    """Return the outcome record of a row, or None if it has none (yet)."""
    if state not in OUTCOMES:
        return None

    def is_it(record: dict[str, Any]) -> bool:
        return record.get("id") == row_id and record.get("line") == line

    return find_record(folder, lengths, (state,), is_it, needle_of("id", row_id))


def needle_of(key: str, value: str) -> bytes:
    """Return how a record writes *key* and *value*."""
    try:
        return b'"%s":%s' % (key.encode(), orjson.dumps(value))
    except TypeError:  # a lone surrogate, from an argument that is not UTF-8: in no record
        return b"\0"


def events_of(log: Path, row_id: str) -> tuple[tuple[dict[str, Any], ...], int]:
    """Return what the log says of a row's troubles, the last of it, and how much came before."""
    if not log.exists():
        return (), 0

    needle, seen = needle_of("id", row_id), 0
    kept: deque[dict[str, Any]] = deque(maxlen=EVENTS_MAX)
    start = max(0, log.stat().st_size - LOG_BYTES_MAX)
    for line in whole_lines(log, start=start, bytes_max=LINE_BYTES_MAX):
        event = _loaded(line) if needle in line else None
        if event is None or event.get("id") != row_id or event.get("event") in DONE:
            continue

        seen += 1
        told = {key: event[key] for key in EVENT_KEYS if event.get(key) is not None}
        if isinstance(event.get("body"), str):
            told["body"] = event["body"][:TEXT_CHARS_MAX]

        kept.append(told)

    return tuple(kept), seen - len(kept)


def _loaded(line: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None

    return value if isinstance(value, dict) else None
