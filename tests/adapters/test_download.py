"""Downloads against real sockets and a real folder: whole, safe, ours, or not at all."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from batcher.adapters.download import answer as download_answer
from batcher.adapters.download import checks as download_checks
from batcher.adapters.download import downloader as download
from batcher.adapters.download.checks import failure_of, is_public
from batcher.adapters.download.downloader import (
    RESUME_BYTES_MIN,
    Downloader,
    DownloadFailed,
    Expired,
    Fetched,
    Place,
)
from batcher.core.errors import StorageError
from tests.support import pictures
from tests.support.hostile import (
    PATIENCE_S,
    Peer,
    Script,
    closed_port,
    has_ipv6_loopback,
    hostile,
    open_files,
)

PNG = pictures.png() + bytes(range(256)) * 4
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
    subfolder: str = "",
) -> Fetched:
    """Fetch one file with a downloader of its own."""
    downloader = Downloader(
        connections=2, allow_private=allow_private, bytes_max=bytes_max, stall_s=stall_s
    )
    async with downloader:
        return await downloader.fetch(url, Place(folder, "sku-1.final", subfolder), expected)


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
    assert set(request.headers) == {"host", "user-agent", "accept", "accept-encoding"}


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
        (b'{"text":"x"}\n', "/a", "json", "sku-1.final.json"),
        (b"[1] is a footnote", "/a", None, "sku-1.final.txt"),
        (b"read by a machine", "/a.png", "text", "sku-1.final.txt"),
        (b'{"looks":"like JSON', "/a", "txt", "sku-1.final.txt"),
        (b"<table><tr><td>12.50</td></tr></table>", "/a", "txt", "sku-1.final.txt"),
        (b"\n", "/a", "txt", "sku-1.final.txt"),
        (b"caf\xe9", "/a", "txt", "sku-1.final.txt"),
        (b"# read", "/a.md", None, "sku-1.final.md"),
        (b"<html>read</html>", "/a", "html", "sku-1.final.html"),
        (b"\0\1\2", "/model.glb", None, "sku-1.final.glb"),
        (b"\0\1\2", "/a", None, "sku-1.final.bin"),
        *((body, "/a", "png", f"sku-1.final.{kind}") for kind, body in pictures.WHOLE.values()),
    ],
)
async def test_ending_follows_the_content(
    tmp_path: Path, body: bytes, path: str, expected: str | None, name: str
) -> None:
    """A file is called what it is; what was expected only decides for what nobody knows."""
    with hostile(serving(200, body)) as server:
        fetched = await fetch(server.url + path, tmp_path, expected=expected, bytes_max=2_000_000)

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
        (b"Bad gateway", "/a", "json"),
        (b'{"text":"x', "/a", "json"),
        (b"<!DOCTYPE html><title>Oops</title>", "/a.txt", "txt"),
        (b"<?xml version='1.0'?><Error/>", "/a.txt", "txt"),
        (b"", "/a.txt", "txt"),
        (b"\0\1\2\3 no text", "/a", "txt"),
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


@pytest.mark.parametrize("name", pictures.WHOLE)
async def test_cut_picture_is_none(tmp_path: Path, name: str) -> None:
    """A picture that ends too early is a failure, also where HTTP saw its end: nobody said more."""
    _, body = pictures.WHOLE[name]

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n", body[: len(body) * 3 // 4])

    with hostile(script) as server:
        error = await failure(server.url, tmp_path)

    assert "cut short" in error.reason
    assert error.retriable


async def test_page_behind_a_redirect_is_no_result(tmp_path: Path) -> None:
    """What may be fetched is told by the address that the API named, not by where it leads."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(302, b"", "Location: /gone.html")
        peer.request()
        peer.answer(200, b"<html>Your link has expired</html>")

    with hostile(script) as server:
        assert (await failure(server.url + "/result", tmp_path)).retriable


