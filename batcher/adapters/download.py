"""Downloads: a result's file, from an address that the API named, into a folder of ours.

Rule: the address is not trusted. No key, cookie or proxy goes there, and no connection leads into
the own network. What arrives is bounded, timed, checked to be a file and no error page, and named
by us (`core.names`).

It does not retry: `Expired` asks the caller to read the job again for a fresh address, and
`DownloadFailed` says whether trying again may work. A failing disk is a `StorageError`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import anyio
import anyio.to_thread

from batcher import __version__
from batcher.adapters.download_checks import (
    DownloadFailed,
    Expired,
    check_answer,
    checked_kind,
    checked_url,
    failure_of,
    public_socket,
    wanted_ending,
)
from batcher.adapters.download_file import PartFile
from batcher.core.errors import StorageError

__all__ = ["DownloadFailed", "Downloader", "Expired", "Fetched"]

REDIRECTS = (301, 302, 303, 307, 308)
REDIRECTS_MAX = 5
CONNECT_S_MAX = 10.0
CHUNK_BYTES = 65_536
WRITE_BYTES = 262_144  # written at a time: a trip to a worker thread each
PROGRESS_BYTES = 4_096  # fewer in `stall_s` is standing still: a byte now and then is no progress


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
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connect_s = min(CONNECT_S_MAX, self._stall_s)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections,
                socket_factory=None if self._allow_private else public_socket,
            ),
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

    async def fetch(self, url: str, folder: Path, stem: str, expected: str | None) -> Fetched:
        """Fetch *url* into *folder*, as *stem* with the ending that its content asks for.

        *expected* is an ending such as `png` or `json`; without it the URL's own is taken. Another
        kind of picture than expected is taken as what it is; a page or a text instead of a picture
        is a failure.

        Raises `Expired`, `DownloadFailed`, or `StorageError`.
        """
        if self._session is None or "/" in stem or "\0" in stem or stem.startswith("."):
            raise ValueError("a downloader is entered first, and a stem comes from safe_stem")

        try:
            with anyio.fail_after(self._stall_s) as watch:
                answer = await self._answer(self._session, url)
                try:
                    return await self._save(answer, folder, stem, expected, watch)
                finally:
                    answer.close()
        except (DownloadFailed, StorageError):
            raise
        except Exception as error:
            failure = failure_of(error)

        # Not chained: aiohttp's errors contain the URL.
        raise failure

    async def _answer(self, session: aiohttp.ClientSession, text: str) -> aiohttp.ClientResponse:
        """Follow redirects, by hand so that each step is checked, to an answer with a file."""
        url = checked_url(text)
        for _ in range(REDIRECTS_MAX + 1):
            answer = await session.get(url, allow_redirects=False)
            location = answer.headers.get("Location")
            if answer.status in REDIRECTS and location is not None:
                answer.close()
                url = checked_url(location, url)
                continue

            try:
                check_answer(answer.status, url.host)
            except DownloadFailed:
                answer.close()
                raise

            return answer

        raise DownloadFailed(f"more than {REDIRECTS_MAX} redirects", retriable=False)

    async def _save(
        self,
        answer: aiohttp.ClientResponse,
        folder: Path,
        stem: str,
        expected: str | None,
        watch: anyio.CancelScope,
    ) -> Fetched:
        with closing(await anyio.to_thread.run_sync(PartFile, folder, stem)) as part:
            await self._receive(answer, part, watch)
            kind = checked_kind(part.head, wanted_ending(expected, answer.url.path))
            path = await anyio.to_thread.run_sync(part.finish, kind[0])
            return Fetched(path, part.size_bytes, part.sha256, kind[1])

    async def _receive(
        self, answer: aiohttp.ClientResponse, part: PartFile, watch: anyio.CancelScope
    ) -> None:
        """Write what arrives, within the cap; aiohttp raises if it is not as long as announced."""
        size = progress = 0
        waiting = bytearray()
        self._check_size(answer.content_length or 0)
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

        await anyio.to_thread.run_sync(part.write, bytes(waiting))

    def _check_size(self, size: int) -> None:
        if size > self._bytes_max:
            raise DownloadFailed(f"larger than {self._bytes_max} bytes", retriable=False)
