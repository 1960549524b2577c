"""Result files on the local disk: the engine's `Store` over the downloader."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from batcher.adapters.download.downloader import Downloader, DownloadFailed, Expired, Place
from batcher.core.errors import StorageError
from batcher.core.names import ending_of, safe_stem, subfolder_of
from batcher.core.settings import Settings
from batcher.engine.files.collect import FetchFailed, Store, Stored, Wanted


@asynccontextmanager
async def open_store(folder: Path, settings: Settings, run: Path) -> AsyncIterator[Store]:
    """Open the download folder of a run."""
    async with Downloader(
        connections=settings.connections_max,
        allow_private=settings.allow_private,
        bytes_max=settings.download_bytes_max,
        stall_s=settings.download_stall_s,
    ) as downloader:
        yield LocalStore(downloader, folder, run)


class LocalStore:
    """Files in one folder, named for their rows; large runs have subfolders in it."""

    def __init__(self, downloader: Downloader, folder: Path, run: Path) -> None:
        self._downloader = downloader
        self._folder = folder
        self._run = run.resolve()

    async def fetch(self, wanted: Wanted) -> Stored:
        """Bring one file in durably; its path is relative to the run if inside it."""
        stem = safe_stem(wanted.row_id, wanted.variant)
        place = Place(self._folder, stem, subfolder_of(wanted.n))
        try:
            fetched = await self._downloader.fetch(wanted.url, place, wanted.expected)
        except Expired as failure:
            raise FetchFailed(failure.reason, expired=True) from None
        except DownloadFailed as failure:
            raise FetchFailed(
                failure.reason, retriable=failure.retriable, disk=failure.local
            ) from None
        except StorageError as failure:
            raise FetchFailed(str(failure), disk=True) from failure

        path = fetched.path.resolve()
        shown = path.relative_to(self._run) if path.is_relative_to(self._run) else path
        return Stored(str(shown), ending_of(path.suffix), fetched.bytes, fetched.sha256)