@pytest.mark.parametrize(
    ("status", "expired", "retriable"),
    [
        *((status, True, True) for status in (401, 403, 404, 410)),
        *((status, False, True) for status in (408, 425, 429, 500, 502, 503)),
        *((status, False, False) for status in (400, 405, 204, 206, 304, 300)),
    ],
)
async def test_answer_is_told_by_its_status(
    tmp_path: Path, status: int, expired: bool, retriable: bool
) -> None:
    """An address that is too old asks for a fresh one; the rest may pass, or not."""
    with hostile(serving(status, b"" if status in (204, 304) else PNG)) as server:
        error = await failure(server.url, tmp_path)

    assert (isinstance(error, Expired), error.retriable) == (expired, retriable)


@pytest.mark.parametrize(
    ("status", "code", "expired"),
    [
        (403, "AccessDenied", True),
        (403, "SignatureDoesNotMatch", True),
        (400, "ExpiredToken", True),
        (400, "AuthorizationQueryParametersError", True),
        (412, "RequestTimeTooSkewed", True),
        (400, "InvalidArgument", False),
        (400, "EntityTooLarge", False),
        (503, "SlowDown", False),
        (400, "ExpiredToken<script>", False),
        (400, "A" * 500, False),
    ],
)
async def test_expiry_is_told_by_its_word(
    tmp_path: Path, status: int, code: str, expired: bool
) -> None:
    """A storage that says 400 to an old signature is understood; a plain word is passed on."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>canary</Message></Error>"
    with hostile(serving(status, body.encode())) as server:
        error = await failure(server.url, tmp_path)

    assert isinstance(error, Expired) == expired
    assert (f"({code})" in error.reason) == (code.isalpha() and len(code) < 40)


@pytest.mark.parametrize("more", [b"x" * 100_000, b""])
async def test_body_of_an_error_need_not_come(tmp_path: Path, more: bytes) -> None:
    """A status is enough: of a long body little is read, and one that is cut does no harm."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 99999999\r\n\r\n", more)

    with hostile(script) as server:
        assert isinstance(await failure(server.url, tmp_path), Expired)


