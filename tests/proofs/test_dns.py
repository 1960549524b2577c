"""Names that do not resolve, resolve late, resolve wrongly, or resolve to somewhere else.

Nothing of batcher is patched: the fake stands in the place of the system's own resolver.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from batcher.adapters.download import checks as download_checks
from batcher.adapters.download.downloader import Downloader, DownloadFailed, Fetched, Place
from batcher.core.errors import NotSent
from batcher.core.exchange import Response
from tests.adapters.test_http import NEVER_S, SUBMIT, transport_to
from tests.support import pictures
from tests.support.hostile import PATIENCE_S, Peer, hostile

NAME = "localhost"  # the only name that may be called without TLS
PUBLIC, PRIVATE = "127.0.0.1", "127.0.0.2"  # the first is taken for public here
PNG = pictures.png()

Answer = Callable[[], list[Any]]


class Resolver:
    """The system's resolver. It gives its answers one after the other, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.asked = 0
        self._answers = answers

    def __call__(self, host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        """Stand in for `socket.getaddrinfo`."""
        assert host.rstrip(".") == NAME
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        return [(*found[:4], (found[4][0], port, *found[4][2:])) for found in answer()]


Use = Callable[..., Resolver]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Return what puts a resolver with these answers in the place of the system's."""

    def use(*answers: Answer) -> Resolver:
        fake = Resolver(*answers)
        monkeypatch.setattr(socket, "getaddrinfo", fake)
        return fake

    return use


def to(*addresses: str) -> Answer:
    """Return an answer of some IPv4 addresses."""
    return lambda: [
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 0))
        for address in addresses
    ]


def failing(error: Exception) -> Answer:
    """Return an answer that is an error."""

    def fail() -> list[Any]:
        raise error

    return fail


