"""Downloads against real sockets and a real folder: whole, safe, ours, or not at all."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import threading
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from batcher.adapters import download_checks
from batcher.adapters.download import Downloader, DownloadFailed, Expired, Fetched
from batcher.adapters.download_checks import is_public
from batcher.core.errors import StorageError
from tests.support.hostile import (
    PATIENCE_S,
    Peer,
    Script,
    closed_port,
    has_ipv6_loopback,
    hostile,
    open_files,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
needs_ipv6 = pytest.mark.skipif(not has_ipv6_loopback(), reason="::1 is missing here")
STALL_S = 0.3  # of downloads that never go on: no test depends on its length


def serving(status: int, body: bytes, *headers: str) -> Script:
    """Return a script that answers one request."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(status, body, *headers)

    return script


async def fetch(
    url: str,
    folder: Path,
    *,
    expected: str | None = None,
    bytes_max: int = 1_000_000,
    stall_s: float = PATIENCE_S,
    allow_private: bool = True,
) -> Fetched:
    """Fetch one file with a downloader of its own."""
    downloader = Downloader(
        connections=2, allow_private=allow_private, bytes_max=bytes_max, stall_s=stall_s
    )
    async with downloader:
        return await downloader.fetch(url, folder, "sku-1.final", expected)


async def failure(url: str, folder: Path, **options: object) -> DownloadFailed:
    """Return what a download raises, checked: nothing stays behind, and no URL is told."""
    before = contents(folder)
    with pytest.raises(DownloadFailed) as caught:
        await fetch(url + "?sig=canary", folder, **options)  # type: ignore[arg-type]  # passed on

    error = caught.value
    assert contents(folder) == before
    assert "canary" not in f"{error!r} {error.__cause__!r} {error.__context__!r}"
    assert len(error.reason) < 200
    return error


def contents(folder: Path) -> dict[str, bytes]:
    """Return the regular files of a folder."""
    files = folder.iterdir() if folder.exists() else ()
    return {file.name: file.read_bytes() for file in files if file.is_file()}


# --- A file --------------------------------------------------------------------------------------


async def test_file_is_fetched_whole(tmp_path: Path) -> None:
    """The file has our name, the ending of its content, its digest, and nothing is left beside."""
    with hostile(serving(200, PNG, "Content-Type: text/html")) as server:
        fetched = await fetch(server.url + "/x/compose.webp?sig=a%2Fb+c", tmp_path / "new")

    path = tmp_path / "new" / "sku-1.final.png"
    assert fetched == Fetched(path, len(PNG), hashlib.sha256(PNG).hexdigest(), "image/png")
    assert contents(path.parent) == {path.name: PNG}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    request = server.requests[0]
    assert request.line == "GET /x/compose.webp?sig=a%2Fb+c HTTP/1.1"
    assert not {"x-api-key", "authorization", "cookie"} & set(request.headers)


async def test_large_file_is_fetched(tmp_path: Path) -> None:
    """A file of many pieces arrives byte for byte."""
    body = PNG + os.urandom(3_000_000)
    with hostile(serving(200, body)) as server:
        fetched = await fetch(server.url, tmp_path, bytes_max=4_000_000)

    assert fetched.path.read_bytes() == body
    assert fetched.sha256 == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize(
    ("body", "path", "expected", "name"),
    [
        (PNG, "/a.webp", "webp", "sku-1.final.png"),
        (b'{"text":"x"}', "/a", None, "sku-1.final.json"),
        (b'{"text":"x"}', "/a.json", None, "sku-1.final.json"),
        (b"read by a machine", "/a.png", "text", "sku-1.final.txt"),
        (b"# read", "/a.md", None, "sku-1.final.md"),
        (b"<html>read</html>", "/a", "html", "sku-1.final.html"),
        (b"\0\1\2", "/model.glb", None, "sku-1.final.glb"),
        (b"\0\1\2", "/a", None, "sku-1.final.bin"),
    ],
)
async def test_ending_follows_the_content(
    tmp_path: Path, body: bytes, path: str, expected: str | None, name: str
) -> None:
    """A file is called what it is; what was expected only decides for what nobody knows."""
    with hostile(serving(200, body)) as server:
        fetched = await fetch(server.url + path, tmp_path, expected=expected)

    assert fetched.path.name == name


