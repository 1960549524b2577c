"""Who watches a run while it goes on: nobody, a log of plain lines, or a person at a screen.

Rule: a view is shown snapshots about once a second and never asks for one. The live view stands in
`live.py`, because it needs a library that the others do not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from batcher.core.stats import Snapshot
from batcher.report.lines import progress_line

LINE_EVERY_S = 30.0


class View(Protocol):
    """What is shown of a run while it goes on."""

    def show(self, shot: Snapshot) -> None:
        """Take note of how the run stands."""
        ...

    def say(self, text: str) -> None:
        """Tell one line that must not get lost."""
        ...

    def close(self) -> None:
        """Leave the screen as it should stay. Idempotent."""
        ...


class LineView:
    """A plain line at the start and every half minute."""

    def __init__(self, write: Callable[[str], None], every_s: float = LINE_EVERY_S) -> None:
        self._write = write
        self._every_s = every_s
        self._told_at: float | None = None

    def show(self, shot: Snapshot) -> None:
        """Write a line if the last one is old."""
        if self._told_at is not None and shot.elapsed_s < self._told_at + self._every_s:
            return

        self._told_at = shot.elapsed_s
        self._write(progress_line(shot))

    def say(self, text: str) -> None:
        """Write *text* at once."""
        self._write(text)

    def close(self) -> None:
        """Do nothing: every line is complete."""


class NoView:
    """Shows nothing; what must be told is still told unless *is_silent*."""

    def __init__(self, write: Callable[[str], None], *, is_silent: bool = False) -> None:
        self._write = write
        self._is_silent = is_silent

    def show(self, shot: Snapshot) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Write *text* unless nothing at all is wanted."""
        if not self._is_silent:
            self._write(text)

    def close(self) -> None:
        """Do nothing."""