FAULTS: dict[str, Answer] = {
    "no such name": failing(socket.gaierror(socket.EAI_NONAME, "Name or service not known")),
    "no address": failing(socket.gaierror(-5, "No address associated with hostname")),
    "try again": failing(socket.gaierror(socket.EAI_AGAIN, "Temporary failure")),
    "failed": failing(socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure")),
    "of the system": failing(socket.gaierror(socket.EAI_SYSTEM, "System error")),
    "no memory": failing(socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure")),
    "timed out": failing(TimeoutError()),
    "broken": failing(OSError(errno.EIO, "Input/output error")),
    "unknown": failing(OSError()),
    "a label that is too long": failing(UnicodeError("label empty or too long")),
    "no thread": failing(RuntimeError("can't start new thread")),
    "nothing": list,
    "nonsense": to("999.1.1.1"),
    "IPv6 where there is none": lambda: [(socket.AF_INET6, 1, 6, "", (10, 0))],
}
every_fault = pytest.mark.parametrize("fault", FAULTS)


def accepting(peer: Peer) -> None:
    """Accept a job."""
    peer.request()
    peer.answer(202, b'{"job_id":"1"}')


async def send(port: int) -> Response:
    """Submit to the name, with a transport of its own: aiohttp keeps an answer for 10 s."""
    async with transport_to(f"http://{NAME}:{port}") as transport:
        return await transport.send(SUBMIT, timeout_s=PATIENCE_S)


@every_fault
async def test_a_name_that_does_not_resolve_is_not_sent(fault: str, resolver: Use) -> None:
    """No name, no connection, no byte: the row is not in doubt, and goes when the name is back."""
    resolver(FAULTS[fault], to(PUBLIC))
    with hostile(accepting) as server:
        with pytest.raises(NotSent) as caught:
            await send(server.port)

        assert server.connections == 0
        assert not caught.value.local
        assert (await send(server.port)).status == 202
        assert len(server.requests) == 1


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
async def test_a_resolver_without_descriptors_is_our_own_trouble(
    number: int, resolver: Use
) -> None:
    """What this machine lacks says nothing of the API."""
    resolver(failing(OSError(number, "no more")))
    with pytest.raises(NotSent) as caught:
        await send(1)

    assert caught.value.local


@pytest.mark.parametrize("host", ["a..example", f"{'a' * 64}.example", "a" * 300])
async def test_a_name_that_is_none_is_not_sent(host: str) -> None:
    """A host name that cannot even be asked for (RFC 1035, 2.3.4) puts no row in doubt."""
    async with transport_to(f"https://{host}") as transport:
        with pytest.raises(NotSent, match="resolved"):
            await transport.send(SUBMIT, timeout_s=PATIENCE_S)


async def test_a_resolver_that_hangs_is_not_sent(resolver: Use) -> None:
    """All requests end by their own time, whoever began the one lookup that they share."""
    over = threading.Event()

    def hang() -> list[Any]:
        over.wait(PATIENCE_S)
        return []

    fake = resolver(hang)
    ended: list[str] = []
    async with transport_to(f"http://{NAME}:1") as transport:

        async def give_up() -> None:
            with pytest.raises(NotSent):
                await transport.send(SUBMIT, timeout_s=NEVER_S)

            ended.append("not sent")

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(give_up)

    over.set()
    assert (len(ended), fake.asked) == (4, 1)


async def test_the_next_address_of_a_name_is_tried(resolver: Use) -> None:
    """Where nobody listens at the first address the second is called, and the request sent once."""
    resolver(to(PRIVATE, "127.0.0.3", PUBLIC))
    with hostile(accepting) as server:
        assert (await send(server.port)).status == 202
        assert len(server.requests) == 1


async def test_a_host_that_moved_is_found(resolver: Use) -> None:
    """Nobody listens where the name led; it is called where it leads now."""
    resolver(to(PUBLIC), to(PRIVATE))
    with hostile(accepting, host=PRIVATE) as there:
        with pytest.raises(NotSent):
            await send(there.port)

        assert (await send(there.port)).status == 202
        assert len(there.requests) == 1


# --- Downloads -----------------------------------------------------------------------------------


async def fetch(url: str, folder: Path) -> Fetched:
    """Fetch a file from the public network only."""
    async with Downloader(
        connections=1, allow_private=False, bytes_max=10_000, stall_s=PATIENCE_S
    ) as downloader:
        return await downloader.fetch(url, Place(folder, "a"), "png")


@every_fault
async def test_a_file_whose_host_does_not_resolve_may_be_had_later(
    fault: str, resolver: Use, tmp_path: Path
) -> None:
    """It is a failure that may pass, and leaves nothing."""
    resolver(FAULTS[fault])
    with pytest.raises(DownloadFailed) as caught:
        await fetch(f"http://{NAME}:1/a.png", tmp_path)

    assert caught.value.retriable
    assert not any(os.scandir(tmp_path))


@pytest.fixture
def _public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one address of this machine stand for the public network, and no other."""
    monkeypatch.setattr(download_checks, "is_public", lambda address: address == PUBLIC)


def giving(peer: Peer) -> None:
    """Give a file."""
    peer.request()
    peer.answer(200, PNG)


@pytest.mark.usefixtures("_public")
@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([to(PRIVATE)], id="private"),
        pytest.param([to(PUBLIC, PRIVATE)], id="both"),
        pytest.param([to(PRIVATE, PUBLIC)], id="both, the private one first"),
        pytest.param([to(PUBLIC), to(PRIVATE)], id="public first, then private"),
    ],
)
async def test_a_name_that_leads_home_is_not_called(
    answers: list[Answer], resolver: Use, tmp_path: Path
) -> None:
    """Each address is judged where it is connected to: a name that was public once is no pass."""
    resolver(*answers)
    with hostile(giving, host=PRIVATE) as home:
        for _ in range(2):  # nobody listens at the public address, at this port
            with pytest.raises(DownloadFailed):
                await fetch(f"http://{NAME}:{home.port}/a.png", tmp_path)

        assert home.connections == 0


@pytest.mark.usefixtures("_public")
async def test_what_is_judged_is_what_is_called(resolver: Use, tmp_path: Path) -> None:
    """A name is looked up once: no second answer can differ from the one that was judged."""
    fake = resolver(to(PUBLIC), to(PRIVATE))
    with hostile(giving) as server:
        assert (await fetch(f"http://{NAME}:{server.port}/a.png", tmp_path)).bytes == len(PNG)

    assert fake.asked == 1


@pytest.mark.usefixtures("_public")
async def test_a_redirect_that_leads_home_is_not_followed(resolver: Use, tmp_path: Path) -> None:
    """A host on the public network cannot send us into our own."""
    resolver(to(PUBLIC))
    with hostile(giving, host=PRIVATE) as home:

        def away(peer: Peer) -> None:
            peer.request()
            peer.answer(302, b"", f"Location: http://{PRIVATE}:{home.port}/a.png")

        with hostile(away) as server:
            with pytest.raises(DownloadFailed, match="private"):
                await fetch(f"http://{NAME}:{server.port}/a.png", tmp_path)

            assert (server.connections, home.connections) == (1, 0)