# --- Not a file ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        (b"", "/a.png", None),
        (b"<!DOCTYPE html><title>Oops</title>", "/a", None),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "/a.png", None),
        (b'{"error":"try again"}', "/a.webp", None),
        (b'{"error":"try again"}', "/a", "png"),
        (b"Bad gateway", "/a.psd", None),
        (b"\0\1\2\3 no picture", "/a.jpg", None),
    ],
)
async def test_page_is_no_picture(
    tmp_path: Path, body: bytes, path: str, expected: str | None
) -> None:
    """An error page with a 200 is a failure that may pass, and leaves no file."""
    with hostile(serving(200, body)) as server:
        error = await failure(server.url + path, tmp_path, expected=expected)

    assert error.retriable
    assert not isinstance(error, Expired)


@pytest.mark.parametrize(
    ("status", "expired", "retriable"),
    [
        *((status, True, True) for status in (403, 404, 410)),
        *((status, False, True) for status in (408, 425, 429, 500, 502, 503)),
        *((status, False, False) for status in (400, 401, 204, 206, 304, 300)),
    ],
)
async def test_answer_is_told_by_its_status(
    tmp_path: Path, status: int, expired: bool, retriable: bool
) -> None:
    """An address that is too old asks for a fresh one; the rest may pass, or not."""
    with hostile(serving(status, b"" if status in (204, 304) else PNG)) as server:
        error = await failure(server.url, tmp_path)

    assert (isinstance(error, Expired), error.retriable) == (expired, retriable)


def _drip(peer: Peer) -> None:
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
    while not peer.ended.wait(0.02):
        peer.send(b"x")


def _silent(peer: Peer) -> None:
    peer.request()
    peer.wait_gone()


