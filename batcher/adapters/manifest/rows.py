"""From one line of a manifest to its `Entry`: id, digest, body, local files and what is wrong.

Rule: the body is the row's own bytes wherever the manifest holds JSON, so that nothing is lost on
the way through; the digest is taken of its canonical form, so that the order of keys and blanks
mean nothing. The first thing that is wrong becomes the problem, and the entry is made all the same.
What is wrong with the values is looked for at once, or later and only in the rows that are used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from batcher.adapters.manifest.files import as_list, base_of, found_files
from batcher.adapters.manifest.lines import BadLine, Line
from batcher.core.journal import Entry
from batcher.core.model import ErrorKind, LocalFile, RowError
from batcher.core.record import UNREADABLE, as_written, is_record
from batcher.core.settings import ID_CHARS_MAX, RAW_CHARS_MAX

DIGEST_BYTES = 16
TOO_DEEP = "is nested too deeply, or has a number that is too large"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class RowCheck(Protocol):
    """What the manifest must know of the API that its rows are for."""

    def typed(self, values: Mapping[str, str]) -> Mapping[str, object]:
        """Return a row of texts with each value in its parameter's type, or as it is. No raise."""
        ...

    def fault(self, values: Mapping[str, object], files: Sequence[LocalFile]) -> RowError | None:
        """Return why a row cannot be used (`invalid_row`), or None. No raise."""
        ...


class RowReader:
    """Makes entries of lines. *judged*: what is wrong with their values is looked for at once."""

    def __init__(self, base: str, check: RowCheck, *, judged: bool = True) -> None:
        self._base = base
        self._check = check
        self._judged = judged

    def entry(self, line: Line | BadLine) -> Entry:
        """Return the entry of a line, whatever stands in it."""
        if isinstance(line, BadLine):
            return _unreadable(line)

        values: Mapping[str, Any] = line.values
        body = line.body
        if body is not None and is_record(line.values):
            return self._from_record(line.number, line.values, body)

        if line.is_text:
            values = self._typed(line.values)

        own_id = values.get("id", ABSENT) if line.id is None else line.id
        return self._from_row(line.number, values, body, own_id, self._base)

    def _typed(self, texts: Mapping[str, str]) -> Mapping[str, Any]:
        """Return a row of texts with each value in its type; `file` may spell out a list."""
        values = self._check.typed(texts)
        return {**values, "file": as_list(values["file"])} if "file" in values else values

    def _from_record(self, number: int, record: Mapping[str, Any], text: bytes) -> Entry:
        """Take the row out of an outcome record: it keeps its id and finds its file again."""
        values = record["row"]
        if values is None:
            reason = "is the record of a line that could not be read"
            raw = str(record.get("raw") or "")
            return _unreadable(_bad(number, reason, raw), record.get("id", ABSENT))

        if not isinstance(values, dict):
            reason = "is an outcome record, but its `row` is not an object"
            return _unreadable(_bad(number, reason, text.decode()))

        try:
            body = as_written(text, "row")
        except RecursionError:
            return _unreadable(_bad(number, TOO_DEEP, text.decode()))

        base = record.get("base")
        own_id = _exact(record["id"], text) if "id" in record else values.get("id", ABSENT)
        return self._from_row(
            number, values, body, own_id, base if isinstance(base, str) else self._base
        )

    def _from_row(
        self,
        number: int,
        values: Mapping[str, Any],
        body: bytes | None,
        own_id: object,
        base: str,
    ) -> Entry:
        try:
            digest = hashlib.sha256(_canonical(values)).digest()
            # Copied: a row is kept as long as its job is in flight, and what orjson returns holds
            # on to the kilobytes that it wrote into.
            body = body or bytes(memoryview(orjson.dumps(dict(values))))
        except TypeError:
            text = repr(values) if body is None else body.decode()
            return _unreadable(_bad(number, TOO_DEEP, text))

        row_id: str | None
        if isinstance(own_id, str) and _is_plain(own_id):
            row_id, problem = own_id, None
        else:
            row_id, problem = _checked_id(number, _exact(own_id, body))

        files: tuple[LocalFile, ...] = ()
        if self._judged and problem is None:
            files, problem = judge(self._check, number, values, base)

        return Entry(
            line=number,
            id=row_id or _derived_id(digest),
            derived=row_id is None,
            body=body,
            digest=digest[:DIGEST_BYTES],
            base=base_of(values["file"], base) if "file" in values else None,
            problem=problem,
            files=files,
        )


def judge(
    check: RowCheck, number: int, values: Mapping[str, Any], base: str
) -> tuple[tuple[LocalFile, ...], RowError | None]:
    """Return a row's local files, and why it cannot be used, or None. *number* is its line."""
    found = found_files(values.get("file"), base)
    if isinstance(found, str):
        return (), _problem(number, "file", found)

    return found, check.fault(values, found)


def _canonical(values: Mapping[str, Any]) -> bytes:
    """Return the same bytes for the same content. Raises `TypeError` if JSON cannot hold it."""
    if "id" in values:
        values = {**values}
        del values["id"]

    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)


# --- Ids -------------------------------------------------------------------------------------

ABSENT = object()


def _exact(own_id: object, body: bytes) -> object:
    """Return an id that is a number as it is written: one double stands for many long numbers."""
    return as_written(body, "id").decode() if isinstance(own_id, float) else own_id


def _checked_id(number: int, own_id: object) -> tuple[str | None, RowError | None]:
    """Return a usable id, or None and, unless there simply is no id, what is wrong with it."""
    if own_id is ABSENT:
        return None, None

    if isinstance(own_id, int) and not isinstance(own_id, bool):
        return str(own_id), None

    if not isinstance(own_id, str):
        return None, _problem(number, "id", "must be a text or a number")

    if not own_id.strip():
        return None, _problem(number, "id", "is empty; leave it out to have one derived")

    if len(own_id) > ID_CHARS_MAX:
        return None, _problem(number, "id", f"is longer than {ID_CHARS_MAX} characters")

    if CONTROL.search(own_id):
        return None, _problem(number, "id", "has control characters in it")

    return own_id, None


def _is_plain(text: str) -> bool:
    """Whether a text is an id as ids usually are, in which nothing can be wrong."""
    return text.isprintable() and 0 < len(text) <= ID_CHARS_MAX and not text.isspace()


def _derived_id(digest: bytes) -> str:
    return f"row-{digest.hex()[:16]}"


# --- What is wrong ---------------------------------------------------------------------------


def _problem(number: int, name: str, what: str) -> RowError:
    message = f"{name} {what}"
    return RowError(ErrorKind.INVALID_ROW, f"line {number}: {message}", fields={name: [message]})


def _bad(number: int, reason: str, text: str) -> BadLine:
    return BadLine(number, reason, text[:RAW_CHARS_MAX], hashlib.sha256(text.encode()).digest())


def _unreadable(line: BadLine, own_id: object = ABSENT) -> Entry:
    row_id, _ = _checked_id(line.number, own_id)
    return Entry(
        line=line.number,
        id=row_id or _derived_id(line.digest),
        derived=row_id is None,
        body=UNREADABLE,
        digest=line.digest[:DIGEST_BYTES],
        problem=RowError(ErrorKind.INVALID_ROW, f"line {line.number} {line.reason}"),
        raw=line.text,
    )
