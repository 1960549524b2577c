"""Answers whose length, chunks or encoding are wrong, and right ones that are cut or surrounded."""

from __future__ import annotations

import gzip
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping

from tests.proofs.malformed.kinds import (
    END,
    LAST,
    MANY,
    OK,
    Make,
    Says,
    bound,
    chunk,
    chunked,
    sized,
)

BOMB_BYTES = 20_000_000
# 50 MB of zeros by Brotli; by Zstandard in blocks that repeat one byte (RFC 8878, 3.1.1.2).
BROTLI_BOMB = b64decode(
    "y///P/gnAOKxQCD3/o///3/wTwDEYRGA7v0f////4J8AiMMCAN37P/7//8E/ARCHBQC693/8//+DfwIg"
    "DgsAdO//8g9eD/8EQBwWAOig6wE="
)
ZSTD_BOMB = bytes.fromhex("28b52ffd0038") + 380 * bytes.fromhex("02001000") + b"\x03\x00\x10\x00"

# --- Lengths and chunks ------------------------------------------------------------------------

LENGTHS: Mapping[str, Says] = {
    **dict.fromkeys(("", "-1", "five", "5 5", "0x10", "1e3", "5,6", "5.0"), Says.PERHAPS),
    **dict.fromkeys(("+{n}", "0{n}", " {n} ", "{n},{n}", "{n}.", "{n};", "{n}x"), Says.PERHAPS),
    **dict.fromkeys(("{n}\r\nContent-Length: {n}", "{n}\r\nContent-Length: 3"), Says.PERHAPS),
    **dict.fromkeys(("0", "1", "{less}", "{more}", "10000000000"), Says.NOTHING),
    **dict.fromkeys(("9223372036854775808", "18446744073709551617", "9" * 40), Says.NOTHING),
}
CHUNKS: Mapping[str, tuple[Says, Make]] = {
    "one chunk": (Says.ALL, lambda good: chunk(good) + LAST),
    "bytes": (Says.ALL, lambda good: b"".join(chunk(bytes([b])) for b in good) + LAST),
    "capitals": (Says.ALL, lambda good: b"%X\r\n" % len(good) + good + b"\r\n" + LAST),
    "zeros": (Says.PERHAPS, lambda good: b"0000%x\r\n" % len(good) + good + b"\r\n" + LAST),
    "extension": (Says.PERHAPS, lambda good: b"%x;a=b\r\n" % len(good) + good + b"\r\n" + LAST),
    "long extension": (
        Says.PERHAPS,
        lambda good: b"%x;%s\r\n" % (len(good), b"a" * 100_000) + good + b"\r\n" + LAST,
    ),
    "trailers": (Says.PERHAPS, lambda good: chunk(good) + b"0\r\nA: b\r\n\r\n"),
    "strange trailers": (Says.PERHAPS, lambda good: chunk(good) + b"0\r\nno colon\r\n\r\n"),
    "many trailers": (Says.PERHAPS, lambda good: chunk(good) + b"0\r\n" + b"A: b\r\n" * MANY + END),
    "no last": (Says.NOTHING, lambda good: chunk(good)),
    "half a last": (Says.NOTHING, lambda good: chunk(good) + b"0\r\n"),
    "an endless last": (Says.NOTHING, lambda good: chunk(good) + b"0"),
    "too short": (Says.NOTHING, lambda good: b"%x\r\n%s\r\n" % (len(good) - 1, good) + LAST),
    "too long": (Says.NOTHING, lambda good: b"%x\r\n%s\r\n" % (len(good) + 3, good) + LAST),
    "far too long": (Says.NOTHING, lambda good: b"ffffff\r\n" + good + b"\r\n" + LAST),
    "2 ** 64": (Says.NOTHING, lambda good: b"1" + b"0" * 16 + END + good + b"\r\n" + LAST),
    "many digits": (Says.NOTHING, lambda good: b"f" * 60 + END + good + b"\r\n" + LAST),
    "negative": (Says.NOTHING, lambda good: b"-%x\r\n" % len(good) + good + b"\r\n" + LAST),
    "prefix": (Says.NOTHING, lambda good: b"0x%x\r\n" % len(good) + good + b"\r\n" + LAST),
    "no size": (Says.NOTHING, lambda good: b"\r\n" + good + b"\r\n" + LAST),
    "no hex": (Says.NOTHING, lambda good: b"size\r\n" + good + b"\r\n" + LAST),
    "blank": (Says.PERHAPS, lambda good: b" %x \r\n" % len(good) + good + b"\r\n" + LAST),
    "LF only": (Says.PERHAPS, lambda good: b"%x\n%s\n0\n\n" % (len(good), good)),
    "no line end": (Says.PERHAPS, lambda good: b"%x\r\n" % len(good) + good + LAST),
    "none at all": (Says.NOTHING, lambda good: good),
    "last first": (Says.NOTHING, lambda good: LAST + chunk(good) + LAST),
    "surplus": (Says.PERHAPS, lambda good: chunk(good) + LAST + chunk(b"more")),
}  # fmt: skip


