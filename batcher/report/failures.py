"""Rows that did not succeed, grouped by what went wrong.

Rule: the outcome files are read once, line by line, and memory does not grow with them: of each
group a count and its first row are kept, and groups are bounded. What differs from row to row in
the same message (ids, numbers, addresses) is folded, so that one cause is one group.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from batcher.core.lifecycle import State
from batcher.report.records import Error, Record, read_outcomes

OUTCOMES = (State.FAILED, State.EXHAUSTED, State.IN_DOUBT)
GROUPS_MAX = 2_000
MESSAGES_MAX = 200  # of one kind of error
ID_CHARS_MIN = 3  # a shorter one stands in too many words
READ_CHARS_MAX = 1_000  # of a message that is folded
MESSAGE_CHARS_MAX = 400  # of one that is shown
OTHER = "(other messages)"

_FOLDED = re.compile(
    r"(?P<url>https?://[^\s'\"<>]+)"
    r"|(?P<id>\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
    r"|\b(?=[a-z]*\d)[0-9a-z]{16,}\b|\b(?=[a-f]*\d)[0-9a-f]{8,}\b)"
    r"|\d+(?:[.,:]\d+)*"
)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


@dataclass(frozen=True, slots=True)
class Key:
    """What the rows of a group have in common."""

    outcome: State
    kind: str
    http_status: int | None
    code: str | None
    pattern: str


@dataclass
class Group:
    """Rows that did not succeed for the same reason, as far as one can tell."""

    key: Key
    pattern: str  # of its messages, fit to be shown
    example: Record  # the first one
    count: int = 0


class Failures:
    """All groups of a run. *hide* takes secrets out of what an API said."""

    def __init__(self, hide: Callable[[str], str], kind: str | None = None) -> None:
        self.unreadable = 0
        self._hide = hide
        self._kind = kind
        self._groups: dict[Key, Group] = {}
        self._messages: Counter[tuple[str, str]] = Counter()  # of each outcome and kind

    def add(self, outcome: State, failure: Record) -> None:
        """Take one record in."""
        error = failure.error or Error("unknown")
        if self._kind not in (None, error.kind):
            return

        pattern = pattern_of(error.message[:READ_CHARS_MAX], failure.id, failure.job_id)
        key = Key(outcome, error.kind, error.http_status, error.code, pattern)
        group = self._groups.get(key) or self._new_group(key, failure, error)
        group.count += 1

    def _new_group(self, key: Key, failure: Record, error: Error) -> Group:
        """Return a group for *key*, or that of all messages for which there is no room."""
        kind = (key.outcome, key.kind)
        if self._messages[kind] >= MESSAGES_MAX or len(self._groups) >= GROUPS_MAX:
            key = Key(key.outcome, key.kind[:40], None, None, OTHER)
            if key in self._groups:
                return self._groups[key]

        self._messages[kind] += 1
        message = self._hide(error.message)[:READ_CHARS_MAX]
        pattern = OTHER if key.pattern == OTHER else pattern_of(message, failure.id, failure.job_id)
        error = msgspec.structs.replace(error, message=message[:MESSAGE_CHARS_MAX])
        example = msgspec.structs.replace(failure, error=error)
        self._groups[key] = Group(key, pattern[:MESSAGE_CHARS_MAX], example)
        return self._groups[key]

    def by_kind(self) -> list[list[Group]]:
        """Return the groups of each outcome and kind, the most frequent first."""
        kinds: dict[tuple[str, str], list[Group]] = {}
        for group in self._groups.values():
            kinds.setdefault((group.key.outcome, group.key.kind), []).append(group)

        for groups in kinds.values():
            groups.sort(key=lambda group: -group.count)

        return sorted(kinds.values(), key=lambda groups: -rows_of(groups))


def rows_of(groups: Iterable[Group]) -> int:
    """Return how many rows are in some groups."""
    return sum(group.count for group in groups)


def read_failures(folder: Path, lengths: Mapping[str, int | None], failures: Failures) -> None:
    """Read the files of one directory; *lengths* are what its journal committed, None: all."""
    read_outcomes(folder, lengths, failures, OUTCOMES)


def pattern_of(message: str, row_id: str, job_id: str | None = None) -> str:
    """Return *message* with what differs from row to row folded."""
    for text, name in ((job_id, "<job>"), (row_id, "<row>")):
        if text and len(text) >= ID_CHARS_MIN and text in message:
            message = message.replace(text, name)

    return _folded(message)


@lru_cache(maxsize=4_096)
def _folded(message: str) -> str:
    return _FOLDED.sub(_fold, message)


def _fold(found: re.Match[str]) -> str:
    if found["url"]:
        return f"{_NUMBER.sub('#', '/'.join(found['url'].split('/')[:3]))}/…"

    return "<id>" if found["id"] else "#"


def group_json(group: Group, hint: str, next_command: str | None) -> dict[str, Any]:
    """Return a group as a value for programs."""
    key, example = group.key, group.example
    error = example.error or Error(key.kind)
    return {
        "kind": key.kind,
        "outcome": key.outcome,
        "file": f"{key.outcome}.jsonl",
        "count": group.count,
        "http_status": key.http_status,
        "code": key.code,
        "pattern": group.pattern,
        "example": {
            "id": example.id,
            "line": example.line,
            "job_id": example.job_id,
            "request_id": error.request_id,
            "message": error.message,
        },
        "hint": hint,
        "next": next_command,
    }
