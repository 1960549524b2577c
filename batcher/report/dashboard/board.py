"""What the viewers of one run are told: everything so far to who comes, then frame by frame.

Rule: it is a view like any other, so it is shown snapshots and asks for nothing; it tells them on
as they come, in one small event each. Who carries the events is not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from batcher.core.stats import Snapshot
from batcher.report.dashboard.frames import VERSION, Frame, Past, end_of, frame_of
from batcher.report.summary import Summary

REPLAY_S: Final = 30.0
HELLO, FRAME, END = "hello", "frame", "end"  # the kinds of events


class Board:
    """A run that goes on. *send* takes the kind of an event and its data. `View` is the port.

    *report* is the address of the report, seen from the page, if it can be had there.
    """

    def __init__(
        self,
        send: Callable[[str, bytes], None],
        currency: str | None = None,
        report: str | None = None,
    ) -> None:
        self._send = send
        self._currency = currency
        self._report = report
        self._past = Past()
        self._frame: Frame | None = None

    def show(self, shot: Snapshot) -> None:
        """Tell how the run stands."""
        self._frame = frame_of(shot, self._currency)
        self._past.add(self._frame)
        self._send(FRAME, orjson.dumps(self._frame))

    def say(self, text: str, *, is_urgent: bool = False) -> None:
        """Do nothing: notices are for who sits at the terminal."""

    def close(self) -> None:
        """Do nothing: every event is complete."""

    def end(self, summary: Summary, commands: Sequence[str]) -> None:
        """Tell that nobody works on the run any more, and what to type next."""
        self._send(END, orjson.dumps({"end": end_of(summary, commands), "frame": self._frame}))

    def hello(self) -> bytes:
        """Return everything so far."""
        told = {"past": self._past.points, "frame": self._frame}
        return orjson.dumps({"v": VERSION, "mode": "live", "report": self._report, **told})


def replay_hello(
    frames: Sequence[Frame],
    examples: Mapping[str, Any],
    summary: Summary,
    commands: Sequence[str],
    report: str | None = None,
) -> bytes:
    """Return a whole run that can be played."""
    return orjson.dumps(
        {
            "v": VERSION,
            "mode": "replay",
            "seconds": REPLAY_S,
            "report": report,
            "frames": frames,
            "examples": examples,
            "end": end_of(summary, commands),
        }
    )
