"""Downloads: a result's file, from an address that the API named, into a folder of ours.

Rule: the address is not trusted. No key, cookie or proxy goes there, and no connection leads into
the own network. What arrives is bounded, timed, checked to be a file and no error page, and named
by us (`core.names`).

A large file whose connection breaks is gone on with where the host proves that it is the same one.
Else nothing is tried again here: `Expired` asks the caller to read the job once more for a fresh
address, and `DownloadFailed` says whether trying again may work. A `StorageError` is the disk's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import anyio
import anyio.to_thread
from yarl import URL

from batcher import __version__
from batcher.adapters.connections import Connector, Way
from batcher.adapters.download.answer import Rest, refusal
from batcher.adapters.download.checks import (
    DownloadFailed,
    Expired,
    check_whole,
    checked_kind,
    checked_url,
    failure_of,
    public_socket,
    wanted_ending,
)
from batcher.adapters.download.file import PartFile
from batcher.adapters.download.folder import Folders, Place
from batcher.core.errors import StorageError

__all__ = ["DownloadFailed", "Downloader", "Expired", "Fetched", "Place"]

REDIRECTS = (301, 302, 303, 307, 308)
REDIRECTS_MAX = 5
CONNECT_S_MAX = 10.0
CHUNK_BYTES = 65_536
RESUMES_MAX = 8  # in one try
RESUME_BYTES_MIN = 1_048_576  # that a connection must have brought; fewer are fetched anew
WRITE_BYTES = 262_144  # written at a time: a trip to a worker thread each
PROGRESS_BYTES = 4_096  # fewer in `stall_s` is standing still: a byte now and then is no progress
CUT = "the file was cut short"

Ask = Callable[[Mapping[str, str]], Awaitable[aiohttp.ClientResponse]]  # headers -> an answer


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file, whole and durable."""

    path: Path
    bytes: int
    sha256: str
    content_type: str  # by its own bytes, not by what the server said


class Downloader:
    """Fetches files. Use as an async context manager, once for each run."""

    def __init__(
        self, *, connections: int, allow_private: bool, bytes_max: int, stall_s: float
    ) -> None:
        self._connections = connections
        self._allow_private = allow_private
        self._bytes_max = bytes_max
        self._stall_s = stall_s
        self._folders = Folders()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connect_s = min(CONNECT_S_MAX, self._stall_s)
        connector = Connector(
            limit=self._connections,
            socket_factory=None if self._allow_private else public_socket,
        )
        self._deadlines = connector.deadlines
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": f"batcher/{__version__}", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_s),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, url: str, place: Place, expected: str | None) -> Fetched:
        """Fetch *url* to *place*, with the ending that its content asks for.

        *expected* is an ending such as `png` or `json`; without it the URL's own is taken. Another
        kind of file than expected is taken as what it is; a page or a text instead of a picture is
        a failure, and so is a file whose end is missing.

        Raises `Expired`, `DownloadFailed`, or `StorageError`.
        """
        if self._session is None or not place.is_safe:
            raise ValueError("a downloader is entered first, and names come from safe_stem")

        try:
            with anyio.move_on_after(self._stall_s) as watch, ExitStack() as answers:
                start = checked_url(url)
                way = partial(self._deadlines.way, self._stall_s)
                ask = partial(_answer_to, self._session, start, answers, way)
                answer = await ask({})
                part = await anyio.to_thread.run_sync(PartFile, self._folders, place)
                with closing(part):
                    await self._receive_all(ask, answer, part, watch)
                    watch.deadline = inf  # what is left to do is up to our own disk
                    wanted = wanted_ending(expected, start.path)
                    return await anyio.to_thread.run_sync(_finished, part, wanted)

            # Whatever the deadline is by now: it had passed, and was moved too late.
            failure = failure_of(TimeoutError())
        except (DownloadFailed, StorageError):
            raise
        except Exception as error:
            failure = failure_of(error)

        # Not chained: aiohttp's errors contain the URL.
        raise failure

    async def _receive_all(
        self, ask: Ask, answer: aiohttp.ClientResponse, part: PartFile, watch: anyio.CancelScope
    ) -> None:
        """Receive a file, by several connections if the host can go on where one broke."""
        rest = Rest.of(answer)
        for resumes_left in range(RESUMES_MAX, -1, -1):
            had = part.size_bytes
            try:
                await self._receive(answer, part, watch)
                break
            except aiohttp.ClientError:
                brought = part.size_bytes - had
                if rest is None or not resumes_left or brought < RESUME_BYTES_MIN:
                    raise

            answer.close()  # its connection counts until then
            answer = await ask(rest.headers(part.size_bytes))
            if not rest.is_in(answer, part.size_bytes):
                raise DownloadFailed(CUT, retriable=True)  # from the beginning, the next time

        if rest is not None and part.size_bytes != rest.size_bytes:
            raise DownloadFailed(CUT, retriable=True)

    async def _receive(
        self, answer: aiohttp.ClientResponse, part: PartFile, watch: anyio.CancelScope
    ) -> None:
        """Write what arrives, within the cap; aiohttp raises if it is not as long as announced."""
        size = progress = part.size_bytes
        waiting = bytearray()
        self._check_size(size + (answer.content_length or 0))
        try:
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                size += len(chunk)
                waiting += chunk
                self._check_size(size)
                if len(waiting) >= WRITE_BYTES:
                    await anyio.to_thread.run_sync(part.write, bytes(waiting))
                    waiting.clear()

                if size - progress >= PROGRESS_BYTES:
                    progress = size
                    watch.deadline = anyio.current_time() + self._stall_s
        except aiohttp.ClientError:
            await anyio.to_thread.run_sync(part.write, bytes(waiting))
            raise

        await anyio.to_thread.run_sync(part.write, bytes(waiting))

    def _check_size(self, size: int) -> None:
        if size > self._bytes_max:
            raise DownloadFailed(f"larger than {self._bytes_max} bytes", retriable=False)


async def _answer_to(
    session: aiohttp.ClientSession,
    url: URL,
    answers: ExitStack,
    way: Callable[[], Way],
    headers: Mapping[str, str],
) -> aiohttp.ClientResponse:
    """Follow redirects, by hand so that each step is checked, to an answer with a file.

    With *headers* that ask for the rest of a file it may be a part of one. *answers* closes it.
    """
    for _ in range(REDIRECTS_MAX + 1):
        with way():
            answer = await session.get(url, headers=headers, allow_redirects=False)

        answers.callback(answer.close)
        location = answer.headers.get("Location")
        if answer.status not in REDIRECTS or location is None:
            break

        answer.close()
        url = checked_url(location, url)
    else:
        raise DownloadFailed(f"more than {REDIRECTS_MAX} redirects", retriable=False)

    if answer.status == 200 or (headers and answer.status == 206):
        return answer

    raise await refusal(answer)


def _finished(part: PartFile, wanted: str) -> Fetched:
    """Check what came and give it its name. Blocks."""
    kind = checked_kind(part.head, wanted)
    ending, content_type = check_whole(kind, wanted, part.read, part.size_bytes)
    return Fetched(part.finish(ending), part.size_bytes, part.sha256, content_type)
