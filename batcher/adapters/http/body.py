"""The body of a request: bytes, or frames and files in turns, streamed.

Rule: files are opened, and the whole length is known, before the first byte leaves. So a file that
cannot be sent is `NotSent`; one that changes later is `Lost`, and never looks complete, for the
length was promised. A large file is never read whole, nor on the event loop's thread.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import FileIO
from typing import Self

import aiohttp
import anyio.to_thread
from aiohttp.abc import AbstractStreamWriter

from batcher.core.errors import Lost, NotSent
from batcher.core.exchange import Request
from batcher.core.multipart import frames

FILE_CHUNK_BYTES = 262_144  # a trip to a thread for each: 256 KiB makes it worth its 40 µs
SMALL_BYTES = 65_536  # a body that is built whole


class Body:
    """What a request sends. Use as a context manager: it closes the files that are streamed."""

    def __init__(
        self, payload: bytes | _Stream | None = None, content_type: str | None = None
    ) -> None:
        self.payload = payload
        self.headers = {} if content_type is None else {"Content-Type": content_type}

    @classmethod
    async def of(cls, request: Request) -> Body:
        """Open what *request* names; raise `NotSent` if a file cannot be sent as it is."""
        if request.json is not None:
            return cls(request.json, "application/json")

        if not request.form and not request.files:
            return cls()

        boundary = secrets.token_hex(16)
        content_type = f"multipart/form-data; boundary={boundary}"
        around = frames(request.form, request.files, boundary)
        if not request.files:
            return cls(around[0], content_type)

        paths = [part.path for part in request.files]
        return cls(await anyio.to_thread.run_sync(_payload, around, paths), content_type)

    @property
    def problem(self) -> Lost | None:
        """What went wrong with a file after the first byte."""
        return self.payload.problem if isinstance(self.payload, _Stream) else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        if isinstance(self.payload, _Stream):
            self.payload.close_files()


@dataclass(frozen=True, slots=True)
class _OpenFile:
    path: str
    content: FileIO
    size_bytes: int

    def read(self, offset: int) -> bytes:
        """Return the next bytes. A cut file is an error: the length is promised already."""
        # pread: a thread may outlive its cancelled request, and the number may belong to a socket
        # by then. It takes nothing out of that.
        wanted = min(FILE_CHUNK_BYTES, self.size_bytes - offset)
        chunk = os.pread(self.content.fileno(), wanted, offset)
        if not chunk:
            raise OSError(errno.EIO, "it became shorter while it was sent")

        return chunk


class _Stream(aiohttp.Payload):
    """Frames and files in turns, read in a worker thread and never whole."""

    _autoclose = True  # the files are closed by `Body`

    def __init__(self, around: Sequence[bytes], files: Sequence[_OpenFile]) -> None:
        super().__init__(None)
        self._around = around
        self._files = files
        self._length = sum(map(len, around)) + sum(file.size_bytes for file in files)
        self.problem: Lost | None = None

    @property
    def size(self) -> int:
        """The length of the body in bytes."""
        return self._length

    def read(self) -> bytes:
        """Return the whole body; raise `NotSent` if a file has changed since it was opened."""
        pieces = [self._around[0]]
        for file, frame in zip(self._files, self._around[1:], strict=True):
            content = file.content.read(file.size_bytes + 1)
            if len(content) != file.size_bytes:
                raise NotSent(f"file {file.path!r} changes while it is read")

            pieces += (content, frame)

        return b"".join(pieces)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the body. Called by aiohttp, in a task of its own."""
        await writer.write(self._around[0])
        for file, frame in zip(self._files, self._around[1:], strict=True):
            offset = 0
            while offset < file.size_bytes:
                chunk = await self._read_file(file, offset)
                offset += len(chunk)
                await writer.write(chunk)

            await writer.write(frame)

    async def _read_file(self, file: _OpenFile, offset: int) -> bytes:
        try:
            return await anyio.to_thread.run_sync(file.read, offset)
        except OSError as error:
            self.problem = Lost(f"file {file.path!r}: {error.strerror}")
            raise

    def close_files(self) -> None:
        """Close the files. Nothing is sent after that."""
        for file in self._files:
            file.content.close()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Refuse: aiohttp asks for this method, and never calls it for a request."""
        raise TypeError("a stream of files is not a text")


def _payload(around: Sequence[bytes], paths: Iterable[str]) -> bytes | _Stream:
    """Open the files and return what to send: the bytes themselves if they are few."""
    stream = _Stream(around, _open_files(paths))
    if stream.size > SMALL_BYTES:
        return stream

    try:
        return stream.read()
    finally:
        stream.close_files()


def _open_files(paths: Iterable[str]) -> list[_OpenFile]:
    files: list[_OpenFile] = []
    for path in paths:
        try:
            files.append(_open_file(path))
        except (OSError, ValueError) as error:
            for file in files:
                file.content.close()

            raise NotSent(f"file {path!r}: {getattr(error, 'strerror', error)}") from error

    return files


def _open_file(path: str) -> _OpenFile:
    # Not blocking: opening a pipe that nobody writes to would wait for ever.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is not a regular file")

    return _OpenFile(path, FileIO(number), status.st_size)
