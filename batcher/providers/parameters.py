"""What a row may say to an API: named parameters with types.

Rule: strict in what is sent. A dialect lists its parameters once; from that list come the checks,
the conversion of CSV cells, the hints for mistyped names and the fields of the request. Columns
that are not in the list are never sent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache

import orjson

from batcher.core.errors import UsageError
from batcher.providers.base import Problem
from batcher.providers.reading import WORD_CHARS_MAX, clean, decode_json, json_text

OWN_COLUMNS = ("id", "file", "file_url")  # a row's columns that are ours, not an API's
NEAR_MISS = 0.8  # difflib's ratio from which a name counts as mistyped

_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(?:[eE][+-]?\d{1,3})?", re.ASCII)


class Kind(StrEnum):
    """The type of a parameter, in JSON's words as a person reads them in a message."""

    STRING = "a string"
    INTEGER = "a whole number"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    OBJECT = "an object"
    ARRAY = "an array"


TEXT = (Kind.STRING,)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an API, under the API's own name."""

    name: str
    about: str  # one line for a person
    kinds: tuple[Kind, ...] = TEXT
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    required: bool = False
    default: str | None = None  # sent when neither the row nor the run says anything
    check: Callable[[object], str | None] | None = None  # what else is wrong with a value

    def fault(self, value: object) -> str | None:
        """Say what is wrong with a value and what is allowed, or return None."""
        if self.choices and value not in self.choices:
            return f"is {_shown(value)}; allowed are: {', '.join(self.choices)}"

        if self.kinds == TEXT and isinstance(value, str) and value.isascii():  # as most are
            return self.check(value) if self.check is not None else None

        if not any(_is_of(kind, value) for kind in self.kinds):
            return f"must be {' or '.join(self.kinds)}, not {_shown(value)}"

        if self.minimum is not None and isinstance(value, int | float) and value < self.minimum:
            return f"is {_shown(value)}; it must be at least {self.minimum:g}"

        if json_text(value) is None:  # such as a lone surrogate, or an integer beyond 64 bits
            return "cannot be sent: JSON cannot hold it"

        return self.check(value) if self.check is not None else None


def _is_of(kind: Kind, value: object) -> bool:
    """Tell whether a JSON value is of a kind; a boolean is never a number."""
    match kind:
        case Kind.STRING:
            return isinstance(value, str)
        case Kind.INTEGER:
            return isinstance(value, int) and not isinstance(value, bool)
        case Kind.NUMBER:
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            return is_whole or (isinstance(value, float) and math.isfinite(value))
        case Kind.BOOLEAN:
            return isinstance(value, bool)
        case Kind.OBJECT:
            return isinstance(value, dict)
        case Kind.ARRAY:
            return isinstance(value, list)


def _shown(value: object) -> str:
    """Return a value for a message: as JSON, short and printable."""
    return clean(json_text(value) or "a value that JSON cannot hold", WORD_CHARS_MAX)


def chosen(
    parameters: Iterable[Parameter], run: Mapping[str, object], row: Mapping[str, object]
) -> dict[str, object]:
    """Return the run's values overlaid by the row's, these names only.

    A null or an empty text says nothing, like an empty CSV cell: it hides no value of the run.
    """
    found: dict[str, object] = {}
    for parameter in parameters:
        name = parameter.name
        value = row.get(name)
        if value is None or value == "":
            value = run.get(name)
            if value is None or value == "":
                value = parameter.default

        if value is not None and value != "":
            found[name] = value

    return found


def faults(parameters: Iterable[Parameter], values: Mapping[str, object]) -> list[Problem]:
    """Return what is wrong with chosen *values*: required ones that are absent, bad ones."""
    found = []
    for parameter in parameters:
        if parameter.name in values:
            fault = parameter.fault(values[parameter.name])
        else:
            fault = f"is required: {parameter.about}" if parameter.required else None

        if fault is not None:
            found.append(Problem(parameter.name, fault))

    return found


