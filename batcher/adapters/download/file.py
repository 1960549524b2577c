"""A downloaded file on its way to its name: written beside it, made durable, then named.

Rule: under its own name a file is whole and durable, always. It grows as a `.part`, is synced, and
gets its name by a hard link, which cannot overwrite: a file that is there already is reused if it
has the same content, and left alone otherwise. Everything is relative to the open folder and
follows no link, so nothing that stands in the folder can lead out of it.

All of this blocks: it is called in worker threads. A failing disk is a `StorageError`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from batcher.adapters.download.folder import Folders, Place
from batcher.core.errors import StorageError

HEAD_BYTES = 512  # kept, to see what the file is
NUMBERS_MAX = 100  # files of one name; more is a mistake

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # as file systems say it


class PartFile:
    """A file that is being written. `close` removes what was not finished."""

    def __init__(self, folders: Folders, place: Place) -> None:
        self.size_bytes = 0
        self.head = b""
        self._place = place
        self._stem = stem = place.stem
        # Marked with the exact stem: where the file system ignores case, `A` and `a` are written at
        # the same time all the same.
        self._part = f"{stem}~{hashlib.sha256(stem.encode()).hexdigest()[:8]}.part"
        self._digest = hashlib.sha256()
        with self._disk():
            self._where = folders.opened(place)
            self._file = self._new_part()

    @property
    def sha256(self) -> str:
        """The digest of what was written so far, in hex."""
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append *chunk*."""
        self._digest.update(chunk)
        self.size_bytes += len(chunk)
        if len(self.head) < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - len(self.head)]

        with self._disk():
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(self._file, rest) :]

    def read(self, offset: int, size: int) -> bytes:
        """Return *size* bytes from *offset* on, fewer at the end."""
        with self._disk():
            return os.pread(self._file, size, offset)

    def finish(self, ending: str) -> Path:
        """Make the file durable, give it its name, and return where it is."""
        with self._disk():
            os.fsync(self._file)
            name = self._named(ending)
            os.fsync(self._where)

        return self._place.path / name

    def close(self) -> None:
        """Remove what was not finished."""
        with contextlib.suppress(OSError):
            os.unlink(self._part, dir_fd=self._where)

        os.close(self._file)
        os.close(self._where)

    def _new_part(self) -> int:
        """Create the part, in place of what an earlier try may have left."""
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._part, dir_fd=self._where)

            return os.open(self._part, _NEW, 0o600, dir_fd=self._where)
        except OSError:
            os.close(self._where)
            raise

    def _named(self, ending: str) -> str:
        """Give the part the first name that is free, or that has the same content."""
        for number in range(1, NUMBERS_MAX):
            name = f"{self._stem}.{ending}" if number == 1 else f"{self._stem}-{number}.{ending}"
            try:
                self._link(name)
            except FileExistsError:
                if self._is_same(name):
                    return name
            else:
                return name

        raise FileExistsError(errno.EEXIST, f"{NUMBERS_MAX} files of this name", self._stem)

    def _link(self, name: str) -> None:
        try:
            os.link(
                self._part,
                name,
                src_dir_fd=self._where,
                dst_dir_fd=self._where,
                follow_symlinks=False,
            )
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise

            # A file system without hard links. Nobody else writes here: one process owns a run.
            with contextlib.suppress(FileNotFoundError):
                os.lstat(name, dir_fd=self._where)
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None

            os.rename(self._part, name, src_dir_fd=self._where, dst_dir_fd=self._where)

    def _is_same(self, name: str) -> bool:
        """Return whether the file *name* is a regular one with the content of ours."""
        try:
            other = os.open(name, _READ, dir_fd=self._where)
        except OSError:
            return False

        try:
            status = os.fstat(other)
            if not stat.S_ISREG(status.st_mode) or status.st_size != self.size_bytes:
                return False

            with os.fdopen(other, "rb", closefd=False) as file:  # of a directory it would raise
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        finally:
            os.close(other)

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(f"download folder {self._place.path}: {error.strerror}") from error