def _raw(*pieces: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n", *pieces)

    return script


@pytest.mark.parametrize(
    ("script", "retriable"),
    [
        pytest.param(_silent, True, id="silent"),
        pytest.param(_drip, True, id="drip"),
        pytest.param(_raw(b"Content-Length: 5000\r\n\r\n", PNG), True, id="cut"),
        pytest.param(_raw(b"Transfer-Encoding: chunked\r\n\r\nff\r\n", PNG), True, id="cut chunk"),
        pytest.param(_raw(b"Content-Encoding: gzip\r\n\r\n", PNG), True, id="broken gzip"),
        pytest.param(_raw(b"nonsense\0\r\n\r\n"), True, id="no HTTP"),
        pytest.param(_raw(b"Content-Length: 99999999\r\n\r\n"), False, id="announced too large"),
        pytest.param(_raw(b"\r\n", PNG, bytes(1_100_000)), False, id="too large"),
        pytest.param(
            _raw(b"Content-Encoding: gzip\r\n\r\n", gzip.compress(bytes(10**7))), False, id="bomb"
        ),
    ],
)
async def test_file_that_does_not_come_whole_is_none(
    tmp_path: Path, script: Script, retriable: bool
) -> None:
    """Cut, endless, standing still: a failure, and nothing of it stays."""
    with hostile(script) as server:
        error = await failure(server.url, tmp_path, stall_s=STALL_S)

    assert error.retriable == retriable


async def test_unreachable_server_is_a_failure(tmp_path: Path) -> None:
    """Nobody there, no such name: it may pass."""
    for url in (f"http://127.0.0.1:{closed_port()}/a", "https://batcher-test.invalid/a"):
        assert (await failure(url, tmp_path)).retriable


@pytest.mark.parametrize(
    "url", ["", "a.png", "file:///etc/passwd", "ftp://a/b", "http://", "//a/b"]
)
async def test_only_http_is_fetched(tmp_path: Path, url: str) -> None:
    """Other addresses are none."""
    assert not (await failure(url, tmp_path)).retriable


# --- Redirects -----------------------------------------------------------------------------------


async def test_redirects_are_followed_to_the_fifth(tmp_path: Path) -> None:
    """Five redirects are followed, relative ones too, and a sixth is not."""

    def script(peer: Peer) -> None:
        while True:
            left = int(peer.request().line.split()[1].strip("/").partition("?")[0])
            if left:
                peer.answer(302, b"", f"Location: /{left - 1}")
            else:
                peer.answer(200, PNG)

    with hostile(script) as server:
        assert (await fetch(server.url + "/5", tmp_path)).bytes == len(PNG)
        assert not (await failure(server.url + "/6", tmp_path)).retriable


@pytest.mark.parametrize("target", ["file:///etc/passwd", "gopher://a/", "http://[::", "data:,x"])
async def test_redirect_out_of_http_is_refused(tmp_path: Path, target: str) -> None:
    """A redirect is checked like an address."""
    with hostile(serving(302, b"", f"Location: {target}")) as server:
        assert not (await failure(server.url, tmp_path)).retriable


def test_redirect_out_of_tls_is_refused() -> None:
    """What began in TLS does not end in the open."""
    base = download_checks.checked_url("https://a.example/x")
    assert str(download_checks.checked_url("/y", base)) == "https://a.example/y"
    with pytest.raises(DownloadFailed):
        download_checks.checked_url("http://a.example/y", base)


# --- Private addresses ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "0x7f.1", "0x7f000001", "2130706433", "127.1", "0177.0.0.1", "0.0.0.0"),
        *("localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]"),
    ],
)
@pytest.mark.parametrize("server_host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
async def test_private_address_is_refused(tmp_path: Path, host: str, server_host: str) -> None:
    """However loopback is written, no connection is made to it."""
    with hostile(serving(200, PNG), host=server_host) as server:
        error = await failure(f"http://{host}:{server.port}/a.png", tmp_path, allow_private=False)

    assert not error.retriable
    assert server.connections == 0


@needs_ipv6
async def test_redirect_to_a_private_address_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect into the own network ends there: each connection is checked, not the first."""
    monkeypatch.setattr(download_checks, "is_public", lambda address: address == "127.0.0.1")
    with hostile(serving(200, PNG), host="::1") as inner:
        with hostile(serving(302, b"", f"Location: {inner.url}/a.png")) as outer:
            error = await failure(outer.url, tmp_path, allow_private=False)

        assert (outer.connections, inner.connections) == (1, 0)

    assert not error.retriable


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *(
            (address, True)
            for address in (
                "8.8.8.8",
                "1.1.1.1",
                "2606:4700::1111",
                "64:ff9b::808:808",
                "::ffff:8.8.8.8",
            )
        ),
        *((address, False) for address in ("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1")),
        *((address, False) for address in ("172.16.0.1", "192.168.0.1", "100.64.0.1", "240.0.0.1")),
        *(
            (address, False)
            for address in ("169.254.169.254", "224.0.0.1", "239.1.1.1", "198.18.0.1")
        ),
        *(
            (address, False)
            for address in ("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0")
        ),
        *(
            (address, False)
            for address in ("fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1")
        ),
        *((address, False) for address in ("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::")),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", False),  # Teredo, leading to 127.0.0.1
    ],
)
def test_public_addresses_are_known(address: str, public: bool) -> None:
    """Loopback, private, link-local, shared, multicast, metadata, and what only wraps them."""
    assert is_public(address) == public


# --- The folder ----------------------------------------------------------------------------------


async def test_same_file_is_reused(tmp_path: Path) -> None:
    """Fetched again, the same content is the same file."""
    with hostile(serving(200, PNG)) as server:
        first = await fetch(server.url, tmp_path)
        inode = first.path.stat().st_ino
        assert await fetch(server.url, tmp_path) == first

    assert first.path.stat().st_ino == inode
    assert contents(tmp_path) == {"sku-1.final.png": PNG}


async def test_different_file_is_never_overwritten(tmp_path: Path) -> None:
    """Another content gets a number, and so does the next."""
    with hostile(serving(200, PNG), serving(200, PNG + b"2"), serving(200, PNG + b"3")) as server:
        names = [(await fetch(server.url, tmp_path)).path.name for _ in range(4)]

    assert names == [
        "sku-1.final.png",
        "sku-1.final-2.png",
        "sku-1.final-3.png",
        "sku-1.final-3.png",
    ]
    assert contents(tmp_path)["sku-1.final.png"] == PNG


async def test_planted_links_are_not_followed(tmp_path: Path) -> None:
    """Links that stand where the file or its part would be lead nowhere."""
    outside = tmp_path / "outside"
    outside.write_bytes(PNG)  # the same content even: it is not ours
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "sku-1.final.png").symlink_to(outside)
    (folder / "sku-1.final-2.png").symlink_to(tmp_path / "nowhere")
    part = f"sku-1.final~{hashlib.sha256(b'sku-1.final').hexdigest()[:8]}.part"
    (folder / part).symlink_to(outside)
    with hostile(serving(200, PNG)) as server:
        fetched = await fetch(server.url, folder)

    assert fetched.path == folder / "sku-1.final-3.png"
    assert not fetched.path.is_symlink()
    assert outside.read_bytes() == PNG
    assert not (tmp_path / "nowhere").exists()
    assert not (folder / part).is_symlink()


async def test_part_of_an_earlier_try_is_replaced(tmp_path: Path) -> None:
    """What a killed process left does not get into the file."""
    stem = hashlib.sha256(b"sku-1.final").hexdigest()[:8]
    (tmp_path / f"sku-1.final~{stem}.part").write_bytes(b"half" * 1_000)
    with hostile(serving(200, PNG)) as server:
        await fetch(server.url, tmp_path)

    assert contents(tmp_path) == {"sku-1.final.png": PNG}


async def test_disk_that_fails_ends_the_run(tmp_path: Path) -> None:
    """A folder that cannot be written to is not the download's fault, and would fail every row."""
    (tmp_path / "file").write_bytes(b"")
    with hostile(serving(200, PNG)) as server, pytest.raises(StorageError) as caught:
        await fetch(server.url, tmp_path / "file")

    assert str(tmp_path / "file") in str(caught.value)


async def test_cancelled_download_leaves_nothing(tmp_path: Path) -> None:
    """A download that is cancelled half-way takes its part and its descriptors with it."""
    began = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n", PNG, bytes(600_000))
        began.set()
        peer.wait_gone()

    with hostile(script) as server:
        async with anyio.create_task_group() as group:
            group.start_soon(fetch, server.url, tmp_path)
            await anyio.to_thread.run_sync(began.wait, PATIENCE_S)
            while not contents(tmp_path):  # noqa: ASYNC110  the part appears in a file system
                await anyio.sleep(0.001)

            group.cancel_scope.cancel()

    assert contents(tmp_path) == {}
    assert open_files(tmp_path) == []


@pytest.mark.parametrize("stem", ["../a", "a/b", ".a", "a\0"])
async def test_unsafe_stem_is_a_bug(tmp_path: Path, stem: str) -> None:
    """Only what `safe_stem` makes is taken."""
    async with Downloader(connections=1, allow_private=True, bytes_max=1, stall_s=1) as downloader:
        with pytest.raises(ValueError, match="safe_stem"):
            await downloader.fetch("http://127.0.0.1/", tmp_path, stem, None)
