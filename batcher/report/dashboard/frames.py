"""A run at one instant as the page is told it: small, whatever the run and whatever its API says.

Rule: every text is cut and every list has an end, so that a frame stays below `FRAME_BYTES_MAX`. A
frame needs no other one: a browser that missed some has lost nothing but a few points of a curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from batcher.core.errors import UsageError
from batcher.core.lifecycle import OUTCOMES, State
from batcher.core.pacing.rates import parse_rate
from batcher.core.stats import LaneView, Snapshot, submits_of
from batcher.report.advice import meaning_of
from batcher.report.lines import cost_text, left_text, limit_share
from batcher.report.page.verdict import sentence_of, stop_of, tone_of, word_of
from batcher.report.summary import Summary
from batcher.report.text import duration_text, plain, stop_text

VERSION: Final = 1
FRAME_BYTES_MAX: Final = 4_096
KINDS_MAX: Final = 5
EXAMPLE_CHARS: Final = 110
TEXT_CHARS: Final = 120
CHAR_BYTES: Final = 2  # of a text, on average; one with more in it becomes shorter
POINTS_MAX: Final = 240
WAITING: Final = (State.PENDING, State.INTENT, State.ACCEPTED, State.READY)

Frame = dict[str, Any]
# Epoch seconds, submits, results, in flight, answers 429, whether a lane was closed.
Point = tuple[float, int, int, int, int, int]


def frame_of(shot: Snapshot, currency: str | None = None) -> Frame:
    """Return a snapshot as a frame."""
    often = sorted(shot.errors.items(), key=lambda item: -item[1].count)
    stop = shot.stop
    return {
        "at": round(shot.at, 2),
        "elapsed_s": round(shot.elapsed_s, 1),
        "rows": shot.rows_total,
        "read": shot.count("rows"),
        "reading": shot.reading,
        **{str(outcome): shot.count(outcome) for outcome in OUTCOMES},
        "pending": sum(shot.count(state) for state in WAITING),
        "in_flight": shot.in_flight,
        "in_flight_max": shot.in_flight_max,
        "submits": submits_of(shot.counters) if shot.counters else None,  # not known, and not 0
        "throttled": shot.count("throttled"),
        "lanes": [_lane(lane) for lane in shot.lanes],
        "errors": [[str(kind), error.count] for kind, error in often[:KINDS_MAX]],
        "kinds": len(often),
        "examples": {
            str(kind): [meaning_of(kind), _cut(error.example, EXAMPLE_CHARS)]
            for kind, error in often[:KINDS_MAX]
        },
        "cost": cost_text(shot.counters, currency) or None,
        "left": None if shot.eta_s is None or stop is not None else left_text(shot),
        "binding": _cut(shot.binding, TEXT_CHARS) or None,
        "stopping": None
        if stop is None
        else _cut(stop_text(stop.reason, stop.message), TEXT_CHARS),
    }


def end_of(summary: Summary, commands: Sequence[str] = ()) -> dict[str, Any]:
    """Return how a run stands that nobody works on: the judgement, and what to type next."""
    reasons = [stop_of(summary.stopped)] if summary.state == "stopped" else []
    return {
        "tone": tone_of(summary),
        "word": word_of(summary),
        "sentence": sentence_of(summary),
        "reasons": [plain(reason, 400) for reason in reasons],
        "commands": [plain(command, 1_000) for command in commands],
    }


class Past:
    """The curve so far, for who comes late: every n-th point, and n doubles as they become many.

    Points hold sums, so what lies between two that are left is lost to no rate.
    """

    def __init__(self, points_max: int = POINTS_MAX) -> None:
        self.points: list[Point] = []
        self._points_max = points_max
        self._stride = 1
        self._seen = 0

    def add(self, frame: Frame) -> None:
        """Take note of a frame."""
        if self._seen % self._stride == 0:
            self.points.append(self._point(frame))

        self._seen += 1
        if len(self.points) > self._points_max:
            self.points = self.points[::2]
            self._stride *= 2

    def _point(self, frame: Frame) -> Point:
        submits = frame["submits"]
        if submits is None:
            submits = self.points[-1][1] if self.points else 0

        is_closed = any(lane["closed"] for lane in frame["lanes"])
        return (
            frame["at"],
            submits,
            frame["succeeded"],
            frame["in_flight"],
            frame["throttled"],
            int(is_closed),
        )


def _lane(lane: LaneView) -> dict[str, Any]:
    share = limit_share(lane)
    why = f": {_cut(lane.closed_why, 60)}" if lane.closed_why else ""
    closed = None if lane.closed_s is None else f"closed for {duration_text(lane.closed_s)}{why}"
    return {
        "name": lane.name,
        "per_s": round(lane.per_s, 2),
        "limit": None if lane.limit is None else _cut(lane.limit, 40),
        "limit_per_s": limit_per_s(lane.limit),
        "used": None if share is None else round(share, 2),
        "open": lane.open,
        "waiting": lane.waiting,
        "started": lane.started,
        "closed": closed,
    }


def _cut(text: str, chars_max: int) -> str:
    """Return *text* in one line of so many characters and few more bytes."""
    told = plain(text, chars_max).encode()
    return told[: CHAR_BYTES * chars_max].decode("utf-8", "ignore")


def limit_per_s(limit: str | None) -> float | None:
    """Return how many a second a limit allows; None = it does not say."""
    try:
        interval_s = 0.0 if limit is None else parse_rate(limit).interval_s
    except UsageError:  # the limits of several workers that are not alike
        return None

    return round(1 / interval_s, 4) if interval_s else None
