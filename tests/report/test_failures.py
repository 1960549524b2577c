"""Rows that did not succeed are grouped by cause, in little memory, each with its advice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batcher.core.lifecycle import State
from batcher.core.model import ErrorKind
from batcher.report.advice import GIVEN_UP, HINTS, MEANINGS, hint_of
from batcher.report.failures import MESSAGES_MAX, OTHER, Failures, Group, pattern_of, read_failures
from batcher.report.near import GUESSES_MAX, near_ids


def record(row_id: str, message: str, **changes: Any) -> bytes:
    """Return an outcome record as a line."""
    error = {"kind": "rejected", "message": message, "http_status": 422, "code": None} | changes
    return json.dumps({"id": row_id, "line": 1, "job_id": "job-1", "error": error}).encode() + b"\n"


def groups(folder: Path, *lines: bytes, name: str = "failed.jsonl") -> list[Group]:
    """Return the groups of a file with these lines."""
    (folder / name).write_bytes(b"".join(lines))
    failures = Failures(lambda text: text.replace("s3cret", "***"))
    read_failures(folder, {}, failures)
    return [group for kind in failures.by_kind() for group in kind]


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("sku-7 is 1024x768 px", "<row> is #x# px"),
        ("job job-1 took 1,200.5 s", "job <job> took # s"),
        ("no 019c1e2f-0000-7000-8000-0123456789ab here", "no <id> here"),
        ("GET https://cdn7.example:8080/a/b?sig=1 failed", "GET https://cdn#.example:#/… failed"),
        ("request deadbeef01 was lost", "request <id> was lost"),
        ("the picture is defaced", "the picture is defaced"),
    ],
)
def test_what_differs_from_row_to_row_is_folded(message: str, pattern: str) -> None:
    """Ids, numbers and addresses are; words are not."""
    assert pattern_of(message, "sku-7", "job-1") == pattern


def test_one_cause_is_one_group(tmp_path: Path) -> None:
    """The most frequent first, with its first row; another answer is another group."""
    found = groups(
        tmp_path,
        record("r1", "is 10 px wide"),
        record("r2", "cannot be read"),
        record("r3", "is 20 px wide"),
        record("r4", "is 20 px wide", http_status=400),
    )

    assert [(g.count, g.key.http_status, g.pattern, g.example.id) for g in found] == [
        (2, 422, "is # px wide", "r1"),
        (1, 422, "cannot be read", "r2"),
        (1, 400, "is # px wide", "r4"),
    ]


def test_groups_are_bounded(tmp_path: Path) -> None:
    """An API that says something else each time fills no memory, and no row is left out."""
    words = ["".join(chr(97 + n // 26**k % 26) for k in range(3)) for n in range(3_000)]
    found = groups(tmp_path, *(record(f"r{n}", word) for n, word in enumerate(words)))

    assert len(found) == MESSAGES_MAX + 1
    assert sum(group.count for group in found) == 3_000
    assert found[0].key.pattern == OTHER


def test_a_line_that_is_no_record_is_passed_over(tmp_path: Path) -> None:
    """Half a line of a run that goes on, an edited one, one without an error: none is an end."""
    (tmp_path / "exhausted.jsonl").write_bytes(
        b'{"id":"a","line":1}\nnoise\n{"id":1}\n{"id":"b","line":2,"err'
    )
    failures = Failures(str)
    read_failures(tmp_path, {}, failures)
    ((group,),) = failures.by_kind()

    assert (group.key.outcome, group.key.kind, group.count) == (State.EXHAUSTED, "unknown", 1)
    assert failures.unreadable == 2


def test_what_the_journal_did_not_commit_is_not_read(tmp_path: Path) -> None:
    """Lines behind the length that is committed may be cut off by the next process."""
    lines = [record("r1", "a"), record("r2", "a")]
    (tmp_path / "failed.jsonl").write_bytes(b"".join(lines))
    failures = Failures(str)
    read_failures(tmp_path, {"failed.jsonl": len(lines[0])}, failures)

    assert [g.count for kind in failures.by_kind() for g in kind] == [1]


def test_a_secret_in_a_message_is_not_shown(tmp_path: Path) -> None:
    """Neither in the pattern nor in the example, also where the message is cut."""
    (group,) = groups(tmp_path, record("r1", "x" * 396 + " s3cret was wrong"))

    assert "s3" not in group.pattern + (group.example.error.message if group.example.error else "")


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_of_error_has_its_advice(kind: ErrorKind) -> None:
    """A meaning, and one hint of at most two lines."""
    assert MEANINGS[kind]
    assert len(HINTS[kind]) <= 160
    assert hint_of(kind, State.EXHAUSTED) == HINTS[kind]


def test_advice_is_honest() -> None:
    """What retry cannot mend is not sent there, and a closed doubt is not opened again.

    A job that the API does not know may never have been its own: people mistype.
    """
    assert "`doubt list`" in HINTS[ErrorKind.UNKNOWN_OUTCOME].replace("batcher ", "")
    assert hint_of("unknown_outcome", "failed") == GIVEN_UP
    assert hint_of("news", "failed")
    assert "may be mistyped" in hint_of("not_found", "failed")
    assert "was accepted" not in hint_of("not_found", "failed")
    for kind in (ErrorKind.REJECTED, ErrorKind.INVALID_ROW, ErrorKind.INVALID_REQUEST):
        assert "retry" not in HINTS[kind]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("sku-7", "sku-0007"),
        ("SKU-0007", "sku-0007"),
        ("sku-00007", "sku-0007"),
        ("sku0007", "sku-0007"),
        ("sku-00o7", "sku-0007"),
        ("suk-0007", "sku-0007"),
        (" sku-0007 ", "sku-0007"),
        ("图片1", "图片-1"),
    ],
)
def test_a_slip_of_the_finger_is_found(typed: str, meant: str) -> None:
    """Zeros, case, one letter: whatever can be guessed without reading the run."""
    asked = 0

    def is_there(guess: str) -> bool:
        nonlocal asked
        asked += 1
        return guess in {"sku-0007", "图片-1", "other"}

    assert near_ids(typed, is_there) == [meant]
    assert asked <= GUESSES_MAX


def test_nonsense_is_near_nothing() -> None:
    """A long text is not guessed at letter by letter."""
    assert near_ids("x" * 100_000, lambda guess: False) == []
