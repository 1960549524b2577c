"""Running a manifest, or rows, from a program: whole, or outcome by outcome."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from typing import Self

import anyio
import anyio.to_thread

from batcher.adapters.rundir import OUTCOME_NAMES
from batcher.api.background import Background
from batcher.api.following import Following
from batcher.api.job import Manifest, job_of
from batcher.api.outcome import Outcome, decoded
from batcher.core.stats import Snapshot
from batcher.report.summary import Summary

LOOK_S = 0.2  # between two looks at what was committed
BATCH = 500  # outcomes that are handed over at a time

# A row in doubt may still come out of it while the run goes on: these come last.
IN_DOUBT = "in_doubt.jsonl"
FINAL = tuple(name for name in OUTCOME_NAMES if name != IN_DOUBT)

Outcomes = Generator[Outcome, None, None]


def run_sync(
    manifest: Manifest,
    *,
    provider: str,
    on_progress: Callable[[Snapshot], None] | None = None,
    **flags: object,
) -> Summary:
    """Bring a manifest to its end and return the summary; the same call again goes on.

    *manifest* is what `batcher run` takes, or rows: mappings, which are written to `rows.jsonl` in
    the run directory first. *flags* are those of `batcher run`, by name (`in_flight=500`,
    `rate="300/m"`, `download=True`, `set={"mode": "clipping"}`). The API key comes from the
    environment or `api_key_file`. *on_progress* is called about once a second, in the run's thread.

    Works where an event loop is running, as in a notebook, and blocks. A run that stops early says
    why in `Summary.stopped`. Raises `UsageError`, `RunBusy` and `StorageError` (`batcher.errors`).
    """
    with Background(job_of(manifest, provider, flags), on_progress) as background:
        return background.summary()


async def run(
    manifest: Manifest,
    *,
    provider: str,
    on_progress: Callable[[Snapshot], None] | None = None,
    **flags: object,
) -> Summary:
    """Do what `run_sync` does without holding up the event loop; cancelled, the run is ended."""
    background = Background(job_of(manifest, provider, flags), on_progress)
    background.start()
    try:
        await anyio.to_thread.run_sync(background.wait, abandon_on_cancel=True)
    finally:
        await _left(background)

    return background.summary()


def stream_sync(manifest: Manifest, *, provider: str, **flags: object) -> Outcomes:
    """Run a manifest and yield each row's outcome as soon as it is durable.

    Outcomes of earlier calls for the same run directory come first, and rows in doubt last. Who
    stops early ends the run, which can be taken up again. Takes and raises what `run_sync` does.
    """
    with Background(job_of(manifest, provider, flags)) as background:
        for batch in _batches(background):
            yield from batch


def stream(manifest: Manifest, *, provider: str, **flags: object) -> Stream:
    """Do what `stream_sync` does without holding up the event loop: use it in `async for`.

    Who leaves the loop early ends the run, soon; with `async with` it is over when the block is.
    """
    return Stream(Background(job_of(manifest, provider, flags)))


class Stream:
    """The outcomes of a run, as they come.

    Waiting for the next one may be cancelled, as by a timeout: nothing is lost by it.
    """

    def __init__(self, background: Background) -> None:
        self._background = background
        self._tail = _Tail(background)
        self._began = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        if not self._began:
            self._began = True
            self._background.start()

        tail = self._tail
        while not tail.ready:
            if tail.is_over:
                self._background.summary()
                raise StopAsyncIteration

            await anyio.sleep(max(0.0, tail.look_at - time.monotonic()))
            await anyio.to_thread.run_sync(tail.look, abandon_on_cancel=True)

        return tail.ready.popleft()

    async def aclose(self) -> None:
        """End the run if it still goes on, and wait for it."""
        if self._began:
            await _left(self._background)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_failure: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._background.ask_to_leave()


class _Tail:
    """What was not handed over yet. No part of the stream, which must go when its reader does.

    A thread whose caller was cancelled goes on with its look, so they take turns.
    """

    def __init__(self, background: Background) -> None:
        self.ready: deque[Outcome] = deque()
        self.look_at = 0.0  # not before that: each look opens the journal
        self.is_over = False  # and everything was handed over
        self._background = background
        self._following = Following(background.directory)
        self._turn = threading.Lock()

    def look(self) -> None:
        """Take over what was committed since; for a worker thread."""
        with self._turn:
            if self.ready or self.is_over:
                return

            is_over = self._background.wait(0.0)
            batch = _batch(self._background, self._following, is_over=is_over)
            self.ready += batch
            self.is_over = is_over and not batch
            if len(batch) < BATCH and not is_over:
                self.look_at = time.monotonic() + LOOK_S


def _batches(background: Background) -> Iterator[list[Outcome]]:
    """Yield what is committed, as it comes; raise what ended the run."""
    following, is_over = Following(background.directory), False
    while not is_over:
        is_over = background.wait(LOOK_S)
        while batch := _batch(background, following, is_over=is_over):
            yield batch

    background.summary()


def _batch(background: Background, following: Following, *, is_over: bool) -> list[Outcome]:
    """Return some of what is committed and was not handed over yet."""
    names = OUTCOME_NAMES if is_over else FINAL
    lines = following.lines(names) if background.has_journal else iter(())
    return [decoded(line) for line in islice(lines, BATCH)]


async def _left(background: Background) -> None:
    """End the run if it still goes on, and wait for it, whatever happens here."""
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(background.leave)
