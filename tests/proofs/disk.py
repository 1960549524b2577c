"""A disk that remembers: SQLite writes through it, and any moment of it can be cut off.

Rule: what was synced is there after a power cut; what was not is there or not, sector by sector.
The journal's own code runs unchanged on it; SQLite itself is apsw's, because the standard library's
cannot be given a file system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import apsw

SECTOR_BYTES = 512


@dataclass(slots=True)
class Write:
    """Bytes that were written at an offset; a `size` is a truncation to it."""

    offset: int
    data: bytes
    size: int | None = None


@dataclass(slots=True)
class _Image:
    """One file: what is on the platter for certain, and what was written since."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Write] = field(default_factory=list)
    exists: bool = False  # its name is durable: it was synced once


@dataclass(slots=True)
class Disk:
    """What happened, in order. `fail` may raise in the place of an operation."""

    files: dict[str, _Image] = field(default_factory=dict)
    operations: int = 0
    watch: Callable[[], None] = lambda: None  # called before each operation: a place to cut
    fail: Callable[[str, str], None] = lambda _what, _name: None

    def wrote(self, name: str, offset: int, data: bytes) -> None:
        """Note a write."""
        self._begin("write", name)
        self._image(name).pending.append(Write(offset, data))

    def truncated(self, name: str, size: int) -> None:
        """Note a truncation."""
        self._begin("truncate", name)
        self._image(name).pending.append(Write(0, b"", size))

    def synced(self, name: str) -> None:
        """Note a sync: all that was written to this file is on the platter now."""
        self._begin("sync", name)
        image = self._image(name)
        for write in image.pending:
            _apply(image.synced, write)

        image.pending.clear()
        image.exists = True

    def deleted(self, name: str) -> None:
        """Note that a file was removed."""
        self._begin("delete", name)
        self.files.pop(name, None)

    def after_power_cut(self, rng: Random) -> dict[str, bytes]:
        """Return what a machine may find after the power went away now."""
        found = {}
        for name, image in self.files.items():
            if not image.exists and rng.random() < 0.5:
                continue

            content = bytearray(image.synced)
            style = rng.choice(("nothing", "everything", "sectors", "prefix"))
            for write in _survivors(image.pending, style, rng):
                _apply(content, write)

            found[name] = bytes(content)

        return found

    def _begin(self, what: str, name: str) -> None:
        self.watch()
        self.operations += 1
        self.fail(what, name)

    def _image(self, name: str) -> _Image:
        return self.files.setdefault(name, _Image())


def _survivors(pending: list[Write], style: str, rng: Random) -> Iterator[Write]:
    """Yield the parts of unsynced writes that reached the platter."""
    until = rng.randrange(len(pending) + 1) if style == "prefix" else len(pending)
    for write in pending[:until]:
        if style == "nothing":
            return

        if style != "sectors" or write.size is not None:
            if style != "sectors" or rng.random() < 0.5:
                yield write

            continue

        for at in range(0, len(write.data), SECTOR_BYTES):
            fate = rng.random()
            sector = write.data[at : at + SECTOR_BYTES]
            if fate < 0.5:
                yield Write(write.offset + at, sector)
            elif fate < 0.6:  # the file grew, but what stands there is not what was written
                yield Write(write.offset + at, rng.choice((bytes, rng.randbytes))(len(sector)))


def _apply(content: bytearray, write: Write) -> None:
    if write.size is not None:
        del content[write.size :]
        content.extend(bytes(write.size - len(content)))
        return

    content.extend(bytes(max(0, write.offset - len(content))))
    content[write.offset : write.offset + len(write.data)] = write.data


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, base: str, name: Any, flags: list[int]) -> None:
        super().__init__(base, name, flags)
        self._disk = disk
        self._name = Path(name if isinstance(name, str) else name.filename()).name

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  SQLite's name
        self._disk.wrote(self._name, offset, bytes(data))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.truncated(self._name, size)
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.synced(self._name)


class _Vfs(apsw.VFS):
    def __init__(self, name: str, disk: Disk) -> None:
        self._disk = disk
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802
        return _File(self._disk, "", name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self._disk.deleted(Path(filename).name)
        super().xDelete(filename, syncdir)


@contextmanager
def recording(disk: Disk) -> Iterator[str]:
    """Register *disk* as a file system of SQLite and give its name."""
    name = f"recording-{id(disk)}"
    vfs = _Vfs(name, disk)
    try:
        yield name
    finally:
        vfs.unregister()
