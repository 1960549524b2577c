"""`run.toml`: what a run is and how it goes about it, on disk for the next resume.

Rule: it never holds a secret. What has no value is left out. TOML knows no null, so a `--set`
parameter with a null anywhere in it is kept as JSON text in a table of its own.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import tomli_w

from batcher.adapters.atomic import write_atomically
from batcher.core.errors import StorageError, UsageError
from batcher.core.settings import Frozen, Settings

VERSION = 1
NAMES = {
    "provider": "--provider",
    "base_url": "--base-url",
    "manifest": "the manifest",
    "download": "--download",
    "shards": "--workers",
    "shard": "the shard",
}


def write_run_file(path: Path, frozen: Frozen, settings: Settings) -> None:
    """Write `run.toml` atomically. Raises `UsageError` for what it cannot hold."""
    if urlsplit(frozen.base_url).username is not None:
        raise UsageError("--base-url: must not hold a user or password; keys have their own place")

    run = _without_none(msgspec.to_builtins(frozen))
    params = run.pop("params")
    as_json = {key: json.dumps(value) for key, value in params.items() if _has_null(value)}
    run["params"] = {key: value for key, value in params.items() if key not in as_json}
    if as_json:
        run["params_json"] = as_json

    document = {
        "version": VERSION,
        "run": run,
        "settings": _without_none(msgspec.to_builtins(settings)),
    }
    try:
        data = tomli_w.dumps(document).encode()
    except (TypeError, UnicodeEncodeError) as error:
        raise UsageError(f"run.toml cannot hold a setting: {error}") from error

    try:
        write_atomically(path, data)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


def read_run_file(path: Path) -> tuple[Frozen, Settings]:
    """Read `run.toml` back. Raises `UsageError` that says what is wrong with it."""
    document = _document(path)
    try:
        run = dict(document["run"])
        texts = run.pop("params_json", {})
        run["params"] = {
            **run["params"],
            **{key: json.loads(text) for key, text in texts.items()},
        }
        return msgspec.convert(run, Frozen), msgspec.convert(document["settings"], Settings)
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: is not as batcher wrote it: {error}") from error


def differences(old: Frozen, new: Frozen) -> list[str]:
    """Return one line for everything in which a command differs from the run that it resumes."""
    lines = []
    for name, words in NAMES.items():
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            told = (ABSENT if value is None else value for value in (before, after))
            lines.append(_difference(words, *told))

    for key in sorted(old.params.keys() | new.params.keys()):
        value, other = old.params.get(key, ABSENT), new.params.get(key, ABSENT)
        if not _is_same(value, other):
            lines.append(_difference(f"--set {key}", value, other))

    return lines


ABSENT = object()


def _is_same(before: object, after: object) -> bool:
    """Compare as JSON does: 1, 1.0 and true are three things to an API."""
    if before is ABSENT or after is ABSENT:
        return before is after

    return json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)


def _difference(words: str, before: object, after: object) -> str:
    return f"{words}: the run has {_shown(before)}, the command says {_shown(after)}"


def _shown(value: object) -> str:
    """Return a value as JSON that people can read and that cannot paint on their screen."""
    if value is ABSENT:
        return "none"

    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path.parent}: is no run directory; it has no {path.name}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # nested without end
        raise UsageError(f"{path}: is not TOML: {error}") from error

    version = document.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise UsageError(
            f"{path}: version {version!r}; this batcher reads up to {VERSION}. Use a newer one"
        )

    return document


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _has_null(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))

    if isinstance(value, list):
        return any(map(_has_null, value))

    return value is None
