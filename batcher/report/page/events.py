"""`log.jsonl`, read in bounded time and memory: what slowed the run down, and who worked on it.

Rule: the log is a help and no truth. It may be absent, cut, of a higher level or edited; then the
page says less and nothing wrong. Of a long one the end is read, and what was not is told.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from batcher.core.model import ErrorKind
from batcher.report.page import facts
from batcher.report.page.facts import LogFacts, Moment
from batcher.report.page.timeline import TimeBins
from batcher.report.records import whole_lines
from batcher.report.text import duration_text

LOG_BYTES_MAX = 256 * 1024 * 1024  # of the end; about 1.5 s
LINE_BYTES_MAX = 256 * 1024
MOMENTS_MAX = 40  # from the beginning, and as many from the end
VERSIONS_MAX = 8
TEXT_CHARS = 300
LOGGED = "logged"  # on the time line: a row that did not succeed ended

# The many, which are not worth parsing. In a text that a row or a server wrote the quotes would be
# escaped.
SKIPPED = re.compile(rb'"event":"(?:job\.accepted|download\.stored)"|"outcome":"succeeded"')


class Log:
    """What the log says, taken in line by line. *tell* makes a text fit to be shown."""

    def __init__(self, bins: TimeBins, tell: Callable[[object, int], str]) -> None:
        self._bins = bins
        self._tell = tell
        self._first: list[Moment] = []
        self._last: deque[Moment] = deque(maxlen=MOMENTS_MAX)
        self._moments = 0
        self._versions: dict[str, None] = {}

    def add(self, line: bytes) -> None:
        """Take one line in; what is none is passed over."""
        if SKIPPED.search(line):
            return

        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError:
            return

        if isinstance(event, dict) and isinstance(event.get("event"), str):
            self._take(event)

    def facts(self, *, bytes_skipped: int) -> LogFacts:
        """Return what was seen."""
        moments = (*self._first, *self._last)
        return LogFacts(
            is_there=True,
            bytes_skipped=bytes_skipped,
            moments=moments,
            moments_left_out=self._moments - len(moments),
            versions=tuple(self._versions),
        )

    def _take(self, event: dict[str, Any]) -> None:
        at = epoch_of(event.get("time"))
        match event["event"]:
            case "row.finished":
                self._count(LOGGED, at, wanted=ended_in_flight(event))
            case "answer.error":
                is_throttled = event.get("http_status") == 429
                kind = facts.THROTTLED if is_throttled else facts.TROUBLED
                self._count(kind, at, wanted=event.get("step") != "submit")  # the ledger has those
            case "run.started":
                self._note_version(event.get("version"))
                self._note(at, event)
            case name if name in _TEXTS or (event.get("message") and name != "row.finished"):
                self._note(at, event)

    def _count(self, kind: str, at: float | None, *, wanted: bool = True) -> None:
        if wanted and at is not None:
            self._bins.add(kind, at)

    def _note_version(self, version: object) -> None:
        if isinstance(version, str) and len(self._versions) < VERSIONS_MAX:
            self._versions[self._tell(version, 40)] = None

    def _note(self, at: float | None, event: dict[str, Any]) -> None:
        self._moments += 1
        name = event["event"]
        text = _TEXTS[name](event) if name in _TEXTS else str(event.get("message"))
        is_urgent = event.get("level") in ("warning", "error")
        moment = Moment(at, self._tell(name, 60), self._tell(text, TEXT_CHARS), is_urgent)
        (self._first if len(self._first) < MOMENTS_MAX else self._last).append(moment)


def read_log(path: Path, bins: TimeBins, tell: Callable[[object, int], str]) -> LogFacts:
    """Read the end of the log into *bins* and into what is returned."""
    if not path.exists():
        return LogFacts()

    log, skipped = Log(bins, tell), max(0, path.stat().st_size - LOG_BYTES_MAX)
    for line in whole_lines(path, start=skipped, bytes_max=LINE_BYTES_MAX):
        log.add(line)

    return log.facts(bytes_skipped=skipped)


def ended_in_flight(event: Mapping[str, Any]) -> bool:
    """Whether a row ended that had been sent and did not succeed."""
    return event.get("outcome") != "succeeded" and event.get("kind") != ErrorKind.INVALID_ROW


def epoch_of(text: object) -> float | None:
    """Return the time of an event in epoch seconds; None if it has none."""
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None


def _ended(event: Mapping[str, Any]) -> str:
    summary = event.get("summary")
    state = summary.get("state") if isinstance(summary, dict) else None
    return f"the process ended, the run was {state or 'left'}"


def _limit_changed(event: Mapping[str, Any]) -> str:
    before = event.get("before") or "no limit"
    return f"{event.get('lane')} limit {before} → {event.get('rate')}: {event.get('reason')}"


def _limit_reached(event: Mapping[str, Any]) -> str:
    wait_s = event.get("wait_s")
    wait = duration_text(wait_s) if isinstance(wait_s, int | float) else "a while"
    return f"{event.get('lane')} waits for {wait}: {event.get('reason')}"


def _stopping(event: Mapping[str, Any]) -> str:
    resume_at = event.get("resume_at")
    back = f"; come back after {resume_at}" if resume_at else ""
    return f"stopping, {event.get('reason')}: {event.get('message')}{back}"


_TEXTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "run.started": lambda event: f"a process began, batcher {event.get('version')}",
    "run.ended": _ended,
    "run.stopping": _stopping,
    "run.crashed": lambda event: "a bug in batcher ended the process; see log.jsonl",
    "limit.changed": _limit_changed,
    "limit.reached": _limit_reached,
    "log.lost": lambda event: f"{event.get('lines')} lines of the log were lost: the disk was full",
}
