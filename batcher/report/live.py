"""The screen of a run for a person at a terminal: one frame, painted over itself once a second.

Rule: a frame is one write over the last one, line by line, so that it does not flicker. It uses
four control sequences: cursor up, erase the line, erase below, and no wrapping while a frame is
written: a glyph that is wider than anybody thought costs the end of its line and tears nothing. The
last frame stays.

When the terminal becomes narrower, the frame on the screen is given up where it stands and a new
one begins below it: what a terminal makes of lines that it has just reflowed cannot be known, so
painting over them would tear. That is why this is not `rich.live`. What a frame holds stands in
`frame.py`.
"""

from __future__ import annotations

import io

from rich.console import Console

from batcher.core.stats import Snapshot
from batcher.report.frame import Sight, frame
from batcher.report.text import plain

UP = "\x1b[{}A\r"
ERASE_LINE, ERASE_BELOW = "\x1b[K", "\x1b[J"
WRAP_OFF, WRAP_ON = "\x1b[?7l", "\x1b[?7h"
LINE_CHARS_MAX = 1_000
# For a terminal whose encoding has no others.
PLAIN_GLYPHS = str.maketrans({"━": "=", "─": "-", "…": "~", "·": "-"})


class LiveView:
    """The painted view."""

    def __init__(self, console: Console, title: str, currency: str | None = None) -> None:
        self._console = console
        self._is_gone = False
        self._sight = Sight(title, currency)
        self._lines: list[str] = []  # the frame on the screen
        self._width = 0

    def show(self, shot: Snapshot) -> None:
        """Paint one frame over the last one."""
        if self._is_gone:
            return

        width, height = self._console.size
        up = self._up() if width >= self._width else ""
        self._width = width
        # A frame that is taller than the screen could not be found again from below.
        self._lines = self._painted(shot, width, max(1, height - 1)).splitlines()
        self._write(up, [])

    def say(self, text: str, *, is_urgent: bool = False) -> None:
        """Write one line above the frame."""
        self._write(self._up(), [plain(text, LINE_CHARS_MAX)])

    def close(self) -> None:
        """Leave the last frame on the screen. Idempotent."""
        self._lines = []

    def _painted(self, shot: Snapshot, width: int, height: int) -> str:
        """Return a frame as text. Painted in memory: the terminal may be gone at any moment."""
        canvas = Console(
            file=io.StringIO(),
            force_terminal=True,
            color_system=self._console.color_system,  # type: ignore[arg-type]  # rich's own words
            no_color=self._console.no_color,
            highlight=False,
            width=width,
            height=height,
            legacy_windows=False,
        )
        for line in frame(shot, self._sight, width, height):
            canvas.print(line, no_wrap=True, overflow="ignore", crop=False)

        text: str = canvas.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above
        return text

    def _up(self) -> str:
        return UP.format(len(self._lines)) if self._lines else ""

    def _write(self, up: str, above: list[str]) -> None:
        """Write the frame, and what stands above it from now on, over the last frame."""
        text = up
        if above:  # it may wrap, onto lines of the frame
            text += ERASE_BELOW + "".join(f"{line}\n" for line in above)

        if self._lines:
            lines = "".join(f"{ERASE_LINE}{line}\n" for line in self._lines)
            text += f"{WRAP_OFF}{lines}{ERASE_BELOW}{WRAP_ON}"

        file = self._console.file
        encoding = getattr(file, "encoding", None) or "utf-8"
        if not encoding.lower().startswith("utf"):
            text = text.translate(PLAIN_GLYPHS).encode(encoding, "replace").decode(encoding)

        try:
            file.write(text)
            file.flush()
        except (OSError, ValueError):  # the terminal has gone; the run goes on
            self._is_gone = True