async def test_body_of_an_error_may_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An expired address is one, although the rest of its answer never comes."""
    monkeypatch.setattr(download_answer, "ERROR_S", 0.05)

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\n<")
        peer.wait_gone()

    with hostile(script) as server:
        assert isinstance(await failure(server.url, tmp_path), Expired)


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


async def test_a_deadline_that_is_moved_too_late_has_passed(tmp_path: Path) -> None:
    """A process that was stopped for longer finds more of a file, and a failure that may pass."""
    began, asleep, sent = threading.Event(), threading.Event(), threading.Event()
    piece = bytes(download.PROGRESS_BYTES + 1)

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", piece)
        began.set()
        asleep.wait(PATIENCE_S)
        peer.send(piece)
        sent.set()
        peer.wait_gone()

    async def sleep_beyond_the_deadline() -> None:
        await anyio.to_thread.run_sync(began.wait, PATIENCE_S)
        while not contents(tmp_path):  # noqa: ASYNC110  the part appears in a file system
            await anyio.sleep(0.001)

        asleep.set()
        sent.wait(PATIENCE_S)  # blocks the loop, as SIGSTOP would
        time.sleep(2 * STALL_S)  # noqa: ASYNC251  that is the point

    with hostile(script) as server:
        async with anyio.create_task_group() as group:
            group.start_soon(sleep_beyond_the_deadline)
            with pytest.raises(DownloadFailed, match="stood still") as caught:
                await fetch(server.url, tmp_path, stall_s=STALL_S)

    assert caught.value.retriable


# --- A connection that breaks --------------------------------------------------------------------

BIG = pictures.png() + os.urandom(3 * RESUME_BYTES_MIN)


class Broken:
    """A host that breaks off after some bytes, and goes on where it is asked to."""

    def __init__(
        self, *ends: int, tag: str = '"v1"', answer: str = "rest", headers: str = ""
    ) -> None:
        self.ranges: list[tuple[str | None, str | None]] = []
        self._ends = [*ends, len(BIG)]
        self._tag = tag
        self._answer = answer
        self._headers = f"ETag: {tag}\r\n{headers}"

    def __call__(self, peer: Peer) -> None:
        headers = peer.request().headers
        asked = headers.get("range")
        self.ranges.append((asked, headers.get("if-range")))
        begin = int(asked.split("=")[1].rstrip("-")) if asked else 0
        end = self._ends.pop(0)
        if not asked or self._answer == "whole":
            begin = 0
            peer.send(b"HTTP/1.1 200 OK\r\n")
        else:
            shift = 1 if self._answer == "shifted" else 0
            span = f"bytes {begin + shift}-{len(BIG) - 1}/{len(BIG) + (self._answer == 'longer')}"
            peer.send(b"HTTP/1.1 206 Part\r\nContent-Range: ", span.encode(), b"\r\n")

        if self._answer == "endless" and asked:
            peer.send(f"{self._headers}\r\n".encode(), BIG[begin:], bytes(1_000_000))
            return

        peer.send(f"Content-Length: {len(BIG) - begin}\r\n{self._headers}\r\n".encode())
        peer.send(BIG[begin:end])


async def test_large_file_is_gone_on_with(tmp_path: Path) -> None:
    """What has come is kept: the rest is asked for, of the same version only."""
    host = Broken(RESUME_BYTES_MIN * 3 // 2, RESUME_BYTES_MIN * 5 // 2 + 300_000)
    with hostile(host) as server:
        fetched = await fetch(server.url, tmp_path, bytes_max=len(BIG))

    assert fetched.path.read_bytes() == BIG
    assert fetched.sha256 == hashlib.sha256(BIG).hexdigest()
    assert [tag for _, tag in host.ranges] == [None, '"v1"', '"v1"']
    first, second = (int(str(span)[len("bytes=") : -1]) for span, _ in host.ranges[1:])
    assert RESUME_BYTES_MIN <= first <= RESUME_BYTES_MIN * 3 // 2 < second


@pytest.mark.parametrize(
    "host",
    [
        pytest.param(Broken(2 * RESUME_BYTES_MIN, tag='W/"v1"'), id="weak tag"),
        pytest.param(Broken(2 * RESUME_BYTES_MIN, tag="none"), id="no tag"),
        pytest.param(
            Broken(2 * RESUME_BYTES_MIN, headers="Content-Encoding: identity\r\n"), id="packed"
        ),
        pytest.param(Broken(100_000), id="small"),
    ],
)
async def test_rest_is_not_asked_for_without_proof(tmp_path: Path, host: Broken) -> None:
    """Without a strong tag, or with little to win, the next try begins anew."""
    with hostile(host) as server:
        assert (await failure(server.url, tmp_path, bytes_max=len(BIG))).retriable

    assert [asked for asked, _ in host.ranges] == [None]


@pytest.mark.parametrize("answer", ["whole", "shifted", "longer"])
async def test_rest_of_another_file_is_not_taken(tmp_path: Path, answer: str) -> None:
    """Only just the bytes that are missing are put behind the others."""
    host = Broken(2 * RESUME_BYTES_MIN, answer=answer)
    with hostile(host) as server:
        assert (await failure(server.url, tmp_path, bytes_max=len(BIG))).retriable

    assert len(host.ranges) == 2


async def test_rest_is_within_the_cap_of_the_whole(tmp_path: Path) -> None:
    """A host that sends more than it announced does not fill the disk by that."""
    host = Broken(2 * RESUME_BYTES_MIN, answer="endless")
    with hostile(host) as server:
        error = await failure(server.url, tmp_path, bytes_max=len(BIG))

    assert "larger than" in error.reason


async def test_rest_is_checked_like_a_file(tmp_path: Path) -> None:
    """An address that expires in between is an expired address."""

    def forbidden(peer: Peer) -> None:
        peer.request()
        peer.answer(403)

    with hostile(Broken(2 * RESUME_BYTES_MIN), forbidden) as server:
        error = await failure(server.url, tmp_path, bytes_max=len(BIG))

    assert isinstance(error, Expired)


async def test_breaking_connections_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that breaks off again and again is left after a few times."""
    monkeypatch.setattr(download, "RESUME_BYTES_MIN", 1)
    monkeypatch.setattr(download, "RESUMES_MAX", 2)
    host = Broken(1_000_000, 2_000_000, 3_000_000)
    with hostile(host) as server:
        assert (await failure(server.url, tmp_path, bytes_max=len(BIG))).retriable

    assert len(host.ranges) == 3


