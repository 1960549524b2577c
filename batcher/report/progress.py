"""A run at one instant for programs: a line of `--progress json`, and what another process reads.

Rule: the JSON lines are a contract, versioned and told in docs/cli.md; the file `.progress` is not.
It is a snapshot as it is, by which `batcher status --watch` sees what the run's own screen shows.
It is replaced about once a second, never synced, and counts for nothing once it is old.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import msgspec
import orjson

from batcher.adapters.atomic import PRIVATE
from batcher.core.lifecycle import OUTCOMES, State
from batcher.core.model import iso
from batcher.core.money import amount
from batcher.core.stats import LaneView, Snapshot
from batcher.report.lines import limit_share
from batcher.report.text import plain

NAME = ".progress"
VERSION = 1
BYTES_MAX = 1024 * 1024  # a snapshot has a few kilobytes
AGE_S_MAX = 10.0  # an older one says nothing of now
WAITING = (State.PENDING, State.INTENT, State.ACCEPTED, State.READY)
EXAMPLE_CHARS_MAX = 200


def progress_json(shot: Snapshot, currency: str | None = None) -> bytes:
    """Return a snapshot as a line of JSON, without the newline."""
    return orjson.dumps(
        {
            "v": VERSION,
            "kind": "progress",
            "at": iso(shot.at),
            "elapsed_s": round(shot.elapsed_s, 3),
            "rows": shot.rows_total,
            "reading": shot.reading,
            **{str(state): shot.count(state) for state in OUTCOMES},
            "pending": sum(shot.count(state) for state in WAITING),
            "in_flight": shot.in_flight,
            "in_flight_max": shot.in_flight_max,
            "lanes": {lane.name: _lane(lane) for lane in shot.lanes},
            "errors": {
                str(kind): {
                    "count": error.count,
                    "example": plain(error.example, EXAMPLE_CHARS_MAX),
                }
                for kind, error in shot.errors.items()
            },
            "cost": _cost(shot, currency),
            "left_s": _left(shot),
            "held_back_by": shot.binding or None,
            "stopping": None if shot.stop is None else _stop(shot),
        }
    )


def notice_json(text: str, *, is_urgent: bool) -> bytes:
    """Return something that a person should read as a line of JSON, without the newline."""
    return orjson.dumps({"v": VERSION, "kind": "notice", "urgent": is_urgent, "text": plain(text)})


def end_json(exit_code: int, lines: list[str]) -> bytes:
    """Return the closing lines as a line of JSON, without the newline."""
    return orjson.dumps({"v": VERSION, "kind": "end", "exit_code": exit_code, "lines": lines})


def write_progress(folder: Path, value: object) -> None:
    """Replace the file of a run by *value*, a snapshot as plain JSON. Raises `OSError`."""
    beside = folder / f"{NAME}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(beside, flags, PRIVATE), "wb") as file:  # noqa: PTH123 - takes our flags
        file.write(orjson.dumps(value))

    beside.replace(folder / NAME)


def read_progress(folder: Path, now: float) -> Snapshot | None:
    """Return what a process at work said of its run lately, or None: nobody, or too long ago."""
    try:
        with (folder / NAME).open("rb") as file:
            shot = msgspec.json.decode(file.read(BYTES_MAX), type=Snapshot)
    except (OSError, RecursionError, ValueError, msgspec.MsgspecError):
        return None

    return shot if abs(now - shot.at) <= AGE_S_MAX else None


def remove_progress(folder: Path) -> None:
    """Take the file away: nobody is at work any more."""
    for name in (NAME, f"{NAME}.tmp"):
        with contextlib.suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def _lane(lane: LaneView) -> dict[str, Any]:
    share = limit_share(lane)
    return {
        "requests": lane.started,
        "per_s": round(lane.per_s, 3),
        "limit": lane.limit,
        "limit_used": None if share is None else round(share, 3),
        "open": lane.open,
        "waiting": lane.waiting,
        "closed_s": None if lane.closed_s is None else round(lane.closed_s, 3),
        "closed_why": lane.closed_why or None,
    }


def _cost(shot: Snapshot, currency: str | None) -> dict[str, Any] | None:
    if not shot.count("jobs_priced"):
        return None

    return {
        "currency": currency,
        "charged": amount(shot.count("cost")),
        "refunded": amount(shot.count("cost_refunded")),
        "jobs_priced": shot.count("jobs_priced"),
    }


def _left(shot: Snapshot) -> dict[str, float | None] | None:
    if shot.eta_s is None:
        return None

    low, high = shot.eta_low_s, shot.eta_high_s
    return {
        "p10": None if low is None else round(low, 1),
        "p50": round(shot.eta_s, 1),
        "p90": None if high is None else round(high, 1),
    }


def _stop(shot: Snapshot) -> dict[str, Any] | None:
    stop = shot.stop
    if stop is None:
        return None

    return {"reason": stop.reason, "message": stop.message, "resume_at": iso(stop.resume_at)}
