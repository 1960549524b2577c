"""All kinds together, for an endpoint that answers in JSON or with a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from random import Random

from tests.proofs.malformed.contents import texts, wrong_values
from tests.proofs.malformed.ends import early_kinds, end_kinds
from tests.proofs.malformed.frames import around, encodings, lengths
from tests.proofs.malformed.heads import first_lines, headers
from tests.proofs.malformed.kinds import OK, Kind, Make, Says, bound, sized
from tests.support.hostile import Peer

__all__ = ["early_kinds", "kinds_of"]

CODES = (
    *(201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308),
    *range(399, 419),
    *(420, 421, 422, 423, 424, 425, 426, 428, 429, 430, 431, 440, 444, 451, 460, 494, 499),
    *range(500, 512),
    *(520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 598, 599, 600, 700, 999),
)
UNTIL_CLOSED = ("no length",)
ELSEWHERE = (b"http://127.0.0.1:1/x", b"/", b"//evil.invalid", b"file:///etc/passwd", b"", b"\xff")


def kinds_of(good: bytes, *, is_json: bool, noise: int) -> Iterator[Kind]:
    """Yield every kind around the right body *good*; *noise*: so many random ones."""
    makers = [first_lines(), headers(), lengths(), encodings(), around(), _noise(noise)]
    for name, says, make in chain.from_iterable(makers):
        keeps = says is Says.ALL and name not in UNTIL_CLOSED
        yield Kind(name, says, _sending(make), keeps=keeps)

    if is_json:
        for name, says, make in chain(texts(), wrong_values(good)):
            yield Kind(name, says, _sending(bound(lambda good, make: sized(make(good)), make)))

    yield from _codes()
    yield from end_kinds()


def _sending(make: Make) -> Callable[[Peer, bytes], None]:
    return lambda peer, good: peer.send(make(good))


def _codes() -> Iterator[Kind]:
    """Yield each status code with nothing in it and with the right body, and each redirect."""
    for code in CODES:
        begin = b"HTTP/1.1 %d X\r\n" % code
        is_refusal = 300 <= code < 500 or code == 503
        bodiless = code in (204, 205, 304)
        empty = Says.REFUSAL if is_refusal else Says.NOTHING
        yield Kind(
            f"{code} with an empty object",
            empty,
            _sending(bound(lambda good, begin: sized(b"{}", begin=begin), begin)),
            status=code,
        )
        full = Says.ALL if 200 <= code < 300 else Says.NOTHING
        yield Kind(
            f"{code} with the right body",
            (Says.REFUSAL if code == 304 else Says.PERHAPS) if bodiless else full,
            _sending(bound(lambda good, begin: sized(good, begin=begin), begin)),
            status=code,
        )

    for code in (301, 302, 303, 307, 308):
        for target in ELSEWHERE:
            begin = b"HTTP/1.1 %d X\r\nLocation: %s\r\n" % (code, target)
            yield Kind(
                f"{code} to {target!r}",
                Says.REFUSAL,
                _sending(bound(lambda good, begin: sized(b"{}", begin=begin), begin)),
                status=code,
                keeps=True,
            )


def _noise(count: int) -> Iterator[tuple[str, Says, Make]]:
    """Yield right answers with some bytes changed behind their first line: never a refusal."""
    for seed in range(count):
        yield (
            f"noise {seed}",
            Says.PERHAPS,
            bound(lambda good, seed: _spoiled(good, Random(seed)), seed),
        )


def _spoiled(good: bytes, rng: Random) -> bytes:
    answer = bytearray(sized(good, b"Content-Type: application/json", b"Connection: keep-alive"))
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(len(OK), len(answer))
        match rng.randrange(4):
            case 0:
                answer[place] = rng.randrange(256)
            case 1:
                answer[place : place + rng.randrange(1, 9)] = b""
            case 2:
                answer[place:place] = rng.randbytes(rng.randrange(1, 9))
            case _:
                answer[place:place] = answer[place : place + rng.randrange(1, 40)]

        answer += b"!" * (len(OK) + 1 - len(answer))

    return bytes(answer)
