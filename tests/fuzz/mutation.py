"""Mutations of seeds: the same number gives the same bytes, on every machine.

Rule: an edit takes some bytes out at a place and puts others in; a mutant is a seed with a few
edits. Nothing is learned from what a reader does: where atheris can be had, that does it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.fuzz.readers import Reader

EDITS_MAX: Final = 6
BYTES_MAX: Final = 65_536  # of a mutant
TOKENS: Final = (
    *(
        b"",
        b"\0",
        b"\n",
        b"\r\n",
        b"\n\n",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\x1b[2J",
        b" ",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"'",
        b"\\",
        b",",
        b":",
        b"=",
        b";",
        b"/",
        b"../",
        b"%00",
        b"#",
    ),
    *(b"null", b"true", b"NaN", b"1e999", b"-1", b"0", b"9" * 25, b"9" * 400, b"0x1", b"\\ud800"),
    *(
        b"[" * 2_000,
        b'{"a":' * 1_200,
        b"a" * 600,
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        bytes(8),
    ),
    *("٣".encode(), "\u202e".encode(), "\u2028".encode(), "🦶".encode(), b"\x1f\x8b"),
)

Edit = tuple[int, int, bytes]  # at which place, how many bytes go, which come


@dataclass(frozen=True)
class Finding:
    """Bytes that broke a reader, and the number that they can be had by again."""

    number: int
    data: bytes
    error: Exception


def edited(seed: bytes, edits: Iterable[Edit]) -> bytes:
    """Return *seed* with *edits*; places count around."""
    for at, gone, put in edits:
        start = at % (len(seed) + 1)
        seed = seed[:start] + put + seed[start + gone :]

    return seed[:BYTES_MAX]


def mutant(seeds: Sequence[bytes], number: int) -> bytes:
    """Return the mutant of a number."""
    random = Random(number)
    seed = random.choice(seeds)
    edits = (_edit(random, seeds) for _ in range(random.randint(1, EDITS_MAX)))
    return edited(seed, edits)


def hunt(reader: Reader, seeds: Sequence[bytes], numbers: Iterable[int]) -> Finding | None:
    """Feed mutants to a reader until one breaks it."""
    for number in numbers:
        data = mutant(seeds, number)
        try:
            reader(data)
        except Exception as error:
            return Finding(number, data, error)

    return None


def _edit(random: Random, seeds: Sequence[bytes]) -> Edit:
    at, gone = random.randrange(BYTES_MAX), random.choice((0, 0, 1, 1, 2, 4, 16, 200))
    kind = random.randrange(4)
    if kind == 0:
        return at, gone, random.randbytes(random.choice((1, 1, 2, 4, 8)))

    if kind == 1:  # a piece of another seed
        other = random.choice(seeds)
        start = random.randrange(len(other) + 1)
        return at, gone, other[start : start + random.randrange(1, 64)]

    return at, gone, random.choice(TOKENS)