def near_misses(known: tuple[str, ...], values: Mapping[str, object]) -> list[Problem]:
    """Return a warning for each column whose name is nearly one that the row does not have."""
    guesses = [(name, _nearest(name, known)) for name in values if name not in known]
    return [
        Problem(name, f"did you mean {guess}? It is not sent", warning=True)
        for name, guess in guesses
        if guess is not None and guess not in values
    ]


@lru_cache(maxsize=1_024)  # the same columns come back with every row of a manifest
def _nearest(name: str, known: tuple[str, ...]) -> str | None:
    """Return the known name that *name* is most likely meant to be, or None."""
    close = get_close_matches(name[:WORD_CHARS_MAX].lower(), known, n=1, cutoff=NEAR_MISS)
    return close[0] if close else None


def typed(parameters: Iterable[Parameter], values: Mapping[str, object]) -> dict[str, object]:
    """Return *values* with text turned into its parameter's type where that is unambiguous.

    For CSV cells, which are all text. What does not read as the type stays text and is a problem
    of the row then; unknown columns stay as they are.
    """
    kinds = {parameter.name: parameter.kinds for parameter in parameters}
    return {
        name: _typed_cell(kinds[name], value) if name in kinds and isinstance(value, str) else value
        for name, value in values.items()
    }


def _typed_cell(kinds: tuple[Kind, ...], cell: str) -> object:
    """Return a cell as the first kind that it reads as, or as the text that it is."""
    text = cell.strip()
    for kind in kinds:
        value = _parsed(kind, text)
        if value is not None:
            return value

    return cell


def _parsed(kind: Kind, text: str) -> object | None:
    """Return the value of one kind that a text stands for, or None."""
    match kind:
        case Kind.INTEGER if _INTEGER.fullmatch(text):
            return int(text)
        case Kind.NUMBER if _NUMBER.fullmatch(text):
            return int(text) if _INTEGER.fullmatch(text) else _finite(float(text))
        case Kind.BOOLEAN:
            return {"true": True, "false": False}.get(text.lower())
        case Kind.OBJECT | Kind.ARRAY:
            value = decode_json(text.encode("utf-8", "replace"))
            return value if _is_of(kind, value) else None
        case _:
            return None


def _finite(value: float) -> float | None:
    """Return a number that JSON can carry, or None."""
    return value if math.isfinite(value) else None


def run_values(
    parameters: Sequence[Parameter], settings: tuple[str, ...], params: Mapping[str, object]
) -> dict[str, object]:
    """Return `--set` values as the parameters' types; *settings* are names that are not sent.

    A command line knows no types: `--set prompt=7` arrives as a number and is meant as text.
    Raises `UsageError` for a name that no row is ever sent with, because the run would be paid
    for without it.
    """
    known = (*settings, *(parameter.name for parameter in parameters))
    for name in params:
        if name in OWN_COLUMNS:
            raise UsageError(f"--set {name}: it belongs into the manifest's rows, not to the run")

        if name not in known:
            near = _nearest(name, known)
            hint = f"did you mean {near}?" if near else f"known are: {', '.join(known)}"
            raise UsageError(f"--set {clean(name)}: no such parameter; {hint}")

    texts = {parameter.name for parameter in parameters if Kind.STRING in parameter.kinds}
    return {
        name: _as_text(name, value) if name in texts else value for name, value in params.items()
    }


def _as_text(name: str, value: object) -> object:
    """Return a whole number or boolean of the command line as the text that was typed."""
    if isinstance(value, float):
        raise UsageError(
            f"--set {name}: reads as the number {value}; put such a text into the rows"
        )

    return str(value).lower() if isinstance(value, bool | int) else value


def form_fields(values: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Return values as multipart fields: text as it is, booleans as 1 and 0, the rest as JSON.

    1 and 0 are what the multipart forms of PHP frameworks read as booleans; `true` is refused.
    """
    return tuple((name, _form_text(value)) for name, value in values.items())


def _form_text(value: object) -> str:
    """Return one value as a form carries it."""
    if isinstance(value, str):
        return value

    return ("1" if value else "0") if isinstance(value, bool) else orjson.dumps(value).decode()
