"""What a page is read from may be cut, edited, huge or hostile: it is read in bounds."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import msgspec
import orjson
import pytest

from batcher.adapters.sqlite import SqliteJournal
from batcher.adapters.sqlite.history import History
from batcher.core.events import Accept, Finish, Intend, Withdraw
from batcher.core.lifecycle import Move, State
from batcher.core.model import ErrorKind, RowError
from batcher.report.page import events, facts
from batcher.report.page.events import read_log
from batcher.report.page.tallies import KINDS_MAX, Sample, Tallies
from batcher.report.page.timeline import TimeBins
from batcher.report.records import Record, read_outcomes, whole_lines
from tests.adapters.journal_conformance import admitted, take

REFUSED = RowError(ErrorKind.INVALID_REQUEST, "no such mode", 422)
AT = "2026-01-01T00:00:00Z"


def tell(text: object, chars_max: int) -> str:
    """Cut a text, as a page does."""
    return str(text)[:chars_max]


def tallied(folder: Path, lengths: dict[str, int | None] | None = None) -> Tallies:
    """Read a folder's outcome files."""
    tallies = Tallies(TimeBins(), tell)
    read_outcomes(folder, lengths or {}, tallies)
    return tallies


def error(kind: str = "rejected") -> bytes:
    """Return the line of a failed row."""
    return b'{"id":"a","line":1,"error":{"kind":"%s"}}\n' % kind.encode()


def logged(folder: Path, *lines: Mapping[str, object] | bytes) -> tuple[facts.LogFacts, TimeBins]:
    """Write a log and read it."""
    texts = (line if isinstance(line, bytes) else orjson.dumps(line) + b"\n" for line in lines)
    (folder / "log.jsonl").write_bytes(b"".join(texts))
    bins = TimeBins()
    return read_log(folder / "log.jsonl", bins, tell), bins


# --- Lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "start", "end", "lines"),
    [
        (b"", 0, None, []),
        (b"a\nb\n", 0, None, [b"a\n", b"b\n"]),
        (b"a\nhalf", 0, None, [b"a\n"]),
        (b"a\nb\n", 0, 2, [b"a\n"]),
        (b"a\nb\n", 0, 3, [b"a\n"]),
        (b"aa\nb\n", 1, None, [b"b\n"]),
        (b"12345678901234\nb\n", 0, None, [b"", b"b\n"]),
        (b"1234567890", 0, None, [b""]),
    ],
)
def test_only_whole_lines_within_bounds_are_read(
    tmp_path: Path, content: bytes, start: int, end: int | None, lines: list[bytes]
) -> None:
    """Neither a line that is being written, nor what the journal does not know, nor a huge one."""
    (tmp_path / "x").write_bytes(content)
    assert list(whole_lines(tmp_path / "x", start=start, end=end, bytes_max=10)) == lines


def test_a_file_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    """A run that has not begun has none."""
    assert list(whole_lines(tmp_path / "none", bytes_max=10)) == []


# --- Records -------------------------------------------------------------------------------------


def test_what_is_no_record_is_counted_and_passed_over(tmp_path: Path) -> None:
    """A page does not fail because of what it reports on."""
    noise = (b"nonsense\n", b"[]\n", b'{"id":1}\n', b'{"id":"a","line":1,"time":5}\n', b"\xff\n")
    deep = b'{"id":"a","line":1,"row":' + b"[" * 5_000 + b"]" * 5_000 + b"}\n"
    (tmp_path / "failed.jsonl").write_bytes(b"".join([*noise, deep, error()]))
    tallies = tallied(tmp_path)
    assert tallies.unreadable == len(noise) + 1
    assert [group.rows for group in tallies.errors] == [1]


def test_what_the_journal_did_not_commit_is_not_read(tmp_path: Path) -> None:
    """A line that a crash left behind is not told twice later."""
    (tmp_path / "failed.jsonl").write_bytes(error() * 3)
    (group,) = tallied(tmp_path, {"failed.jsonl": 2 * len(error())}).errors
    assert group.rows == 2


def test_no_number_of_kinds_and_rows_fills_the_memory(tmp_path: Path) -> None:
    """An edited file with a kind a line gives as many groups as fit on a page."""
    lines = (error(f"k{n}") for n in range(3 * KINDS_MAX))
    (tmp_path / "failed.jsonl").write_bytes(b"".join(lines))
    groups = tallied(tmp_path).errors
    assert len(groups) == KINDS_MAX + 1
    assert (groups[0].kind, groups[0].rows) == ("other", 2 * KINDS_MAX)


def test_a_sample_is_small_and_evenly_spread() -> None:
    """Of ten thousand, some from every part."""
    sample = Sample(size_max=16)
    for n in range(10_000):
        sample.offer(str(n), "")

    numbers = [int(row_id) for row_id, _ in sample.items]
    gaps = {later - earlier for earlier, later in pairwise(numbers)}
    assert sample.seen == 10_000
    assert 8 <= len(numbers) <= 16
    assert len(gaps) == 1
    assert numbers[-1] > 8_000


