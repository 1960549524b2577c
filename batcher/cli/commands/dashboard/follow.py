"""Following a run of another process for the dashboard, and playing one that is over.

Rule: it only reads: what the process at work leaves beside its journal, and for what is over the
files of the run. That takes seconds for a run of a million rows, so it is done in a thread, once.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from batcher.adapters.dashboard import Events, Shown
from batcher.adapters.logs_redaction import Redaction
from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.cli.commands.report import NAME as REPORT
from batcher.cli.commands.report import keys_to_hide
from batcher.cli.commands.status.command import look
from batcher.cli.commands.status.watching import seen
from batcher.cli.parts import lengths_of, parts_of
from batcher.cli.program import program
from batcher.core.stats import Snapshot
from batcher.report.closing import next_commands
from batcher.report.dashboard.board import HELLO, Board, replay_hello
from batcher.report.dashboard.replay import replay
from batcher.report.dashboard.tape import record_tape
from batcher.report.money import currency_of
from batcher.report.page.about import limit
from batcher.report.page.facts import Facts
from batcher.report.page.gather import gather
from batcher.report.page.page import page, policy
from batcher.report.page.source import Source, source_of
from batcher.report.summary import Summary

EVERY_S: Final = 1.0


class Follower:
    """Tells viewers of a run of another process: live while one works on it, else as a replay."""

    def __init__(self, directory: RunDirectory) -> None:
        self.events = Events(self._hello)
        self._directory = directory
        self._currency = currency_of(read_run_file(directory.run_file)[0])
        self._board: Board | None = None  # None: nobody works on the run
        self._replay: bytes | None = None
        self._reading = anyio.Lock()  # the files are read by one viewer's wish at a time

    async def follow(self) -> None:
        """Look again and again, until cancelled. Raises `BatcherError` if it cannot be read."""
        while True:
            await anyio.sleep(EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Look once, and tell what is to be seen. Raises `BatcherError`."""
        summary, shot = await anyio.to_thread.run_sync(self._look)
        if shot is not None:
            self._show(shot)
        elif self._board is not None:
            board, self._board, self._replay = self._board, None, None
            board.end(summary, self._commands(summary))

    async def report(self) -> Shown:
        """Return the report of the run, as it stands."""
        async with self._reading:
            body = await anyio.to_thread.run_sync(self._make_report)

        return Shown("text/html; charset=utf-8", body, policy())

    def _show(self, shot: Snapshot) -> None:
        if self._board is not None:
            self._board.show(shot)
            return

        self._board = Board(self.events.send, self._currency, REPORT)
        self._board.show(shot)
        self.events.send(HELLO, self._board.hello())  # who watches a replay sees it go on

    async def _hello(self) -> bytes:
        if self._board is not None:
            return self._board.hello()

        async with self._reading:
            if self._replay is None:
                self._replay = await anyio.to_thread.run_sync(self._make_replay)

            return self._replay

    def _look(self) -> tuple[Summary, Snapshot | None]:
        summary = look(self._directory)
        if summary.state != "running":
            return summary, None

        return summary, seen(self._directory, summary, time.time())

    def _make_replay(self) -> bytes:
        source, summary = self._source(), look(self._directory)
        parts = [part for part in parts_of(self._directory) if part.journal.exists()]
        tape = record_tape(
            self._directory.path,
            lengths_of(self._directory),
            [part.journal for part in parts],
            [part.log for part in parts],
            source.tell,
        )
        frames = replay(tape, summary, limit(source), source.settings.in_flight)
        return replay_hello(frames, tape.examples, summary, self._commands(summary), REPORT)

    def _make_report(self) -> bytes:
        return page(_alone(gather(self._source(), look(self._directory))))

    def _source(self) -> Source:
        path, hide = self._directory.path / REPORT, Redaction(keys_to_hide()).text
        return source_of(self._directory, path, now=time.time(), program=program(), hide=hide)

    def _commands(self, summary: Summary) -> list[str]:
        return next_commands(summary, Path(self._directory.path), program())


def _alone(facts: Facts) -> Facts:
    """Return the facts for a page that is not beside the files of the run, without links there."""
    shown = tuple(replace(picture, href=None) for picture in facts.pictures.shown)
    return replace(
        facts,
        about=replace(facts.about, links=()),
        pictures=replace(facts.pictures, shown=shown),
    )