def test_our_own_limits_are_not_the_address_s() -> None:
    """No descriptor left says nothing of the file, so it costs no try."""
    assert failure_of(OSError(errno.EMFILE, "Too many open files")).local
    assert not failure_of(OSError(errno.ECONNREFUSED, "Connection refused")).local


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


async def test_what_is_no_file_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """A folder or a pipe that has the name already is left alone, and nobody waits for it to go."""
    (tmp_path / "sku-1.final.png").mkdir()
    os.mkfifo(tmp_path / "sku-1.final-2.png")
    with hostile(serving(200, PNG)) as server:
        fetched = await fetch(server.url, tmp_path)

    assert fetched.path == tmp_path / "sku-1.final-3.png"
    assert fetched.path.read_bytes() == PNG


def note_syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the path of everything that is synced."""
    synced: list[str] = []
    sync = os.fsync

    def note(number: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{number}").readlink()))
        sync(number)

    monkeypatch.setattr(os, "fsync", note)
    return synced


async def test_subfolder_is_made_and_is_durable_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that names it is synced before the file gets its name, once in each process."""
    synced, link = note_syncs(monkeypatch), os.link

    def note_link(*names: Any, **options: Any) -> None:
        synced.append("named")
        link(*names, **options)

    monkeypatch.setattr(os, "link", note_link)
    root, below = tmp_path / "new", tmp_path / "new" / "rows-0002501-0005000"
    with hostile(serving(200, PNG)) as server:
        async with Downloader(
            connections=1, allow_private=True, bytes_max=10**6, stall_s=PATIENCE_S
        ) as downloader:
            for stem in ("a.final", "b.final"):
                fetched = await downloader.fetch(server.url, Place(root, stem, below.name), None)

    assert fetched.path == below / "b.final.png"
    assert stat.S_IMODE(below.stat().st_mode) == 0o700
    parts = [path for path in synced if path.endswith(".part")]
    assert synced == [
        *(str(tmp_path), str(root), parts[0], "named", str(below)),
        *(parts[1], "named", str(below)),
    ]


async def test_subfolder_of_an_earlier_process_is_synced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have died between making it and syncing it."""
    (tmp_path / "rows").mkdir()
    synced = note_syncs(monkeypatch)
    with hostile(serving(200, PNG)) as server:
        await fetch(server.url, tmp_path, subfolder="rows")

    assert str(tmp_path) in synced


async def test_planted_subfolder_is_not_followed(tmp_path: Path) -> None:
    """A link in the place of a subfolder leads nowhere."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "rows").symlink_to(tmp_path / "outside")
    with hostile(serving(200, PNG)) as server, pytest.raises(StorageError):
        await fetch(server.url, tmp_path / "folder", subfolder="rows")

    assert contents(tmp_path / "outside") == {}


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


@pytest.mark.parametrize("name", ["../a", "a/b", ".a", "a\0"])
@pytest.mark.parametrize("which", ["stem", "subfolder"])
async def test_unsafe_name_is_a_bug(tmp_path: Path, name: str, which: str) -> None:
    """Only what `core.names` makes is taken."""
    place = Place(tmp_path, name) if which == "stem" else Place(tmp_path, "a", name)
    async with Downloader(connections=1, allow_private=True, bytes_max=1, stall_s=1) as downloader:
        with pytest.raises(ValueError, match="safe_stem"):
            await downloader.fetch("http://127.0.0.1/", place, None)
