"""The rows of a load test: those of a manifest, over and over, as many as jobs are to be made.

Rule: a row keeps its bytes, its id and the folder of its files; only when it comes again its id
gets a number, `sku-1~2`, so that it is a job of its own. A row that could not be sent is told
before anything is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import orjson

from batcher.adapters.atomic import replacing
from batcher.adapters.manifest import Manifest, open_manifest
from batcher.core.errors import StorageError, UsageError
from batcher.core.journal import Entry
from batcher.core.settings import ID_CHARS_MAX
from batcher.engine.rows import ProviderCheck
from batcher.providers import Provider

NAME = "load.jsonl"  # in the run directory: the manifest of the run
STDIN = "-"
VERSION = 1


def check_rows(source: str, provider: Provider, jobs: int) -> None:
    """Raise `UsageError` unless the first *jobs* rows can all be sent."""
    if source == STDIN:
        raise UsageError("-: standard input can be read only once; give bench a file")

    for _ in _good_rows(open_manifest(source), provider, jobs):
        pass


def write_rows(path: Path, source: str, provider: Provider, jobs: int) -> None:
    """Write the manifest of a load test. Raises `UsageError` and `StorageError`."""
    manifest, seen = open_manifest(source), Counter[str]()
    try:
        with replacing(path) as file:
            for entry in islice(_cycled(manifest, provider, jobs), jobs):
                seen[entry.id] += 1
                file.write(_line(entry, seen[entry.id]))
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


def _cycled(manifest: Manifest, provider: Provider, jobs: int) -> Iterator[Entry]:
    while True:
        yield from _good_rows(manifest, provider, jobs)


def _good_rows(manifest: Manifest, provider: Provider, jobs: int) -> Iterator[Entry]:
    """Yield the first rows of a manifest, each looked through as `check` does."""
    is_empty = True
    for entry in manifest.entries(ProviderCheck(provider), limit=jobs):
        if entry.problem is not None:
            where = f"{manifest.source}:{entry.line}"
            raise UsageError(f"{where}: {entry.problem.message}; a load test takes good rows only")

        is_empty = False
        yield entry

    if is_empty:
        raise UsageError(f"{manifest.source}: has no rows")


def _line(entry: Entry, turn: int) -> bytes:
    """Return a row as the record of a run that has not been: it keeps its id and its folder."""
    row_id = entry.id if turn == 1 else f"{entry.id}~{turn}"
    if len(row_id) > ID_CHARS_MAX:
        raise UsageError(f"row {entry.id[:80]!r}: its id is too long to be numbered")

    base = {} if entry.base is None else {"base": entry.base}
    head = {"v": VERSION, "id": row_id, "outcome": "to be sent"}
    return orjson.dumps({**head, **base, "row": orjson.Fragment(entry.body)}) + b"\n"
