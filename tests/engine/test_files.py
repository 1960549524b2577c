"""Files on both sides of a run: what a row uploads, and where its results are put."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import orjson
import pytest

from batcher.adapters.download.downloader import Downloader, DownloadFailed, Fetched, Place
from batcher.adapters.manifest import open_manifest
from batcher.core.model import ErrorKind, LocalFile
from batcher.core.settings import Settings
from batcher.engine.files.collect import FetchFailed, Stored, Wanted
from batcher.engine.files.local import RowUnusable, local_files
from batcher.engine.files.store import LocalStore, open_store
from batcher.engine.rows import ProviderCheck
from batcher.providers import provider_named
from tests.support import pictures
from tests.support.hostile import Peer, Script, hostile

PNG = pictures.png()


# --- What a row uploads --------------------------------------------------------------------------


@pytest.mark.parametrize("said", ['"a.png"', '["b.png","a.png"]', '["b.png"]', "null"])
def test_a_row_s_files_are_found_as_the_check_found_them(said: str, tmp_path: Path) -> None:
    """Same files, same order, same sizes, same pixels: nothing else may be sent."""
    (tmp_path / "a.png").write_bytes(pictures.png(10, 20))
    (tmp_path / "b.png").write_bytes(pictures.jpeg(30, 40))
    (tmp_path / "m.jsonl").write_text(f'{{"id":"x","file":{said}}}')
    check = ProviderCheck(provider_named("removit", {}))
    (entry,) = open_manifest(str(tmp_path / "m.jsonl")).entries(check)
    assert local_files({"file": orjson.loads(said)}, entry.base) == entry.files


def test_a_file_that_changed_is_measured_anew(tmp_path: Path) -> None:
    """Hours may lie between the check and the submit."""
    path = tmp_path / "a.png"
    path.write_bytes(pictures.png(10, 20))
    before = local_files({"file": "a.png"}, str(tmp_path))
    path.write_bytes(pictures.png(100, 200) + b"more")
    after = local_files({"file": "a.png"}, str(tmp_path))
    assert after == (LocalFile(str(path), path.stat().st_size, (100, 200)),)
    assert before[0].size_bytes < after[0].size_bytes


@pytest.mark.parametrize("name", ["gone.png", "folder", "pipe", "a\0b"])
def test_a_file_that_is_gone_makes_the_row_unusable(name: str, tmp_path: Path) -> None:
    """Deleted, or something else by now: told like the manifest's check tells it."""
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RowUnusable) as caught:
        local_files({"file": ["a.png", name]}, str(tmp_path))

    assert caught.value.error.kind is ErrorKind.INVALID_ROW
    assert caught.value.error.message.startswith("file ")


# --- Where results are put -----------------------------------------------------------------------


def serving(status: int, body: bytes) -> Script:
    """Return a script that answers one request."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(status, body)

    return script


async def stored(script: Script, folder: Path, run: Path, n: int = 1) -> Stored:
    """Store the file of row *n* with a store of its own, as each process has it."""
    with hostile(script) as server:
        async with open_store(folder, Settings(allow_private=True), run) as store:
            return await store.fetch(Wanted(server.url, n, f"sku-{n}", "clipping", "png"))


async def test_result_is_stored_with_its_digest(tmp_path: Path) -> None:
    """Inside the run its path is relative, elsewhere absolute."""
    inside = await stored(serving(200, PNG), tmp_path / "downloads", tmp_path)
    digest = hashlib.sha256(PNG).hexdigest()
    assert inside == Stored("downloads/sku-1.clipping.png", "png", len(PNG), digest)
    outside = await stored(serving(200, PNG), tmp_path / "other", tmp_path / "run")
    assert outside.path == str(tmp_path / "other" / "sku-1.clipping.png")


async def test_rows_of_a_large_run_have_subfolders(tmp_path: Path) -> None:
    """The row's number alone says which: the next process finds the same file, and no other."""
    folder = tmp_path / "downloads"
    paths = [(await stored(serving(200, PNG), folder, tmp_path, n)).path for n in (2_500, 2_501)]
    assert paths == [
        "downloads/sku-2500.clipping.png",
        "downloads/rows-0002501-0005000/sku-2501.clipping.png",
    ]
    inode = (tmp_path / paths[1]).stat().st_ino
    again = await stored(serving(200, PNG), folder, tmp_path, 2_501)
    assert again.path == paths[1]
    assert (tmp_path / again.path).stat().st_ino == inode
    assert len(list(folder.rglob("*.png"))) == 2


@pytest.mark.parametrize(
    ("script", "expired", "disk", "retriable"),
    [
        (serving(403, b""), True, False, True),
        (serving(400, b"<Error><Code>ExpiredToken</Code></Error>"), True, False, True),
        (serving(503, b""), False, False, True),
        (serving(405, b""), False, False, False),
        (serving(200, b"<html>"), False, False, True),
        (serving(200, PNG[:-5]), False, False, True),
        (serving(200, b"\0\1\2 no picture"), False, False, True),
    ],
)
async def test_failures_are_told_apart(
    script: Script, expired: bool, disk: bool, retriable: bool, tmp_path: Path
) -> None:
    """An old address, a bad file, an address that never works: each has its own way on."""
    with pytest.raises(FetchFailed) as caught:
        await stored(script, tmp_path / "downloads", tmp_path)

    failure = caught.value
    assert (failure.expired, failure.disk, failure.retriable) == (expired, disk, retriable)


class Exhausted(Downloader):
    """A downloader on a machine that has no descriptors left."""

    async def fetch(self, url: str, place: Place, expected: str | None) -> Fetched:
        """Fail."""
        raise DownloadFailed("no connection: Too many open files", retriable=True, local=True)


async def test_our_own_limits_cost_no_try(tmp_path: Path) -> None:
    """The address is as good as before: it is waited for like a disk."""
    downloader = Exhausted(connections=1, allow_private=True, bytes_max=1, stall_s=1.0)
    store = LocalStore(downloader, tmp_path, tmp_path)
    with pytest.raises(FetchFailed) as caught:
        await store.fetch(Wanted("http://127.0.0.1/", 1, "a", "final"))

    assert caught.value.disk


async def test_a_disk_that_fails_is_ours(tmp_path: Path) -> None:
    """A folder that cannot be had is no row's fault, whatever stands in its place."""
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "rows-0002501-0005000").write_bytes(b"")
    with pytest.raises(FetchFailed) as caught:
        await stored(serving(200, PNG), tmp_path / "downloads", tmp_path, 2_501)

    assert caught.value.disk
