"""`batcher.toml`: what a person writes down once instead of typing it every night.

Rule: its keys are the flags of `run`, with - or _; it stands below flags and environment. A key
that is no flag is refused, because a limit that silently does nothing costs money.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

NAME = "batcher.toml"
LISTS = ("set", "variants")  # what may be written as a list of texts


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

    names = {key: key.replace("-", "_") for key in document}
    unknown = next((key for key, name in names.items() if name not in set(known)), None)
    if unknown is not None:
        raise click.UsageError(f"{path}: no setting {unknown!r}.{_near(names[unknown], known)}")

    return {name: _value(name, document[key], path) for key, name in names.items()}


def _value(name: str, value: Any, path: Path) -> Any:
    """Return a value as click takes it: a table for `set` becomes pairs."""
    if name == "set" and isinstance(value, dict):
        return list(value.items())

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
