"""Which view a run gets: painted, plain lines, or none.

Rule: a view is talk, so it goes to standard error; only events (`--json`) go to standard output.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from batcher.cli.failure import say
from batcher.report.views import LineView, NoView, View


@dataclass(frozen=True, slots=True)
class Screen:
    """How much a person wants to see, and in which form."""

    quiet: bool = False
    json: bool = False
    log_level: str = "info"

    def open_view(self, title: str) -> View:
        """Return the view of one run."""
        if self.quiet or self.json:
            return NoView(say, is_silent=self.quiet)

        return _live_view(title) if can_paint() else LineView(say)

    def tell(self, lines: list[str], exit_code: int) -> None:
        """Write the closing lines, unless all is well and nobody wants to hear it."""
        if self.quiet and exit_code == 0:
            return

        for line in lines:
            _write(line)


def can_paint() -> bool:
    """Whether standard error is a terminal on which lines can be painted over."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def _live_view(title: str) -> View:
    from rich.console import Console

    from batcher.report.live import LiveView

    return LiveView(Console(stderr=True, highlight=False, markup=False), title)


def _write(line: str) -> None:
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except OSError:  # nobody is there any more to read it
        return
