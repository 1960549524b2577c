"""The other formats of a manifest: JSON lines, a plain list, a folder of images.

Rule: a line that cannot be read is a `BadLine`, and reading goes on behind it. What the values mean
is not known here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import orjson

from batcher.adapters.manifest.lines import (
    BLANK,
    NOT_UTF8,
    TOO_LONG,
    BadLine,
    Line,
    Lines,
    Opened,
    bad_line,
    is_cut,
)
from batcher.core.errors import UsageError

IMAGE_NAME = re.compile(r"[^.].*\.(avif|bmp|gif|jfif|jpe?g|png|psd|svg|tiff?|webp)", re.I | re.S)
ARRAY_OF_OBJECTS = re.compile(rb"\[\s*(\{.*)?", re.S)  # the first line of one
TORN = "is incomplete: it is the last and has no newline; is the manifest still being written?"
RUN_FILE = "run.toml"  # what marks a folder as a run directory


def json_lines(opened: Opened) -> Lines:
    """Read one JSON object a line; `number` is the physical line."""
    if ARRAY_OF_OBJECTS.fullmatch(opened.first.strip(BLANK)):
        raise UsageError(
            f"{opened.source}: is a JSON array; JSON lines want one object a line, without the "
            "brackets and commas: jq -c '.[]' makes them"
        )

    for number, raw in enumerate(opened, opened.number):
        if is_cut(raw):
            yield bad_line(number, TOO_LONG, raw, opened.stream)
            continue

        text = raw.strip(BLANK)
        if not text:
            continue

        try:
            values = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            yield _not_json(number, text, raw, error)
            continue

        if isinstance(values, dict):
            # Between its tokens JSON may have carriage returns, which some readers take for the
            # end of a line; inside a string they cannot stand.
            yield Line(number, values, text.replace(b"\r", b" "))
        else:
            yield bad_line(number, "is JSON, but not an object", text)


def _not_json(number: int, text: bytes, raw: bytes, error: orjson.JSONDecodeError) -> BadLine:
    is_torn = not raw.endswith(b"\n")
    try:
        text.decode()
    except UnicodeDecodeError as fault:
        if not is_torn or fault.end < len(text):  # a torn line may end within a character
            return bad_line(number, NOT_UTF8, text)

    reason = TORN if is_torn else f"is not JSON: {error.msg} (character {error.colno})"
    return bad_line(number, reason, text)


def text_lines(opened: Opened) -> Lines:
    """Read one URL or path a line."""
    for number, raw in enumerate(opened, opened.number):
        text = raw.strip(BLANK)
        if is_cut(raw):
            yield bad_line(number, TOO_LONG, raw, opened.stream)
        elif text:
            yield _text_line(number, text)


def _text_line(number: int, raw: bytes) -> Line | BadLine:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return bad_line(number, NOT_UTF8, raw)

    key = "file_url" if text.lower().startswith(("http://", "https://")) else "file"
    return Line(number, {key: text})


# --- A folder of images ----------------------------------------------------------------------


def image_files(folder: str, skipped: frozenset[str]) -> Lines:
    """Read a folder and the folders in it, in the order of their names; one image is one line.

    Left out are hidden files, links to folders, run directories and the folders in *skipped* (real
    paths): what a run fetched must not become the rows of its own next round.
    """
    root = folder.rstrip("/")
    number = 0
    for here, folders, files in os.walk(root or "/", onerror=_refuse):
        folders[:] = sorted(name for name in folders if _is_open(Path(here, name), skipped))
        for name in sorted(files):
            if IMAGE_NAME.fullmatch(name):
                number += 1
                yield _image_line(number, f"{here}/{name}"[len(root) + 1 :])


def _refuse(error: OSError) -> None:
    raise error


def _is_open(folder: Path, skipped: frozenset[str]) -> bool:
    if folder.name.startswith(".") or str(folder.resolve()) in skipped:
        return False

    return not (folder / RUN_FILE).exists()


def _image_line(number: int, name: str) -> Line | BadLine:
    raw = os.fsencode(name)
    try:
        raw.decode()
    except UnicodeDecodeError:
        return bad_line(number, "is a file whose name is not UTF-8: rename it", raw)

    return Line(number, {"file": name}, id=name)
