"""The story of one row for a person, and what to do next.

Rule: what a stranger wrote goes through `plain`; commands can be pasted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from batcher.core.lifecycle import State
from batcher.core.model import ErrorKind
from batcher.core.money import nanos
from batcher.core.settings import Frozen
from batcher.report.advice import hint_of
from batcher.report.money import money_text
from batcher.report.rerun import rerun_command
from batcher.report.text import command_text, count_text, path_word, plain

ROW_CHARS_MAX = 2_000
TEXT_CHARS_MAX = 500
VERDICTS = {
    None: "no answer yet",
    "accept": "accepted",
    "withdraw": "made no job",
    "refuse": "refused for good",
    "exhaust": "refused once too often",
    "doubt": "answer lost: in doubt",
    "resubmit": "answer lost: sent again by decision",
}
MEANT = {
    State.PENDING: "not submitted yet",
    State.INTENT: "a submit is on its way",
    State.ACCEPTED: "has a job, which is followed",
    State.READY: "its job is done; its files are to be fetched",
    State.SUCCEEDED: "has its result",
    State.FAILED: "no result, and this row will get none",
    State.EXHAUSTED: "given up for now",
    State.IN_DOUBT: "sent, answer lost: perhaps paid for",
}
AGAIN = "waits to be submitted again"  # of a pending row that was submitted before


def next_step(
    story: Mapping[str, Any], run: Path, frozen: Frozen, program: str, *, is_running: bool
) -> tuple[str, list[str]]:
    """Return what happens or can be done next, and the commands for it."""
    where, row_id = path_word(run), path_word(story["id"])
    resume = [command_text(program, "resume", where)]
    match story["state"]:
        case State.SUCCEEDED:
            return "nothing", []
        case State.PENDING | State.INTENT | State.ACCEPTED | State.READY if is_running:
            return "nothing: the run goes on with it", []
        case State.PENDING:
            return "resume submits it", resume
        case State.INTENT:
            return "resume asks what became of it, or holds it in doubt", resume
        case State.ACCEPTED | State.READY:
            return "its job is paid for; resume collects it", resume
        case State.EXHAUSTED:
            retry = [program, "retry", where, *_kind(story)]
            return hint_of(_kind_of(story), State.EXHAUSTED), [command_text(*retry)]
        case State.IN_DOUBT:
            return "look for its job at the API, then decide", [
                command_text(program, "doubt", "adopt", where, row_id, "JOB_ID"),
                command_text(program, "doubt", "resubmit", where, row_id),
                command_text(program, "doubt", "fail", where, row_id),
            ]
        case _:
            rerun = [rerun_command(run, frozen, program)] if _can_be_mended(story) else []
            return hint_of(_kind_of(story), State.FAILED), rerun


def story_lines(story: Mapping[str, Any], currency: str | None) -> Iterator[str]:
    """Yield what is known of a row."""
    row_id, line = plain(story["id"], TEXT_CHARS_MAX), count_text(story["line"])
    yield f"{row_id} (line {line}): {_state(story)}"
    yield f"  row       {plain(_json(story['row']), ROW_CHARS_MAX)}"
    for attempt in story["attempts"]:
        yield f"  submit {attempt['generation']:<3}{_attempt(attempt, currency)}"

    if story["job_id"]:
        yield f"  job       {plain(story['job_id'], TEXT_CHARS_MAX)}{_job_times(story)}"

    if story["error"]:
        yield f"  error     {_error(story['error'])}"

    for variant, url in story["urls"].items():
        yield f"  url       {plain(variant, 80)}: {plain(url, 2_000)}"

    for file in story["files"]:
        size = "is not there" if file["bytes"] is None else f"{count_text(file['bytes'])} bytes"
        yield f"  file      {plain(file['path'], 1_000)} ({size})"

    if story["text"] is not None:
        yield f"  text      {plain(story['text'], TEXT_CHARS_MAX)}"

    if story["events_before"]:
        yield f"  log       {count_text(story['events_before'])} more before these"

    for event in story["events"]:
        yield f"  log       {_event(event)}"


def look_for_line(look: Mapping[str, Any], title: str) -> str:
    """Return what to look for at the API, of a row in doubt."""
    source = f" for {plain(look['source'], TEXT_CHARS_MAX)}" if look["source"] else ""
    when = f" made between {look['from']} and {look['to']}" if look["from"] else ""
    return f"  look for  a job{when}{source}, in the job list or the invoices of {title}"


def _state(story: Mapping[str, Any]) -> str:
    state = story["state"]
    meant = AGAIN if state is State.PENDING and story["attempts"] else MEANT[state]
    return f"{state.replace('_', ' ')}; {meant}"


def _attempt(attempt: Mapping[str, Any], currency: str | None) -> str:
    parts = [f"{attempt['submitted']}, {VERDICTS.get(attempt['verdict'], attempt['verdict'])}"]
    if attempt["answered"] is not None:
        parts.append(f"answered {attempt['answered']}")

    if attempt["http_status"] is not None:
        parts.append(f"HTTP {attempt['http_status']}")

    for name, words in (("job_id", "job"), ("request_id", "request")):
        if attempt[name]:
            parts.append(f"{words} {plain(attempt[name], 200)}")

    if attempt["cost"] is not None:
        parts.append(f"cost {money_text(nanos(attempt['cost']), currency)}")

    if attempt["refund"] is not None:
        parts.append(f"refund {attempt['refund']}")

    message = f": {plain(attempt['message'], TEXT_CHARS_MAX)}" if attempt["message"] else ""
    return ", ".join(parts) + message


def _job_times(story: Mapping[str, Any]) -> str:
    parts = []
    if story["accepted"]:
        parts.append(f"accepted {story['accepted']}")

    if story["done_seen"]:
        parts.append(f"seen done {story['done_seen']}")

    if story["status_reads"] is not None:
        reads = story["status_reads"]
        parts.append(f"{count_text(reads)} status {'read' if reads == 1 else 'reads'}")

    return f" ({', '.join(parts)})" if parts else ""


def _error(error: Mapping[str, Any]) -> str:
    status = f", HTTP {error['http_status']}" if error.get("http_status") else ""
    code = f", code {plain(error['code'], 80)}" if error.get("code") else ""
    request = f", request {plain(error['request_id'], 200)}" if error.get("request_id") else ""
    message = plain(error.get("message", ""), TEXT_CHARS_MAX)
    fields = f" {plain(_json(error['fields']), TEXT_CHARS_MAX)}" if error.get("fields") else ""
    return f"{plain(error.get('kind', '?'), 40)}{status}{code}{request}: {message}{fields}"


def _event(event: Mapping[str, Any]) -> str:
    rest = [
        f"{key} {plain(event[key], TEXT_CHARS_MAX)}"
        for key in ("step", "kind", "http_status", "request_id", "reason", "message", "body")
        if key in event
    ]
    return f"{plain(event.get('time', '?'), 40)} {plain(event.get('event'), 60)}: {', '.join(rest)}"


def _kind_of(story: Mapping[str, Any]) -> str:
    error = story["error"]
    return str(error.get("kind")) if isinstance(error, dict) else ""


def _kind(story: Mapping[str, Any]) -> list[str]:
    kind = _kind_of(story)
    return ["--kind", kind] if kind in {str(known) for known in ErrorKind} else []


def _can_be_mended(story: Mapping[str, Any]) -> bool:
    return _kind_of(story) in (ErrorKind.INVALID_ROW, ErrorKind.INVALID_REQUEST)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode("utf-8", "replace")
