"""What a run shows to whoever looks on: its own screen, and another process.

Rule: what an API said is shown without secrets, here as in the log. Whatever fails here costs the
run nothing.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from batcher.adapters.logs_redaction import Redaction
from batcher.core.stats import ErrorView, Snapshot
from batcher.engine.running import Running
from batcher.report.progress import remove_progress, write_progress
from batcher.report.views import View

EVERY_S = 1.0


class Watcher:
    """Shows snapshots to a view, and says each of their notices once."""

    def __init__(self, view: View, redaction: Redaction) -> None:
        self._view = view
        self._redaction = redaction
        self._said = 0

    def show(self, shot: Snapshot) -> None:
        """Show a snapshot; an urgent notice is said even where no words are wanted."""
        for text, is_urgent in shot.notices[self._said :]:
            self._view.say(self._redaction.text(text), is_urgent=is_urgent)

        self._said = len(shot.notices)
        self._view.show(_redacted(shot, self._redaction))

    def show_last(self, shot: Snapshot) -> None:
        """Show how the run ended; a view that fails at it has failed before, which was logged."""
        with contextlib.suppress(Exception):
            self.show(shot)


async def show_beside(run: Running, folder: Path, redaction: Redaction) -> None:
    """Let `batcher status --watch` see what the screen of the run shows, until cancelled."""
    try:
        while True:
            shot = replace(_redacted(run.snapshot(), redaction), notices=())
            with contextlib.suppress(OSError):
                await anyio.to_thread.run_sync(write_progress, folder, msgspec.to_builtins(shot))

            await anyio.sleep(EVERY_S)
    finally:
        remove_progress(folder)


def _redacted(shot: Snapshot, redaction: Redaction) -> Snapshot:
    """Return a snapshot whose examples, the only words of an API in it, hold no secret."""
    errors = {
        kind: ErrorView(error.count, redaction.text(error.example))
        for kind, error in shot.errors.items()
    }
    return replace(shot, errors=errors)
