"""The kinds of knobs that a fault plan has: how each is written, read, checked and listed.

Rule: a knob is one field of a dataclass, made by the function of its kind, with one line about
itself. What a value means is decided where it is drawn, never here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, field
from textwrap import wrap
from typing import Any, Final, cast

from batcher.core.errors import UsageError
from batcher.simulator.chance import Spread


def share(text: str) -> Any:
    """Declare how many of something are hit, from 0 to 1."""
    return _knob("share 0-1", text, 0.0)


def count(text: str, default: int = 0) -> Any:
    """Declare a whole number."""
    return _knob("count", text, default)


def seconds(text: str) -> Any:
    """Declare one length of time."""
    return _knob("seconds", text, 0.0)


def times(text: str) -> Any:
    """Declare how a time is distributed."""
    return _knob("times", text, Spread())


def usd(text: str, default: float = 0.0) -> Any:
    """Declare an amount of money."""
    return _knob("usd", text, default)


def factor(text: str) -> Any:
    """Declare a factor, 1 by default."""
    return _knob("factor", text, 1.0)


def words(choices: str, text: str) -> Any:
    """Declare one of some words, as in `e5|e4|e2`; the first is the default."""
    return _knob(choices, text, choices.partition("|")[0])


def _knob(kind: str, text: str, default: object) -> Any:
    return field(default=default, metadata={"kind": kind, "text": text})


def kind_of(knob: Field[Any]) -> str:
    """Return the kind of a knob; of a word, all words."""
    return str(knob.metadata["kind"])


def read(name: str, kind: str, text: str) -> object:
    """Read a value as it is typed; raises `UsageError`."""
    try:
        return _READERS.get(kind, str)(text)
    except ValueError as exc:
        why = f": {exc}" if kind == "times" else f" is not a {kind}"
        raise UsageError(f"faults: {name}={text}{why}") from exc


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "share 0-1": float,
    "count": int,
    "seconds": float,
    "times": Spread.parse,
    "usd": float,
    "factor": float,
}


def check(name: str, kind: str, value: object) -> None:
    """Raise `UsageError` if *value* cannot be that of a knob of this *kind*."""
    match kind:
        case "share 0-1":
            good = 0.0 <= cast("float", value) <= 1.0
        case "count":
            good = cast("int", value) >= (-1 if name == "credits" else 0)
        case "seconds" | "usd" | "factor":
            good = math.isfinite(cast("float", value)) and cast("float", value) >= 0
        case "times":
            good = isinstance(value, Spread)
        case _:
            good = value in kind.split("|")

    if not good:
        raise UsageError(f"faults: {name}={value} is not a {kind}")


def listed(knob: Field[Any]) -> Iterator[str]:
    """Yield the lines of one knob: name, kind, what it does, and what it is if that is not 0."""
    kind, text = kind_of(knob), str(knob.metadata["text"])
    if isinstance(knob.default, int | float) and knob.default:
        text += f" [{knob.default:g}]"

    if kind not in _READERS:
        kind, text = "word", f"{text}: {kind.replace('|', ', ')}"

    head = f"  {knob.name:<18} {kind:<9} "
    yield from wrap(text, LINE_CHARS, initial_indent=head, subsequent_indent=" " * len(head))


LINE_CHARS: Final = 76  # what is left of 80 columns within the help's own margin
