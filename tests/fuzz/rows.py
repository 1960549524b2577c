"""Harnesses for manifests: every format, outcome records read as rows, a person's decisions.

Rule: a line that cannot be used is an entry with a problem; only `UsageError` ends a manifest. An
entry without a problem can be sent, and whatever became of one, its record reads back as the row.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from contextlib import suppress

import orjson

from batcher.adapters.manifest import open_manifest
from batcher.adapters.manifest.formats import json_lines, text_lines
from batcher.adapters.manifest.lines import Lines, Opened
from batcher.adapters.manifest.rows import RowReader
from batcher.adapters.manifest.table import csv_lines
from batcher.adapters.outcomes import OutcomeFiles
from batcher.cli.commands.doubt.command import _decisions
from batcher.core.errors import UsageError
from batcher.core.exchange import Request
from batcher.core.journal import Entry
from batcher.core.lifecycle import State
from batcher.core.model import ErrorKind, Row, RowError, Ticket
from batcher.core.multipart import frames
from batcher.core.names import safe_stem
from batcher.core.record import outcome_record
from batcher.core.settings import ID_CHARS_MAX
from batcher.engine.rows import ProviderCheck
from batcher.providers import Provider, provider_named
from tests.fuzz.scratch import scratch, written

BOUNDARY = "0123456789abcdef"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
DIALECTS: tuple[Provider, ...] = (
    provider_named("removit", {}),
    provider_named("deapi", {"task": "edits"}),
)


def jsonl(data: bytes) -> None:
    """Read JSON lines, outcome records among them."""
    _read(data, json_lines)


def table(data: bytes) -> None:
    """Read a table."""
    _read(data, csv_lines)


def text(data: bytes) -> None:
    """Read a plain list."""
    _read(data, text_lines)


def stdin(data: bytes) -> None:
    """Read whatever comes through a pipe, compressed or not."""
    source = io.BufferedReader(io.BytesIO(data))
    with suppress(UsageError):
        for entry in open_manifest("-", stdin=source).entries(ProviderCheck(DIALECTS[0])):
            _assert_entry(entry)


def record(data: bytes) -> None:
    """Read the records behind what the journal knows, as a start after a crash does."""
    folder = scratch() / "records"
    folder.mkdir(exist_ok=True)
    (folder / "succeeded.jsonl").write_bytes(data)
    files = OutcomeFiles(folder, sync=lambda _number: None)
    try:
        for found in files.beyond({}):
            assert isinstance(found, dict)
    finally:
        files.close()


def decisions(data: bytes) -> None:
    """Read a file of decisions about rows in doubt."""
    path = written("decisions", data)
    with suppress(UsageError):
        for row_id, job_id in _decisions(str(path)):
            assert isinstance(row_id, str)
            assert isinstance(job_id, str)


def _read(data: bytes, lines: Callable[[Opened], Lines]) -> None:
    for provider in DIALECTS:
        rows = RowReader(str(scratch()), ProviderCheck(provider))
        with suppress(UsageError):
            for line in lines(Opened.at("a manifest", io.BytesIO(data))):
                entry = rows.entry(line)
                _assert_entry(entry)
                if entry.problem is None:
                    _assert_sendable(provider, entry)


def _assert_entry(entry: Entry) -> None:
    assert 0 < len(entry.id) <= ID_CHARS_MAX
    assert not CONTROL.search(entry.id)
    assert b"\n" not in entry.body
    assert "/" not in safe_stem(entry.id, "result")
    if entry.problem is not None:
        assert entry.problem.kind is ErrorKind.INVALID_ROW

    kept = _record_of(entry)
    orjson.loads(kept)
    rows = RowReader(str(scratch()), ProviderCheck(DIALECTS[0]))
    (back,) = map(rows.entry, json_lines(Opened.at("a record", io.BytesIO(kept + b"\n"))))
    assert back.id == entry.id, "its record is another row"


def _assert_sendable(provider: Provider, entry: Entry) -> None:
    values = orjson.loads(entry.body)
    assert isinstance(values, dict)
    request = provider.submit(values, entry.files)
    assert request.path.startswith("/")
    assert request.path.isascii()
    assert request.path.isprintable()
    _assert_framed(request)


def _assert_framed(request: Request) -> None:
    """No value makes a part, a header or a file of its own out of a multipart body."""
    if request.json is not None:
        orjson.loads(request.json)
        return

    around = frames(request.form, request.files, BOUNDARY)
    assert len(around) == len(request.files) + 1
    parts = b"".join(around).split(b"--" + BOUNDARY.encode() + b"\r\n")[1:]
    assert len(parts) == len(request.form) + len(request.files)
    for part in parts[len(request.form) :]:
        head = part.partition(b"\r\n\r\n")[0]
        assert head.count(b"\r\n") == 1, "a file's name brought a header of its own"


def _record_of(entry: Entry) -> bytes:
    row = Row(1, entry.id, entry.line, entry.body, entry.base)
    error = entry.problem or RowError(ErrorKind.REJECTED, "no")
    return outcome_record(
        Ticket(row), State.FAILED, provider="removit", at=0.0, error=error, raw=entry.raw
    )
