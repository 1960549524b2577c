"""The beginning of a run from the command line: its directory is owned, its `run.toml` written.

Rule: a run that is refused before it has a row leaves nothing behind. Rows are in the journal
before they are sent, so without a row nothing was sent, and nobody can have paid.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import differences, read_run_file, write_run_file
from batcher.cli.failure import leaf_of
from batcher.cli.night.flags import METRICS_NAME
from batcher.cli.parts import counters_of
from batcher.core.errors import BatcherError, UsageError
from batcher.core.settings import Frozen, Settings
from batcher.report.progress import NAME as PROGRESS


@contextmanager
def owned(directory: RunDirectory, beside: Collection[str] = ()) -> Iterator[None]:
    """Own a run directory, made if need be, inside the block; *beside*: files that it puts there.

    Raises `RunBusy` if another process has it.
    """
    made = [path for path in (directory.path, *directory.path.parents) if not path.exists()]
    directory.create()
    with directory.lock(time.time()):
        is_new = not directory.is_run
        try:
            yield
        except Exception as error:
            is_refused = isinstance(leaf_of(error), UsageError)
            if is_refused and is_new and not _has_rows(directory):
                directory.forget((PROGRESS, METRICS_NAME, *beside))
                _remove_empty(made)

            raise


def begin_or_resume(directory: RunDirectory, frozen: Frozen, settings: Settings) -> None:
    """Write `run.toml`; refuse a command that would make another run of an existing one."""
    refuse_another_run(directory, frozen)
    if not directory.is_run or read_run_file(directory.run_file) != (frozen, settings):
        write_run_file(directory.run_file, frozen, settings)


def refuse_another_run(directory: RunDirectory, frozen: Frozen) -> None:
    """Raise `UsageError` if the directory holds a run that *frozen* is not."""
    if directory.is_run:
        stored, _ = read_run_file(directory.run_file)
        found = differences(stored, frozen)
        if found:
            raise UsageError(
                f"{directory.path} holds another run; give this one its own --run-dir, or go on "
                f"with that one by `batcher resume`: {'; '.join(found)}"
            )


def _has_rows(directory: RunDirectory) -> bool:
    """Whether the run got as far as a row; also if that cannot be told."""
    if directory.shards.exists():
        return True

    try:
        return counters_of([directory]).get("rows", 0) > 0
    except BatcherError:
        return True


def _remove_empty(folders: Collection[Path]) -> None:
    """Remove folders, the innermost first, as far as nothing is in them."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()
