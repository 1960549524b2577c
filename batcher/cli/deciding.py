"""Owning a run while a person's decision is written, whichever parts the run has.

Rule: the run's own lock is taken first, then that of each part; nobody resumes a part meanwhile.
Jobs that were rescued have their rows first: nobody decides without what is known. When it is
over, the summary and the merged files of the run say what its journals say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from batcher.adapters.outcomes import OutcomeFiles
from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.cli.failure import say
from batcher.cli.parts import shards_of
from batcher.core.errors import UsageError
from batcher.core.journal import Journal
from batcher.core.lifecycle import State
from batcher.core.settings import Frozen
from batcher.report.money import currency_of
from batcher.report.summary import SummaryFile


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a run, with its books open."""

    directory: RunDirectory
    journal: Journal
    outcomes: OutcomeFiles


@contextmanager
def deciding(directory: RunDirectory) -> Iterator[list[Part]]:
    """Own a run and open the books of all its parts; bring its summary up to date at the end."""
    frozen, _ = read_run_file(directory.run_file)
    with directory.lock(time.time()):
        yield from _decided(directory, frozen)


def _decided(directory: RunDirectory, frozen: Frozen) -> Iterator[list[Part]]:
    with ExitStack() as stack:
        parts = [
            stack.enter_context(_opened(part, frozen, is_locked=part.path == directory.path))
            for part in begun_parts(directory, frozen)
        ]
        try:
            yield parts
        finally:
            counters = sums(part.journal.counters() for part in parts)
            SummaryFile(directory.path, currency_of(frozen)).decided(counters)

    if frozen.shards is not None and frozen.shard is None:
        from batcher.cli.workers.books import merge

        merge(directory, frozen.shards)


def begun_parts(directory: RunDirectory, frozen: Frozen) -> list[RunDirectory]:
    """Return the parts in which there is something to decide, or may be."""
    if frozen.shards is None or frozen.shard is not None:
        return [directory]

    return shards_of(directory, frozen.shards)


@contextmanager
def _opened(part: RunDirectory, frozen: Frozen, *, is_locked: bool) -> Iterator[Part]:
    from batcher.adapters.rescue import RescueFile
    from batcher.engine.books.opening import open_books
    from batcher.engine.books.rescue import take_over

    with ExitStack() as stack:
        if not is_locked:
            stack.enter_context(part.lock(time.time()))

        journal, outcomes = stack.enter_context(open_books(part, frozen.provider))
        for _, text in take_over(journal, outcomes, RescueFile(part.rescue), at=time.time()):
            say(text)

        yield Part(part, journal, outcomes)
        if not is_locked:
            SummaryFile(part.path, currency_of(frozen)).decided(journal.counters())


def sums(counters: Iterator[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums of the counters of all parts."""
    from batcher.report.merging import merged_counters

    return merged_counters(counters)


def by_part(parts: Sequence[Part], row_ids: Sequence[str] | None) -> list[tuple[Part, list[str]]]:
    """Return which part decides which rows; None = each decides all of its own.

    Those parts come first that will refuse: nothing is decided if one row cannot be.
    """
    if row_ids is None:
        return [(part, []) for part in parts]

    chosen: dict[int, list[str]] = {}
    refused: set[int] = set()
    for row_id in row_ids:
        index, is_in_doubt = _place(parts, row_id)
        chosen.setdefault(index, []).append(row_id)
        if not is_in_doubt:
            refused.add(index)

    return [(parts[n], chosen[n]) for n in sorted(chosen, key=lambda n: n not in refused)]


def _place(parts: Sequence[Part], row_id: str) -> tuple[int, bool]:
    """Return the part that has a row, and whether it is in doubt; the first where none has it.

    Raises `UsageError` where there is no part at all.
    """
    if not parts:
        raise UsageError(f"row {row_id!r}: the run has not begun, and has no rows yet")

    for index, part in enumerate(parts):
        held = part.journal.find(row_id)
        if held is not None:
            return index, held.state is State.IN_DOUBT

    return 0, False


def refuse_shared_job(parts: Sequence[Part], own: Part, job_id: str) -> None:
    """Raise `UsageError` if the job belongs to a row of another part: a job has one row."""
    for part in parts:
        if part is not own and _owner_of(part, job_id) is not None:
            raise UsageError(f"job {job_id} belongs to another row already; a job has one row")


def _owner_of(part: Part, job_id: str) -> int | None:
    from batcher.adapters.sqlite import SqliteJournal

    reader = SqliteJournal.read(part.directory.journal)
    try:
        return reader.owner(job_id)
    finally:
        reader.close()


Decision = Callable[[Part, list[str] | None], int]


def decide_all(parts: Sequence[Part], row_ids: Sequence[str] | None, decide: Decision) -> int:
    """Let each part decide its rows; return how many rows were decided."""
    everything = row_ids is None
    return sum(
        decide(part, None if everything else chosen) for part, chosen in by_part(parts, row_ids)
    )
