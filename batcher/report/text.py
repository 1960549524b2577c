"""Words for numbers and times, and a way to show text that a stranger wrote.

Rule: nothing that comes out of here can move a cursor, colour a line, ring a bell or turn the
direction of writing.
"""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Iterator
from textwrap import wrap

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # Unicode's general categories

COLUMNS = 80
LONE_BYTE = 0xDC00
GLUE = "\0"  # a blank at which no line is broken

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
SPAN_MIN = 3  # of a unit, from which a span is told in it: `90 to 150 min`, not `2 to 2 h`


def plain(text: object, chars_max: int = 200) -> str:
    """Return *text* in one line, unprintable characters as escapes, cut to *chars_max*."""
    cut = str(text)[: chars_max + 1]
    seen = "".join(_visible(char) for char in cut)
    return seen if len(seen) <= chars_max else seen[: max(0, chars_max - 1)] + "…"


def _visible(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Zs" or char in "\n\t\r":  # blanks of all widths
        return " "

    if category not in _UNSEEN:
        return char

    return char.encode("unicode_escape").decode()


def count_text(number: int) -> str:
    """Return `1,234`."""
    return f"{number:,}"


def rows_text(number: int) -> str:
    """Return `1 row` or `1,234 rows`."""
    return f"{number:,} row" if number == 1 else f"{number:,} rows"


def duration_text(seconds: float) -> str:
    """Return a duration in its two largest units: `45 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`."""
    parts = list(_parts(max(0, round(seconds))))
    first = next((n for n, (amount, _) in enumerate(parts) if amount), len(parts) - 1)
    shown = [f"{amount} {unit}" for amount, unit in parts[first : first + 2] if amount]
    return " ".join(shown) or "0 s"


def _parts(seconds: int) -> Iterator[tuple[int, str]]:
    for size, unit in _UNITS:
        amount, seconds = divmod(seconds, size)
        yield amount, unit


def span_text(low_s: float, high_s: float) -> str:
    """Return a span of time in the largest unit that suits its end: `9 to 13 min`."""
    size, unit = next(found for found in _UNITS if high_s >= SPAN_MIN * found[0] or found[0] == 1)
    low, high = round(low_s / size), max(1, round(high_s / size))
    return f"{'' if low == high else f'{low:,} to '}{high:,} {unit}"


def rate_text(per_s: float) -> str:
    """Return requests per second in so few digits that they do not flicker: `0.25/s`, `12/s`."""
    digits = 2 if per_s < 1 else 1 if per_s < 10 else 0
    return f"{per_s:,.{digits}f}/s"


def stop_text(reason: str, message: str, meaning: str = "") -> str:
    """Return why a run stops; a message that begins with its reason says it once."""
    if message.startswith(reason):
        return message

    return f"{reason} ({meaning}): {message}" if meaning else f"{reason}: {message}"


def unbroken(text: str) -> str:
    """Return *text* so that `folded` keeps it in one piece: a command must be pasted whole."""
    return text.replace(" ", GLUE)


def folded(line: str) -> Iterator[str]:
    """Yield a line that is wider than 80 columns as several, all but the first indented."""
    indent = " " * (len(line) - len(line.lstrip(" ")) + 2)
    parts = wrap(
        line, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    for part in parts if len(line) > COLUMNS else [line]:
        yield part.replace(GLUE, " ")


def command_text(*words: str) -> str:
    """Return a command as it can be pasted into a shell.

    A path that begins with a dash must be given as `./-…`: no quoting keeps it from being a flag.
    A word with characters that no terminal should get is written as bash, zsh and ksh read escapes.
    """
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    if not any(unicodedata.category(char) in _UNSEEN for char in word):
        return shlex.quote(word)

    return f"$'{''.join(map(_escaped, word))}'"


def _escaped(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"

    if unicodedata.category(char) not in _UNSEEN:
        return char

    code = ord(char)
    if LONE_BYTE <= code <= LONE_BYTE + 0xFF:  # how Python holds a byte of a path that is not UTF-8
        return f"\\x{code - LONE_BYTE:02x}"

    return f"\\U{code:08x}"


def path_word(path: object) -> str:
    """Return a path as an argument that no parser takes for a flag."""
    text = str(path)
    return f"./{text}" if text.startswith("-") and text != "-" else text
