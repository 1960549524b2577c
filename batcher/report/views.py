"""Who watches a run while it goes on: nobody, a log of lines, a program, or a person at a screen.

Rule: a view is shown snapshots about once a second and never asks for one. The live view stands in
`live.py`, because it needs a library that the others do not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from batcher.core.stats import Snapshot
from batcher.report.lines import error_line, progress_line
from batcher.report.progress import notice_json, progress_json

LINE_EVERY_S = 30.0


class View(Protocol):
    """What is shown of a run while it goes on."""

    def show(self, shot: Snapshot) -> None:
        """Take note of how the run stands."""
        ...

    def say(self, text: str, *, is_urgent: bool = False) -> None:
        """Tell one line that must not get lost; an urgent one also where no words are wanted."""
        ...

    def close(self) -> None:
        """Leave the screen as it should stay. Idempotent."""
        ...


class LineView:
    """A plain line at the start and every half minute, and each new kind of error at once."""

    def __init__(
        self,
        write: Callable[[str], None],
        currency: str | None = None,
        every_s: float = LINE_EVERY_S,
    ) -> None:
        self._write = write
        self._currency = currency
        self._every_s = every_s
        self._told_at: float | None = None
        self._kinds: set[str] = set()

    def show(self, shot: Snapshot) -> None:
        """Write a line if the last one is old."""
        for kind in shot.errors.keys() - self._kinds:
            self._kinds.add(kind)
            self._write(error_line(kind, shot.errors[kind]))

        if self._told_at is not None and shot.elapsed_s < self._told_at + self._every_s:
            return

        self._told_at = shot.elapsed_s
        self._write(progress_line(shot, self._currency))

    def say(self, text: str, *, is_urgent: bool = False) -> None:
        """Write *text* at once."""
        self._write(text)

    def close(self) -> None:
        """Do nothing: every line is complete."""


class JsonView:
    """A JSON object a line for each snapshot, and for whatever is said."""

    def __init__(self, write: Callable[[bytes], None], currency: str | None = None) -> None:
        self._write = write
        self._currency = currency

    def show(self, shot: Snapshot) -> None:
        """Write how the run stands."""
        self._write(progress_json(shot, self._currency))

    def say(self, text: str, *, is_urgent: bool = False) -> None:
        """Write *text* as an object of its own."""
        self._write(notice_json(text, is_urgent=is_urgent))

    def close(self) -> None:
        """Do nothing: every line is complete."""


class NoView:
    """Shows nothing; what must be told is still told unless *is_silent*, and if it is urgent."""

    def __init__(self, write: Callable[[str], None], *, is_silent: bool = False) -> None:
        self._write = write
        self._is_silent = is_silent

    def show(self, shot: Snapshot) -> None:
        """Show nothing."""

    def say(self, text: str, *, is_urgent: bool = False) -> None:
        """Write *text* unless nothing at all is wanted."""
        if is_urgent or not self._is_silent:
            self._write(text)

    def close(self) -> None:
        """Do nothing."""
