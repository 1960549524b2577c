"""The outcome files of a run of several workers: the lines of all shards, in four files.

Rule: what is here is a copy. Lines come in when a shard's journal has committed them, whole and in
the order of their shard, so each row has one record here as it has there. A file that no longer
fits its sources (a shard wrote its own anew, a process died in the middle, somebody edited it) is
made anew from them. Nothing is read back from it: it may be deleted at any time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import BinaryIO

from batcher.adapters.atomic import PRIVATE, replacing, sync_directory
from batcher.core.errors import StorageError
from batcher.core.lifecycle import OUTCOMES

NAMES = tuple(f"{outcome}.jsonl" for outcome in OUTCOMES)
MARK = ".merging"  # there while a process follows the shards, and after a crash
COPY_BYTES = 1_048_576
TRIES = 5  # at the end, when nobody writes to the shards any more

Lengths = Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Source:
    """One shard: its folder, and how to ask for the committed length of each of its files."""

    folder: Path
    committed: Callable[[], Lengths]


@dataclass(slots=True)
class _Copied:
    """What of one file has been copied, by shard; `births` tell a file from one written anew."""

    lengths: list[int] = field(default_factory=list)
    births: list[int] = field(default_factory=list)
    fits: bool = False


class MergedFiles:
    """The four files of the whole run. Blocks: for a worker thread; one thread at a time."""

    def __init__(self, folder: Path, sources: Sequence[Source]) -> None:
        self._folder = folder
        self._sources = sources
        self._copied = {name: _Copied() for name in NAMES}
        self._known = _Known()
        self._mark = folder / MARK

    def begin(self) -> None:
        """Take the files over from an earlier process, if it came to its end. Raises `OSError`."""
        if not self._mark.exists():
            committed = [source.committed() for source in self._sources]
            for name in NAMES:
                self._take_over(name, [lengths.get(name, 0) for lengths in committed])

        self._mark.touch(mode=PRIVATE)
        for name in NAMES:
            os.close(os.open(self._folder / name, _APPEND, PRIVATE))

        sync_directory(self._folder)

    def follow(self) -> bool:
        """Copy what was committed since; return whether all that is committed now is here.

        Not so while a shard writes a file of its own anew: the next call will find it done.
        Raises `OSError` and `StorageError`; then the next call mends what was left half done.
        """
        before = [source.committed() for source in self._sources]
        if any(length is None for lengths in before for length in lengths.values()):
            return False

        now = {name: [lengths.get(name) or 0 for lengths in before] for name in NAMES}
        for name in sorted(NAMES, key=lambda name: self._grows(name, now[name])):
            self._bring_up(name, now[name])  # what loses rows first: they may be in another by now

        after = [source.committed() for source in self._sources]
        return all([self._still_fits(name, after) for name in NAMES])  # noqa: C419 - judges all

    def end(self) -> None:
        """Make the files whole and durable: no worker is alive. Raises as `follow`."""
        if not any(self.follow() for _ in range(TRIES)):
            raise StorageError(f"{self._folder}: the outcome files of its shards are being written")

        for name in NAMES:
            fd = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

        sync_directory(self._folder)
        self._mark.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Release the shards' files. Idempotent; the next call takes them up again."""
        self._known.close()

    def _take_over(self, name: str, lengths: Sequence[int | None]) -> None:
        known = [length for length in lengths if length is not None]
        path = self._folder / name
        if len(known) == len(lengths) and path.exists() and path.stat().st_size == sum(known):
            self._copied[name] = _Copied(known, self._births(name), fits=True)

    def _births(self, name: str) -> list[int]:
        return [self._known.birth(source.folder / name) for source in self._sources]

    def _bring_up(self, name: str, lengths: list[int]) -> None:
        """Append what is new, or make the file anew if it cannot be appended to."""
        copied, births, path = self._copied[name], self._births(name), self._folder / name
        grows = self._grows(name, lengths)
        if grows and lengths == copied.lengths:
            return

        copied.fits = False  # until it is written whole
        if grows:
            with open(os.open(path, _APPEND, PRIVATE), "ab") as file:  # noqa: PTH123 - our flags
                self._copy(name, copied.lengths, lengths, file)
        else:
            with replacing(path) as file:
                self._copy(name, [0] * len(lengths), lengths, file)

        self._copied[name] = _Copied(lengths, births, fits=True)

    def _grows(self, name: str, lengths: list[int]) -> bool:
        """Whether what is here already is the beginning of what is committed now."""
        copied, path = self._copied[name], self._folder / name
        return (
            copied.fits
            and all(old <= new for old, new in zip(copied.lengths, lengths, strict=True))
            and all(
                old in (0, new) for old, new in zip(copied.births, self._births(name), strict=True)
            )
            and path.exists()
            and path.stat().st_size == sum(copied.lengths)
        )

    def _copy(self, name: str, starts: list[int], ends: list[int], file: BinaryIO) -> None:
        for source, start, end in zip(self._sources, starts, ends, strict=True):
            if end > start:
                with (source.folder / name).open("rb") as lines:
                    lines.seek(start)
                    _copy_bytes(lines, file, end - start)

    def _still_fits(self, name: str, after: Sequence[Lengths]) -> bool:
        """Whether no shard began to write its file anew while it was copied."""
        copied = self._copied[name]
        lengths = [lengths.get(name, 0) for lengths in after]
        copied.fits = self._births(name) == copied.births and all(
            length is not None and length >= old
            for length, old in zip(lengths, copied.lengths, strict=True)
        )
        return copied.fits and lengths == copied.lengths


_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class _Known:
    """Tells a file from another of its name.

    Each file is held open: else its inode may be given to the next but one that takes its place.
    """

    def __init__(self) -> None:
        self._held: dict[Path, tuple[int, int]] = {}  # a birth, and a descriptor
        self._births = count(1)

    def birth(self, path: Path) -> int:
        """Return a number that no other file of this name has had; 0 = it is not there yet."""
        try:
            inode = path.stat().st_ino
            birth, held = self._held.get(path, (0, -1))
            if birth and os.fstat(held).st_ino == inode:
                return birth

            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0

        if birth:
            os.close(held)

        birth = next(self._births)
        self._held[path] = birth, fd
        return birth

    def close(self) -> None:
        """Let all files go."""
        for _, fd in self._held.values():
            os.close(fd)

        self._held.clear()

    def __del__(self) -> None:
        self.close()


def _copy_bytes(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size:
        block = source.read(min(size, COPY_BYTES))
        if not block:
            raise StorageError(f"{source.name}: is shorter than its journal says; it was cut")

        target.write(block)
        size -= len(block)
