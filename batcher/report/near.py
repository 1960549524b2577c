"""Ids that one may have meant, when there is no row with the id that was typed.

Rule: guesses are made from what was typed and looked up one by one, so that a run of a million rows
is asked a few thousand times and never read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice

GUESSES_MAX = 6_000
NEAR_MAX = 3
CHARS_MAX = 64  # of an id that is guessed at letter by letter
DIGITS_MAX = 9
ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz-_./"


def near_ids(typed: str, is_there: Callable[[str], bool]) -> list[str]:
    """Return up to three ids that are there and nearly what was *typed*, the likeliest first."""
    guesses = dict.fromkeys(islice(_guesses(typed), GUESSES_MAX))
    guesses.pop(typed, None)
    return list(islice(filter(is_there, guesses), NEAR_MAX))


def _guesses(typed: str) -> Iterator[str]:
    for text in (typed.strip(), typed.lower(), typed.upper()):
        yield text
        yield from _numbers(text)

    if len(typed) <= CHARS_MAX:
        yield from _one_letter(typed)


def _numbers(text: str) -> Iterator[str]:
    """Yield *text* with its last number written with fewer and with more zeros."""
    found = re.search(r"(\d+)(?=\D*$)", text)
    if found is None:
        return

    number = found[1].lstrip("0") or "0"
    for digits in range(1, DIGITS_MAX + 1):
        yield f"{text[: found.start()]}{number.zfill(digits)}{text[found.end() :]}"


def _one_letter(text: str) -> Iterator[str]:
    """Yield what is one slip of a finger away: two letters turned round, one too many, …"""
    splits = [(text[:n], text[n:]) for n in range(len(text) + 1)]
    letters = "".join(dict.fromkeys(text + ALPHABET + ALPHABET.upper()))
    yield from (a + b[1] + b[0] + b[2:] for a, b in splits if len(b) > 1)
    yield from (a + b[1:] for a, b in splits if b)
    yield from (a + letter + b[1:] for a, b in reversed(splits) if b for letter in letters)
    yield from (a + letter + b for a, b in reversed(splits) for letter in letters)
