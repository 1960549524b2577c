"""The beginning of a run from the command line: its directory is owned, its `run.toml` written.

Rule: a run that is refused before it has a row leaves nothing behind. Rows are in the journal
before they are sent, so without a row nothing was sent, and nobody can have paid.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from batcher.adapters.merged import MARK
from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import differences, read_run_file, write_run_file
from batcher.cli.failure import leaf_of
from batcher.cli.night.flags import METRICS_NAME
from batcher.cli.parts import counters_of
from batcher.core.errors import BatcherError, UsageError
from batcher.core.settings import Frozen, Settings
from batcher.report.progress import NAME as PROGRESS


@contextmanager
def owned(
    directory: RunDirectory, beside: Collection[str] = (), download: str | None = None
) -> Iterator[None]:
    """Own a run directory, made if need be, inside the block; *beside*: files that it puts there.

    *download* is the folder that the run fetches into. Raises `RunBusy` if another process has it.
    """
    made = _missing(directory.path)
    made_for_files = [] if download is None else _missing(Path(download))
    directory.create()
    with directory.lock(time.time()):
        is_new = not directory.is_run
        try:
            yield
        except Exception as error:
            if is_new and _is_refusal(leaf_of(error)):
                _take_away(directory, (PROGRESS, METRICS_NAME, MARK, *beside), made_for_files)
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


def _is_refusal(error: BaseException) -> bool:
    """Whether it is a person's mistake, also one that a worker told."""
    return isinstance(error, BatcherError) and error.exit_code == UsageError.exit_code


def _take_away(
    directory: RunDirectory, beside: Collection[str], made_for_files: Collection[Path]
) -> None:
    """Take a new run away, unless it got as far as a row or somebody works on a part of it."""
    # What cannot be told stays.
    with contextlib.suppress(BatcherError, OSError), ExitStack() as locks:
        shards = directory.shards_there()
        for shard in shards:
            locks.enter_context(shard.lock(time.time()))

        parts = [directory, *shards]
        if any(part.rescue.exists() for part in parts) or counters_of(parts).get("rows", 0):
            return

        _remove_empty(made_for_files)
        directory.forget(beside)


def _missing(folder: Path) -> list[Path]:
    """Return those of a folder and the folders around it that are not there, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _remove_empty(folders: Collection[Path]) -> None:
    """Remove those folders, the innermost first, in which nothing is."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
