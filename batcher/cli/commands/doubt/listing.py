"""What is known of a row in doubt: all that helps a person to find its job, or its absence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from batcher.adapters.sqlite.reader import JournalReader
from batcher.core.journal import Attempt, Held
from batcher.core.lifecycle import State
from batcher.core.model import iso
from batcher.report.text import plain

PAGE_ROWS = 500
ROW_CHARS_MAX = 1_000
SLACK_S = 60.0  # the API's clock and ours


def held_rows(journal: JournalReader) -> Iterator[Held]:
    """Yield every row in doubt, in the order of the manifest."""
    after = 0
    while page := journal.held(State.IN_DOUBT, after, PAGE_ROWS):
        yield from page
        after = page[-1].ticket.row.n


def evidence(held: Held, answer_s: float) -> dict[str, Any]:
    """Return what is known of one row, as JSON; *answer_s* is how long an answer was waited for."""
    row, error = held.ticket.row, held.error
    last = held.attempts[-1] if held.attempts else None
    return {
        "id": row.id,
        "line": row.line,
        "generation": held.ticket.generation,
        "intent_at": None if last is None else iso(last.intent_at),
        "answered_at": None if last is None else iso(last.answered_at),
        "error": None if error is None else error.as_json(),
        "http_status": _first(last and last.http_status, error and error.http_status),
        "request_id": _first(last and last.request_id, error and error.request_id),
        "look_for": {
            "from": None if last is None else iso(last.intent_at - SLACK_S),
            "to": None if last is None else iso(_latest(last, answer_s)),
            "source": _source(held),
        },
        "row": msgspec.Raw(row.body),
    }


def evidence_lines(found: dict[str, Any], title: str) -> Iterator[str]:
    """Return the same for a person."""
    error, look = found["error"], found["look_for"]
    yield f"{plain(found['id'], 500)} (line {found['line']})"
    when = found["intent_at"] or "at an unknown time"
    yield f"  submitted  {when}, submit {found['generation']} of this row"
    if error is not None:
        status = f", HTTP {found['http_status']}" if found["http_status"] else ""
        request = f", request id {plain(found['request_id'])}" if found["request_id"] else ""
        yield f"  answer     {error['kind']}{status}{request}: {plain(error['message'], 500)}"

    yield f"  row        {plain(bytes(found['row']).decode('utf-8', 'replace'), ROW_CHARS_MAX)}"
    source = f" for {plain(look['source'], 500)}" if look["source"] else ""
    when = f" made between {look['from']} and {look['to']}" if look["from"] else ""
    yield f"  look for   a job{when}{source}, in the job list or the invoices of {title}"


def _latest(attempt: Attempt, answer_s: float) -> float:
    """Return when the API can have made the job at the latest."""
    end = attempt.answered_at
    return (attempt.intent_at + answer_s if end is None else end) + SLACK_S


def _source(held: Held) -> str | None:
    """Return what the vendor's own pages show of a job: the address or the name of its input."""
    try:
        values = msgspec.json.decode(held.ticket.row.body, type=dict[str, object])
    except msgspec.MsgspecError:
        return None

    for key in ("file_url", "file", "prompt"):
        if isinstance(values.get(key), str):
            return str(values[key])

    return None


def _first(*values: object) -> object:
    return next((value for value in values if value), None)