def lengths() -> Iterator[tuple[str, Says, Make]]:
    """Yield answers whose length is wrong, or told in another way."""
    for text, says in LENGTHS.items():
        yield f"length {text!r}"[:60], says, bound(lambda good, text: (
            OK + f"Content-Length: {text}\r\n\r\n".format(
                n=len(good), less=len(good) - 1, more=len(good) + 1
            ).encode() + good
        ), text)  # fmt: skip

    for name, (says, make) in CHUNKS.items():
        yield f"chunks: {name}", says, bound(lambda good, make: chunked(make(good)), make)

    yield "no length", Says.ALL, lambda good: OK + END + good
    yield "no length, cut", Says.NOTHING, lambda good: OK + END + good[: len(good) // 2]
    yield (
        "chunks and a length",
        Says.PERHAPS,
        lambda good: (
            OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(good) + LAST
        ),
    )


# --- Encodings ---------------------------------------------------------------------------------

PACKED: Mapping[str, tuple[Says, str, Make]] = {
    "gzip": (Says.ALL, "gzip", gzip.compress),
    "GZIP in capitals": (Says.PERHAPS, "GZIP", gzip.compress),
    "x-gzip": (Says.PERHAPS, "x-gzip", gzip.compress),
    "deflate": (Says.ALL, "deflate", zlib.compress),
    "bare deflate": (Says.PERHAPS, "deflate", lambda good: zlib.compress(good)[2:-4]),
    "gzip twice": (Says.PERHAPS, "gzip, gzip", lambda good: gzip.compress(gzip.compress(good))),
    "gzip of two members": (
        Says.PERHAPS,
        "gzip",
        lambda good: gzip.compress(good[:9]) + gzip.compress(good[9:]),
    ),
    "gzip with more behind": (Says.PERHAPS, "gzip", lambda good: gzip.compress(good) + b"more"),
    "gzip of a wrong sum": (Says.PERHAPS, "gzip", lambda good: gzip.compress(good)[:-8] + bytes(8)),
    "gzip cut": (Says.NOTHING, "gzip", lambda good: gzip.compress(good)[: len(good) // 3]),
    "deflate cut": (Says.NOTHING, "deflate", lambda good: zlib.compress(good)[: len(good) // 3]),
    "gzip of nothing": (Says.NOTHING, "gzip", lambda good: gzip.compress(b"")),
    "gzip that is none": (Says.NOTHING, "gzip", lambda good: good),
    "deflate that is none": (Says.NOTHING, "deflate", lambda good: good),
    "gzip under another name": (Says.NOTHING, "br", gzip.compress),
    "gzip untold": (Says.NOTHING, "identity", gzip.compress),
}
BOMBS: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "gzip": ("gzip", lambda: gzip.compress(bytes(BOMB_BYTES), 1)),
    "deflate": ("deflate", lambda: zlib.compress(bytes(BOMB_BYTES), 1)),
    "gzip in gzip": ("gzip, gzip", lambda: gzip.compress(gzip.compress(bytes(BOMB_BYTES), 1))),
    "brotli": ("br", lambda: BROTLI_BOMB),
    "zstandard": ("zstd", lambda: ZSTD_BOMB),
}


def encodings() -> Iterator[tuple[str, Says, Make]]:
    """Yield answers that are packed, rightly or wrongly."""
    for name, (says, word, make) in PACKED.items():
        yield (
            name,
            says,
            bound(
                lambda good, word, make: sized(make(good), f"Content-Encoding: {word}".encode()),
                word,
                make,
            ),
        )


# --- Cut, doubled, preceded --------------------------------------------------------------------

CUTS = 40  # places at which an answer is cut, evenly spread
INTERIM: Mapping[str, tuple[Says, bytes]] = {
    "100": (Says.ALL, b"HTTP/1.1 100 Continue\r\n\r\n"),
    "three 103": (Says.ALL, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3),
    "102": (Says.ALL, b"HTTP/1.1 102 Processing\r\n\r\n"),
    "199": (Says.PERHAPS, b"HTTP/1.1 199 What\r\n\r\n"),
    "100 with a length": (Says.PERHAPS, b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\n"),
    "101": (Says.PERHAPS, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    "5,000 interim answers": (Says.PERHAPS, b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000),
}
SURPLUS = {  # what is no HTTP may spoil what came in the same piece
    "another answer": (
        Says.ALL,
        b'HTTP/1.1 202 X\r\nContent-Length: 14\r\n\r\n{"job_id":"9"}',
    ),
    "a 408": (Says.ALL, b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"),
    "a line end": (Says.ALL, END),
    "a text": (Says.PERHAPS, b"and so on"),
    "1 MB": (Says.PERHAPS, bytes(1_000_000)),
}
REFUSED = b"HTTP/1.1 402 Payment Required\r\n"


def around() -> Iterator[tuple[str, Says, Make]]:
    """Yield right answers that are cut somewhere, or have something before or behind them."""
    for name, (says, text) in INTERIM.items():
        yield f"{name} first", says, bound(lambda good, text: text + sized(good), text)

    yield "only interim answers", Says.NOTHING, lambda good: b"HTTP/1.1 100 Continue\r\n\r\n" * 3
    for name, (says, text) in SURPLUS.items():
        yield f"{name} behind", says, bound(lambda good, text: sized(good) + text, text)

    for n in range(CUTS):
        yield f"cut at {n}/{CUTS}", Says.NOTHING, bound(lambda good, n: _part(sized(good), n), n)

    for n in range(0, CUTS, 4):
        yield (
            f"a refusal cut at {n}/{CUTS}",
            Says.NOTHING,
            bound(lambda good, n: _part(sized(good, begin=REFUSED), n), n),
        )


def _part(answer: bytes, n: int) -> bytes:
    return answer[: len(answer) * n // CUTS]
