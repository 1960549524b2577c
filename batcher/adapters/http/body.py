"""What a request sends: bytes, or frames and files in turns, streamed.

Rule: files are opened, and the whole length is known, before the first byte leaves. So a file that
cannot be sent, or is not of the size that was checked, is `NotSent`; one that changes later is
`Lost`, and never looks complete: the length was promised, and its last bytes are held back until
it is seen unchanged. A large file is never read whole, nor on the event loop's thread.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO

import anyio.to_thread
from aiohttp.abc import AbstractStreamWriter

from batcher.core.errors import Lost, NotSent
from batcher.core.exchange import FilePart, Request
from batcher.core.multipart import frames

FILE_CHUNK_BYTES = 262_144  # a trip to a thread for each: 256 KiB makes it worth its 40 µs
SMALL_BYTES = 65_536  # a body that is built whole


class Body:
    """What is sent after the head of a request: *content*, or else a stream."""

    __slots__ = ("content", "content_type", "size_bytes", "stream")

    def __init__(
        self, content: bytes, content_type: bytes, stream: FileStream | None = None
    ) -> None:
        self.content = content
        self.content_type = content_type
        self.stream = stream
        self.size_bytes = len(content) if stream is None else stream.size_bytes

    @property
    def problem(self) -> Lost | None:
        """What went wrong with a file after the first byte."""
        return None if self.stream is None else self.stream.problem

    def close(self) -> None:
        """Close the files. Nothing is sent after that."""
        if self.stream is not None:
            self.stream.close_files()


NOTHING = Body(b"", b"")


def plain_body(request: Request) -> Body:
    """Return what a request without files sends."""
    if request.json is not None:
        return Body(request.json, b"application/json")

    if not request.form:
        return NOTHING

    boundary = secrets.token_hex(16)
    return Body(frames(request.form, (), boundary)[0], _multipart(boundary))


async def body_with_files(request: Request) -> Body:
    """Open a request's files and return what it sends: the bytes themselves if they are few.

    Raises `NotSent` if a file cannot be sent as it is. A stream must be closed.
    """
    boundary = secrets.token_hex(16)
    around = frames(request.form, request.files, boundary)
    opened = await anyio.to_thread.run_sync(_opened, around, request.files)
    if isinstance(opened, bytes):
        return Body(opened, _multipart(boundary))

    return Body(b"", _multipart(boundary), opened)


def _multipart(boundary: str) -> bytes:
    return b"multipart/form-data; boundary=" + boundary.encode()


@dataclass(frozen=True, slots=True)
class _OpenFile:
    path: str
    content: FileIO
    size_bytes: int
    changed_ns: int  # when its content changed last, as it was opened

    def read(self, offset: int) -> bytes:
        """Return the next bytes. A changed file is an error: its length is promised already."""
        # pread: a thread may outlive its cancelled request, and the number may belong to a socket
        # by then. It takes nothing out of that.
        wanted = min(FILE_CHUNK_BYTES, self.size_bytes - offset)
        chunk = os.pread(self.content.fileno(), wanted, offset)
        if not chunk:
            raise OSError(errno.EIO, "it became shorter while it was sent")

        if offset + len(chunk) == self.size_bytes and self._has_changed():
            raise OSError(errno.EIO, "it was changed while it was sent")

        return chunk

    def read_whole(self) -> bytes:
        """Return the content; raise `NotSent` if it has changed since the file was opened."""
        content = self.content.read(self.size_bytes + 1)
        if len(content) != self.size_bytes or self._has_changed():
            raise NotSent(f"file {self.path!r}: it changes while it is read", local=True)

        return content

    def _has_changed(self) -> bool:
        now = os.fstat(self.content.fileno())
        return (now.st_size, now.st_mtime_ns) != (self.size_bytes, self.changed_ns)


class FileStream:
    """Frames and files in turns, read in a worker thread and never whole."""

    def __init__(self, around: Sequence[bytes], files: Sequence[_OpenFile]) -> None:
        self._around = around
        self._files = files
        self.size_bytes = sum(map(len, around)) + sum(file.size_bytes for file in files)
        self.problem: Lost | None = None  # what went wrong with a file after the first byte
        self.is_sent = False

    def read(self) -> bytes:
        """Return the whole body; raise `NotSent` if a file has changed since it was opened."""
        pieces = [self._around[0]]
        for file, frame in zip(self._files, self._around[1:], strict=True):
            pieces += (file.read_whole(), frame)

        return b"".join(pieces)

    async def send(self, writer: AbstractStreamWriter) -> None:
        """Send all of it; raise `OSError` if a file or the connection fails."""
        await writer.write(self._around[0])
        for file, frame in zip(self._files, self._around[1:], strict=True):
            offset = 0
            while offset < file.size_bytes:
                chunk = await self._read_file(file, offset)
                offset += len(chunk)
                await writer.write(chunk)

            await writer.write(frame)

        self.is_sent = True

    async def _read_file(self, file: _OpenFile, offset: int) -> bytes:
        try:
            return await anyio.to_thread.run_sync(file.read, offset, abandon_on_cancel=True)
        except OSError as error:
            self.problem = Lost(f"file {file.path!r}: {error.strerror}")
            raise

    def close_files(self) -> None:
        """Close the files. Nothing is sent after that."""
        for file in self._files:
            file.content.close()


def _opened(around: Sequence[bytes], parts: Sequence[FilePart]) -> bytes | FileStream:
    """Open the files and return what to send: the bytes themselves if they are few."""
    stream = FileStream(around, _open_files(parts))
    if stream.size_bytes > SMALL_BYTES:
        return stream

    try:
        return stream.read()
    finally:
        stream.close_files()


def _open_files(parts: Sequence[FilePart]) -> list[_OpenFile]:
    files: list[_OpenFile] = []
    try:
        for part in parts:
            files.append(_open_file(part))  # noqa: PERF401  what was opened is closed again
    except NotSent:
        for file in files:
            file.content.close()

        raise

    return files


def _open_file(part: FilePart) -> _OpenFile:
    try:
        # Not blocking: opening a pipe that nobody writes to would wait for ever.
        number = os.open(part.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise NotSent(f"file {part.path!r}: {reason}", local=True) from error

    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        os.close(number)
        raise NotSent(f"file {part.path!r}: it is not a regular file", local=True)

    if part.size_bytes not in (None, status.st_size):
        os.close(number)
        sizes = f"{part.size_bytes:,} bytes, now {status.st_size:,}"
        reason = f"it changed since it was checked ({sizes})"
        raise NotSent(f"file {part.path!r}: {reason}", local=True)

    return _OpenFile(part.path, FileIO(number), status.st_size, status.st_mtime_ns)
