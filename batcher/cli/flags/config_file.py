"""`batcher.toml`: what a person writes down once instead of typing it every night.

Rule: its keys are the flags of `run`, with - or _; it stands below flags and environment. A key
that is no flag is refused, because a limit that silently does nothing costs money.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

NAME = "batcher.toml"
LISTS = ("set", "variants", "fail_on", "on_finish")  # what may be written as a list of texts
SEVERAL = ("fail_on",)  # flags that may be given again, of which a text is one

_TABLE = re.compile(r"\s*\[")


def read_config(path: Path, known: Iterable[str]) -> dict[str, Any]:
    """Return the file's values by parameter name, or nothing if there is no such file."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # nested without end
        raise click.UsageError(f"{path}: is not TOML: {error}") from error

    wrong = unknown_keys(document, known)
    if wrong:
        raise click.UsageError(f"{path}: {wrong[0]}")

    return {name: _value(name, document[key], path) for key, name in _names(document).items()}


def unknown_keys(document: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return a line for each key that is no setting, with the one that may have been meant."""
    allowed = set(known)
    return [
        f"no setting {key!r}.{_near(name, allowed)}"
        for key, name in _names(document).items()
        if name not in allowed
    ]


def line_of(text: str, name: str) -> int | None:
    """Return in which line of a file's *text* the value of a parameter is set; None: in none.

    As TOML is mostly written. It is for people who look for the place, and nothing else.
    """
    spelled = f"(?:{re.escape(name)}|{re.escape(name.replace('_', '-'))})"
    setting = re.compile(rf"""\s*["']?{spelled}["']?\s*(?:=|\.)""")
    table = re.compile(rf"""\s*\[\s*["']?{spelled}["']?\s*\]""")
    in_table = False
    for number, line in enumerate(text.splitlines(), 1):
        if table.match(line) or (not in_table and setting.match(line)):
            return number

        in_table = in_table or _TABLE.match(line) is not None

    return None


def _names(document: Iterable[str]) -> dict[str, str]:
    """Return the names of parameters by the keys as they are written."""
    return {key: key.replace("-", "_") for key in document}


def _value(name: str, value: Any, path: Path) -> Any:
    """Return a value as click takes it: a table for `set` becomes pairs."""
    if name == "set" and isinstance(value, dict):
        return list(value.items())

    if name in SEVERAL and not isinstance(value, list):
        return [value]

    if name in LISTS and isinstance(value, list):
        return value

    if name == "set" or isinstance(value, dict | list):
        raise click.UsageError(
            f"{path}: {name}: {json.dumps(value, default=str)} is not a value for it"
        )

    return value


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f" Did you mean {near[0].replace('_', '-')!r}?" if near else " See `batcher run --help`."