def test_a_strange_time_is_no_time(tmp_path: Path) -> None:
    """Without a zone, or of the year 9999, it breaks nothing."""
    bins = TimeBins()
    tallies = Tallies(bins, tell)
    for at in ("2026-01-01T00:00:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"):
        line = orjson.dumps({"id": "a", "line": 1, "time": {"submitted": at}})
        tallies.add(State.FAILED, msgspec.json.decode(line, type=Record))

    assert bins.totals[facts.STARTED] == 2
    assert bins.columns()


# --- The journal ---------------------------------------------------------------------------------


def test_the_ledger_is_added_up_by_time(tmp_path: Path) -> None:
    """What left and what became of it; a submit that was taken back before it left is none."""
    path = tmp_path / "journal.db"
    throttled = RowError(ErrorKind.THROTTLED, "slower", 429)
    with closing(SqliteJournal.open(path, durable=False)) as journal:
        journal.claim(0.0)
        good, again, never, bad = admitted(journal, "good", "again", "never", "bad")
        take(journal, [Intend(good, 10.0, 1), Accept(good, 11.0, "j")])
        take(journal, [Intend(again, 10.1, 1), Withdraw(again, 11.0, False, throttled)])
        take(journal, [Intend(again, 20.0, 2)])
        take(journal, [Intend(never, 10.0, 1), Withdraw(never, 11.0, False)])
        take(journal, [Intend(bad, 10.0, 1), Finish(bad, 11.0, Move.REFUSE, b"{}", REFUSED)])
        with closing(History.read(path)) as history:
            assert sorted(history.submits(), key=str) == [
                (10.0, "accept", False, 1),
                (10.0, "refuse", False, 1),
                (10.0, "withdraw", True, 1),
                (20.0, None, False, 1),
            ]
            assert sorted(history.open_rows()) == [(10.0, 1), (20.0, 1)]
            assert ("withdraw", "throttled", 429, 1) in history.answers()
            assert history.processes() == 1


# --- The log -------------------------------------------------------------------------------------


def test_what_slowed_a_run_down_is_read_from_its_log(tmp_path: Path) -> None:
    """Waits and stops in words, answers by their time; those to submits are in the ledger."""
    found, bins = logged(
        tmp_path,
        {"time": AT, "level": "info", "event": "run.started", "version": "1.2.3"},
        {"time": AT, "event": "job.accepted", "id": "a"},
        {"time": AT, "event": "answer.error", "step": "submit", "http_status": 429},
        {"time": AT, "event": "answer.error", "step": "status", "http_status": 429},
        {"time": AT, "event": "answer.error", "step": "status", "http_status": 500},
        {"time": AT, "event": "limit.reached", "lane": "submit", "wait_s": 75, "reason": "why"},
        {"time": AT, "level": "warning", "event": "disk.full", "message": "no room"},
        {"time": AT, "event": "row.finished", "outcome": "failed", "message": "x"},
        {"time": AT, "event": "row.finished", "outcome": "failed", "kind": "invalid_row"},
    )
    assert found.versions == ("1.2.3",)
    assert [(m.event, m.text, m.is_urgent) for m in found.moments] == [
        ("run.started", "a process began, batcher 1.2.3", False),
        ("limit.reached", "submit waits for 1 min 15 s: why", False),
        ("disk.full", "no room", True),
    ]
    assert bins.totals == {facts.THROTTLED: 1, facts.TROUBLED: 1, events.LOGGED: 1}


def test_a_log_is_no_truth(tmp_path: Path) -> None:
    """Noise in it is passed over, and none is told."""
    found, _ = logged(
        tmp_path,
        b"\xff\xfe\n[]\n5\n{}\n",
        {"event": 5},
        {"time": 7, "event": "limit.reached"},
        {"time": "when?", "event": "run.ended", "summary": "none"},
        {"time": AT, "event": "row.finished", "outcome": {}},
    )
    assert [m.at for m in found.moments] == [None, None]


def test_of_many_moments_the_first_and_the_last_are_kept(tmp_path: Path) -> None:
    """A night with a thousand notices fits on the page, and what is left out is told."""
    found, _ = logged(tmp_path, *({"event": "x", "message": str(n)} for n in range(1_000)))
    assert (found.moments[0].text, found.moments[-1].text) == ("0", "999")
    assert len(found.moments) + found.moments_left_out == 1_000
    assert len(found.moments) == 2 * events.MOMENTS_MAX


def test_no_log_is_told(tmp_path: Path) -> None:
    """It may have been deleted."""
    assert not read_log(tmp_path / "log.jsonl", TimeBins(), tell).is_there
