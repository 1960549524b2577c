"""Which view a run gets: painted, plain lines, JSON lines, or none.

Rule: a view is talk, so it goes to standard error; only events (`--json`) go to standard output.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Literal

from batcher.cli.failure import say
from batcher.report.progress import end_json
from batcher.report.views import JsonView, LineView, NoView, View

Progress = Literal["auto", "bar", "plain", "json", "none"]
PROGRESS: tuple[Progress, ...] = ("auto", "bar", "plain", "json", "none")


@dataclass(frozen=True, slots=True)
class Screen:
    """How much a person wants to see, and in which form."""

    quiet: bool = False
    json: bool = False
    log_level: str = "info"
    progress: Progress = "auto"

    @property
    def form(self) -> Progress:
        """What the run is shown as; `auto` and a `bar` that cannot be painted are decided here."""
        if self.quiet or (self.progress == "auto" and self.json):
            return "none"

        if self.progress in ("auto", "bar"):
            return "bar" if can_paint() else "plain"

        return self.progress

    def open_view(self, title: str, currency: str | None = None) -> View:
        """Return the view of one run, whose money is in *currency*."""
        match self.form:
            case "bar":
                return live_view(title, currency)
            case "json":
                return JsonView(_write_bytes, currency)
            case "none":
                return NoView(say, is_silent=self.quiet)
            case _:
                return LineView(say, currency)

    def tell(self, lines: list[str], exit_code: int, *, needs_person: bool = False) -> None:
        """Write the closing lines, unless all is well and nobody wants to hear it."""
        if self.quiet and exit_code == 0 and not needs_person:
            return

        if self.form == "json":
            _write_bytes(end_json(exit_code, lines))
            return

        for line in lines:
            _write(line)


def can_paint(*, on_stdout: bool = False) -> bool:
    """Whether standard error (or output) is a terminal on which lines can be painted over."""
    stream = sys.stdout if on_stdout else sys.stderr
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def live_view(title: str, currency: str | None = None, *, on_stdout: bool = False) -> View:
    """Return the painted view."""
    from rich.console import Console

    from batcher.report.live import LiveView

    console = Console(stderr=not on_stdout, highlight=False, markup=False)
    return LiveView(console, title, currency)


def _write_bytes(line: bytes) -> None:
    _write(line.decode())


def _write(line: str) -> None:
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except OSError:  # nobody is there any more to read it
        return
