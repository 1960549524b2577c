"""Answers that end in a strange way, or never, and answers that come before anybody listened."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping

from tests.proofs.malformed.frames import BOMBS
from tests.proofs.malformed.kinds import END, OK, Kind, Says, bound, chunked, sized
from tests.support.hostile import Peer

Act = Callable[[Peer], None]

DRIP_S = 0.02


def close(peer: Peer) -> None:
    """End the connection in good order."""


def reset(peer: Peer) -> None:
    """End it with a reset."""
    peer.reset()


def half_close(peer: Peer) -> None:
    """Say no more, and listen on."""
    peer.socket.shutdown(socket.SHUT_WR)
    peer.wait_gone()


def stay(peer: Peer) -> None:
    """Say no more, and do not end it either."""
    peer.wait_gone()


ENDS: Mapping[str, Act] = {"close": close, "reset": reset, "half close": half_close, "stay": stay}


def _drip(peer: Peer) -> None:
    while not peer.ended.wait(DRIP_S):
        peer.send(b" ")


def _flood(piece: bytes) -> Act:
    many = piece * (65_536 // len(piece))

    def flood(peer: Peer) -> None:
        while not peer.ended.is_set():
            peer.send(many)

    return flood


# What never ends: the bytes before it, and what goes on. The last word: is it more than fits?
ENDLESS: Mapping[str, tuple[bytes, Act, bool]] = {
    "silence": (b"", stay, False),
    "silence in the first line": (b"HTTP/1.1 20", stay, False),
    "silence in the headers": (OK, stay, False),
    "silence after a length": (OK + b"Content-Length: 20\r\n\r\n", stay, False),
    "silence without a length": (OK + END, stay, False),
    "silence in a chunk": (chunked(b"ff\r\n{"), stay, False),
    "silence after 100": (b"HTTP/1.1 100 Continue\r\n\r\n", stay, False),
    "silence after 10 GB were promised": (
        OK + b"Content-Length: 10000000000\r\n\r\n{",
        stay,
        False,
    ),
    "a dripping first line": (b"HTTP/1.1 200", _drip, False),
    "dripping headers": (OK + b"A:", _drip, False),
    "a dripping body": (OK + b"Content-Length: 4000\r\n\r\n", _drip, False),
    "a dripping body without a length": (OK + END, _drip, False),
    "an endless first line": (b"HTTP/1.1 200 ", _flood(b"x"), True),
    "an endless header": (OK + b"A: ", _flood(b"x"), True),
    "endless headers": (OK, _flood(b"A: b\r\n"), True),
    "endless blank lines": (b"", _flood(END), True),
    "endless interim answers": (b"", _flood(b"HTTP/1.1 100 Continue\r\n\r\n"), True),
    "an endless body": (OK + END, _flood(b" "), True),
    "endless chunks": (chunked(), _flood(b"1000\r\n" + b" " * 4_096 + END), True),
    "an endless chunk": (chunked(b"fffffffffff\r\n"), _flood(b" "), True),
    "an endless extension of a chunk": (chunked(b"1;"), _flood(b"x"), True),
    "endless trailers": (chunked(b"0\r\n"), _flood(b"A: b\r\n"), True),
}


def end_kinds() -> Iterator[Kind]:
    """Yield answers by how they end: whole or not at all, and bombs."""
    for name, end in ENDS.items():
        yield Kind(f"no answer, then {name}", Says.NOTHING, _ending(None, end), name != "stay")
        whole = Says.PERHAPS if name == "reset" else Says.ALL
        yield Kind(f"a whole answer, then {name}", whole, _ending(sized, end))
        yield Kind(
            f"half an answer, then {name}", Says.NOTHING, _ending(_half, end), name != "stay"
        )

    for name, (begin, go_on, heavy) in ENDLESS.items():
        yield Kind(name, Says.NOTHING, _endless(begin, go_on), ends=False, heavy=heavy)

    for name, (word, make) in BOMBS.items():
        bomb = sized(make(), f"Content-Encoding: {word}".encode())
        yield Kind(
            f"a bomb: {name}",
            Says.NOTHING,
            bound(lambda peer, _, bomb: peer.send(bomb), bomb),
            heavy=True,
        )


def _half(good: bytes) -> bytes:
    answer = sized(good)
    return answer[: len(answer) - len(good) // 2]


def _ending(make: Callable[[bytes], bytes] | None, end: Act) -> Callable[[Peer, bytes], None]:
    def send(peer: Peer, good: bytes) -> None:
        if make is not None:
            peer.send(make(good))

        end(peer)

    return send


def _endless(begin: bytes, go_on: Act) -> Callable[[Peer, bytes], None]:
    def send(peer: Peer, good: bytes) -> None:
        peer.send(begin)
        go_on(peer)

    return send


# --- Before the request was read ---------------------------------------------------------------

EARLY = {
    **dict.fromkeys((400, 401, 402, 403, 413, 415, 422, 429, 503), Says.REFUSAL),
    **dict.fromkeys((500, 502, 504), Says.NOTHING),
    200: Says.PERHAPS,
}


def early_kinds() -> Iterator[Kind]:
    """Yield answers to an upload of which only the headers were read."""
    for status, says in EARLY.items():
        begin = b"HTTP/1.1 %d X\r\n" % status
        for name, end in ENDS.items():

            def send(peer: Peer, good: bytes, begin: bytes = begin, end: Act = end) -> None:
                body = good if begin.startswith(b"HTTP/1.1 2") else b'{"error":"early"}'
                peer.send(sized(body, b"Connection: close", begin=begin))
                end(peer)

            yield Kind(f"an early {status}, then {name}", says, send, status=status, early=True)

    for end in (close, reset):
        yield Kind(
            f"no answer while it uploads, then {end.__name__}",
            Says.NOTHING,
            _ending(None, end),
            early=True,
        )
