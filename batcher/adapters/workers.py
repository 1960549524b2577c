"""Worker processes of one run, and the line between each and the process that leads it.

Rule: the line is the worker's standard input, a socket with two ends. It ends with either process,
however that one died, so that nobody works unowned and nobody leads the dead. Messages are whole
lines. A worker is in a session of its own: what a terminal sends goes to the leader alone.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import anyio
import anyio.abc
from anyio.streams.text import TextReceiveStream

RECEIVE_BYTES = 65_536
LINE_BYTES_MAX = 1_048_576
STDIN = 0


class Channel:
    """One end of a line: `send` never waits, `lines` yields what comes until the other end goes."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._unsent = bytearray()
        self._is_open = True

    def send(self, line: bytes) -> None:
        """Send a line; what does not fit now goes with the next one. Nothing if nobody listens."""
        self._unsent += line
        with contextlib.suppress(BlockingIOError):
            self._flush()

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield each line that comes, until the other end goes."""
        rest = b""
        while data := await self._receive():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield line

            if len(rest) > LINE_BYTES_MAX:  # no message is so long: the other end went mad
                return

    def close(self) -> None:
        """Let the other end know that nobody is here. Idempotent."""
        self._is_open = False
        self._end.close()

    async def _receive(self) -> bytes:
        while self._is_open:
            try:
                return self._end.recv(RECEIVE_BYTES)
            except BlockingIOError:
                await anyio.wait_readable(self._end)
            except OSError:  # reset: it died with something unread
                return b""

        return b""

    def _flush(self) -> None:
        while self._unsent and self._is_open:
            try:
                sent = self._end.send(self._unsent)
            except BlockingIOError:
                raise
            except OSError:  # nobody is there any more; `lines` will say so
                self._unsent.clear()
                return

            del self._unsent[:sent]


def line_to_leader() -> Channel:
    """Return this worker's end of its line: to be called once."""
    return Channel(socket.socket(fileno=os.dup(STDIN)))


class WorkerProcess:
    """One worker at work."""

    def __init__(self, process: anyio.abc.Process, channel: Channel) -> None:
        self.pid = process.pid
        self.send = channel.send
        self._process = process
        self._channel = channel

    async def listen(self, hear: Callable[[bytes], None], told: Callable[[str], None]) -> int:
        """Pass on its messages and the lines of its standard error until it has ended.

        Return its exit code; a negative one is the signal that killed it.
        """
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._read_errors, told)
                async for line in self._channel.lines():
                    hear(line)

                code = await self._process.wait()
        finally:
            self._channel.close()

        return code

    async def _read_errors(self, told: Callable[[str], None]) -> None:
        """Read to the end, also after a worker's death: its last words are the ones that matter."""
        stream = self._process.stderr
        if stream is None:
            return

        rest = ""
        async for text in TextReceiveStream(stream, errors="replace"):
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                told(line)

        if rest:
            told(rest)


async def start_worker(words: Sequence[str], environ: Mapping[str, str]) -> WorkerProcess:
    """Start a process whose standard input is its line to us. Raises `OSError`."""
    ours, theirs = socket.socketpair()
    try:
        process = await anyio.open_process(
            words,
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environ,
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()

    return WorkerProcess(process, Channel(ours))
