"""The outcome files: four files of whole lines, which hold what the journal says and no more.

Rule: lines are appended and synced first, and the journal commits their new length afterwards. So a
crash leaves at most lines that the journal does not know, behind its length, and `recover` cuts
them off. A sync that failed is never tried again: the kernel may have dropped the pages and would
call the next try a success ("Can Applications Recover from fsync Failures?", USENIX ATC 2020). What
takes lines out of a file writes it anew (`rebuild`), from nothing but the file and the journal, so
that it can be done again after a crash at any point.
"""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from batcher.adapters.atomic import PRIVATE, replacing, sync_directory
from batcher.core.errors import StorageError
from batcher.core.lifecycle import OUTCOMES, State

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})  # EFBIG is a limit on this file: no room helps


class DiskFull(StorageError):
    """There was no room. What was written of the call has been taken back; it may be repeated."""

    disk_full = True


def outcome_file(outcome: State) -> str:
    """Return the name of the file that holds an outcome's records: `succeeded.jsonl`."""
    return f"{outcome}.jsonl"


FILE_OF = {outcome: outcome_file(outcome) for outcome in OUTCOMES}
NAMES = tuple(FILE_OF.values())


class OutcomeFiles:
    """The four files, open for appending, known by their names: `"failed.jsonl"`.

    Owned by one thread at a time. After a failure other than `DiskFull` nothing more can be
    written; the next process recovers.
    """

    def __init__(
        self,
        directory: Path,
        *,
        sync: Callable[[int], None] = os.fsync,
        write: Callable[[int, memoryview], int] = os.write,
    ) -> None:
        """Open the files, and make those that are not there. Raises `StorageError`."""
        self.cut: dict[str, int] = {}  # bytes that `recover` took off each file
        self._directory = directory
        self._sync = sync
        self._write_some = write
        self._fds: dict[str, int] = {}
        self._lengths: dict[str, int | None] = {}
        self._before: dict[str, int] = {}  # the lengths that the last `append` began at
        self._failure: StorageError | None = None
        try:
            for name in NAMES:
                self._open(name)

            sync_directory(directory)
        except OSError as error:
            self.close()
            raise StorageError(f"{directory}: {error.strerror}") from error

    def beyond(self, committed: Mapping[str, int | None]) -> Iterator[dict[str, Any]]:
        """Yield the records behind the committed lengths: what `recover` will cut off.

        What a crash left half written, or as noise, is passed over.
        """
        for name in NAMES:
            length = committed.get(name, 0)
            if length is None:
                continue

            with (self._directory / name).open("rb") as file:
                file.seek(length)
                for line in file:
                    record = _loaded(line)
                    if isinstance(record, dict):
                        yield record

    def recover(self, committed: Mapping[str, int | None]) -> None:
        """Cut each file back to what the journal committed; a file it does not name, to nothing.

        None means that the file is to be rebuilt: it is left alone, and `rebuild` must come before
        any `append` to it. Raises `StorageError` for a file that is not what the journal says.
        """
        for name in NAMES:
            length = committed.get(name, 0)
            if length is not None:
                self._cut_back(name, length)

            self._lengths[name] = length

    def append(self, lines: Sequence[tuple[State, bytes]]) -> dict[str, int]:
        """Append *lines* durably and return the new length in bytes of every file touched.

        Raises `DiskFull` if there is no room, with nothing appended, and `StorageError` otherwise.
        """
        self._refuse_after_failure()
        texts: dict[str, list[bytes]] = defaultdict(list)
        for outcome, line in lines:
            texts[FILE_OF[outcome]] += (line, b"\n")

        self._before = {name: self._length(name) for name in texts}
        try:
            for name, parts in texts.items():
                self._write(name, b"".join(parts))
        except OSError as error:
            self.take_back()
            kind = DiskFull if error.errno in FULL else StorageError
            raise kind(f"{self._directory}: {error.strerror}") from error

        for name in texts:
            self._make_durable(name)

        return {name: self._length(name) for name in texts}

    def take_back(self) -> None:
        """Cut off what the last `append` added, because the journal did not commit it.

        Does nothing after a failure: the next process recovers. Raises `StorageError` if it fails.
        """
        if self._failure is not None:
            return

        for name, length in self._before.items():
            try:
                os.ftruncate(self._fds[name], length)
            except OSError as error:
                raise self._fail(name, error) from error

            self._lengths[name] = length

        self._before = {}

    def rebuild(self, name: str, keep: Callable[[dict[str, Any]], bool]) -> int:
        """Write a file anew with the records for which *keep* is true; return its new length.

        A torn last line is left out. Durable when it returns; until then the old file stands.
        Raises `DiskFull`, after which it must be repeated before the file can grow again, and
        `StorageError` otherwise.
        """
        self._refuse_after_failure()
        path = self._directory / name
        length = 0
        try:
            with path.open("rb") as old, replacing(path) as new:
                for number, line in enumerate(old, 1):
                    if line.endswith(b"\n") and keep(_record(line, path, number)):
                        length += new.write(line)

            os.close(self._fds.pop(name))
            self._open(name)
        except OSError as error:  # which of the two files has the name now is not certain
            if error.errno in FULL:
                self._lengths[name] = None
                raise DiskFull(f"{path}: {error.strerror}") from error

            raise self._fail(name, error) from error

        self._lengths[name] = length
        self._before.pop(name, None)
        return length

    def close(self) -> None:
        """Close the files. Idempotent."""
        while self._fds:
            os.close(self._fds.popitem()[1])

    def _open(self, name: str) -> None:
        path = self._directory / name
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fds[name] = os.open(path, flags, PRIVATE)

    def _cut_back(self, name: str, length: int) -> None:
        path, fd = self._directory / name, self._fds[name]
        try:
            found = os.fstat(fd).st_size
            if found < length:
                raise StorageError(
                    f"{path}: has {found:,} bytes, but the journal knows of {length:,}; it was"
                    " edited or cut. Put the original back"
                )

            if length and os.pread(fd, 1, length - 1) != b"\n":
                raise StorageError(
                    f"{path}: no line ends where the journal says; it was edited. Put the original"
                    " back"
                )

            if found > length:
                os.ftruncate(fd, length)
                self._sync(fd)
                self.cut[name] = found - length
        except OSError as error:
            raise self._fail(name, error) from error

    def _length(self, name: str) -> int:
        length = self._lengths.get(name)
        if length is None:
            raise StorageError(f"{name} must be recovered or rebuilt before it can grow")

        return length

    def _write(self, name: str, data: bytes) -> None:
        """Write all of *data*: what a short write leaves over is tried again, to learn why."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._write_some(self._fds[name], rest) :]

        self._lengths[name] = self._length(name) + len(data)

    def _make_durable(self, name: str) -> None:
        try:
            self._sync(self._fds[name])
        except OSError as error:
            raise self._fail(name, error) from error

    def _fail(self, name: str, error: OSError) -> StorageError:
        path = self._directory / name
        self._failure = StorageError(f"{path}: {error.strerror}; nothing more is written to it")
        return self._failure

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise StorageError(str(self._failure)) from self._failure


def _record(line: bytes, path: Path, number: int) -> dict[str, Any]:
    record = _loaded(line)
    if not isinstance(record, dict):
        raise StorageError(f"{path}: line {number} is no record; it was edited. Put it back")

    return record


def _loaded(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
