"""Whether a write failed because this user may not have more room.

Rule: SQLite calls only ENOSPC a full disk. A quota (EDQUOT), and no room for the log's index, come
as I/O errors, like a disk that breaks. They are told apart by trying: a failed *write* is a matter
of room if, right after it, a file of our own beside the journal cannot grow for that reason. A sync
that failed is never taken for this: what it was to save may be lost.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from batcher.adapters.atomic import PRIVATE

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
WRITES: Final = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})
CHUNK: Final = bytes(1024**2)
CHUNKS: Final = 8  # as much as the journal's log holds before it is folded in


def lacks_room(failure: sqlite3.Error, path: Path) -> bool:
    """Return whether the write to the journal at *path* failed for lack of room."""
    code = getattr(failure, "sqlite_errorcode", None)
    return code in WRITES and not has_room(path.parent)


def has_room(folder: Path) -> bool:
    """Return whether a file in *folder* can grow; False only if it cannot for lack of room."""
    name = folder / ".room"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, PRIVATE)
        try:
            for _ in range(CHUNKS):
                rest = memoryview(CHUNK)
                while rest:  # what a short write leaves over is tried again, to learn why
                    rest = rest[os.write(fd, rest) :]
        finally:
            os.close(fd)
    except OSError as error:
        return error.errno not in NO_ROOM
    finally:
        with suppress(OSError):
            name.unlink()

    return True
