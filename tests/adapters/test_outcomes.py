"""The outcome files: whole lines, what was committed and no more, whatever the disk does."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.adapters.outcomes import NAMES, DiskFull, OutcomeFiles
from batcher.core.errors import StorageError
from batcher.core.lifecycle import OUTCOMES, State

EMPTY = dict.fromkeys(NAMES, 0)


def record(n: int, **more: object) -> bytes:
    """Return a small record."""
    return orjson.dumps({"id": f"row-{n}", "line": n, **more})


def opened(folder: Path, committed: Mapping[str, int | None] = EMPTY) -> OutcomeFiles:
    """Open and recover the files of a folder."""
    files = OutcomeFiles(folder)
    files.recover(committed)
    return files


def content(folder: Path, name: str) -> bytes:
    """Return what is in a file."""
    return (folder / name).read_bytes()


def test_all_four_files_are_there_from_the_start(tmp_path: Path) -> None:
    """Scripts need not ask whether a file exists; each is private."""
    opened(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_lines_go_to_their_files_in_order_and_lengths_come_back(tmp_path: Path) -> None:
    """The lengths are what the journal is to commit: the sizes of the touched files."""
    files = opened(tmp_path)
    lines = [(State.FAILED, record(1)), (State.SUCCEEDED, record(2)), (State.FAILED, record(3))]
    lengths = files.append(lines)
    assert content(tmp_path, "failed.jsonl") == record(1) + b"\n" + record(3) + b"\n"
    assert content(tmp_path, "succeeded.jsonl") == record(2) + b"\n"
    assert lengths == {
        name: (tmp_path / name).stat().st_size for name in ("failed.jsonl", "succeeded.jsonl")
    }
    more = files.append([(State.FAILED, record(4))])
    assert more == {"failed.jsonl": lengths["failed.jsonl"] + len(record(4)) + 1}
    files.close()
    files.close()


@given(
    groups=st.lists(
        st.lists(st.tuples(st.sampled_from(OUTCOMES), st.integers(0, 10**9)), max_size=4),
        max_size=6,
    ),
    committed_groups=st.integers(0, 6),
    cut=st.integers(0, 200),
)
def test_recovery_leaves_exactly_what_was_committed(
    tmp_path_factory: pytest.TempPathFactory,
    groups: list[list[tuple[State, int]]],
    committed_groups: int,
    cut: int,
) -> None:
    """Wherever a crash tears the uncommitted lines, the committed ones stand and no other does."""
    folder = tmp_path_factory.mktemp("run")
    files = opened(folder)
    committed, kept = dict(EMPTY), dict.fromkeys(NAMES, b"")
    for number, group in enumerate(groups):
        lengths = files.append([(state, record(n)) for state, n in group])
        if number < committed_groups:
            committed.update(lengths)
            kept = {name: content(folder, name) for name in NAMES}

    files.close()
    for name in NAMES:
        size = (folder / name).stat().st_size
        os.truncate(folder / name, max(committed[name], size - cut))

    opened(folder, committed).close()
    assert {name: content(folder, name) for name in NAMES} == kept


def test_a_file_unknown_to_the_journal_is_cut_to_nothing(tmp_path: Path) -> None:
    """Its lines were appended by a process that died before its first commit."""
    files = opened(tmp_path)
    files.append([(State.FAILED, record(1))])
    files.close()
    opened(tmp_path, {}).close()
    assert content(tmp_path, "failed.jsonl") == b""


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path: os.truncate(path, 5), "cut"),
        (lambda path: path.unlink(), "cut"),
        (lambda path: path.write_bytes(b" " + path.read_bytes()), "edited"),
    ],
)
def test_an_edited_file_is_refused(
    tmp_path: Path, damage: Callable[[Path], object], told: str
) -> None:
    """What is not as the journal says is not written to, and the message says what to do."""
    files = opened(tmp_path)
    lengths = files.append([(State.FAILED, record(1))])
    files.close()
    damage(tmp_path / "failed.jsonl")
    files = OutcomeFiles(tmp_path)
    with pytest.raises(StorageError, match=f"failed.jsonl.*{told}.*original"):
        files.recover(lengths)

    files.close()


def test_what_the_journal_did_not_commit_can_be_taken_back(tmp_path: Path) -> None:
    """If the transaction fails after the append, trying both again leaves each line once."""
    files = opened(tmp_path)
    files.append([(State.FAILED, record(1))])
    files.append([(State.FAILED, record(2)), (State.SUCCEEDED, record(3))])
    files.take_back()
    files.take_back()
    assert content(tmp_path, "failed.jsonl") == record(1) + b"\n"
    assert content(tmp_path, "succeeded.jsonl") == b""
    again = files.append([(State.FAILED, record(2))])
    assert content(tmp_path, "failed.jsonl") == record(1) + b"\n" + record(2) + b"\n"
    assert again["failed.jsonl"] == (tmp_path / "failed.jsonl").stat().st_size
    files.close()


# --- A disk that fails -----------------------------------------------------------------------


class SmallDisk:
    """A disk with so much room for each file, which then refuses with an error."""

    def __init__(self, room: int, error: int = errno.ENOSPC) -> None:
        self.room = room
        self._error = error

    def __call__(self, fd: int, data: memoryview) -> int:
        """Write as much as fits, and refuse when nothing does."""
        left = self.room - os.fstat(fd).st_size
        if left <= 0:
            raise OSError(self._error, os.strerror(self._error))

        return os.write(fd, data[:left])


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT], ids=["disk", "quota"])
@pytest.mark.parametrize("room", [100, 101, 150, 199])
def test_a_full_disk_leaves_whole_lines_and_can_be_tried_again(
    tmp_path: Path, room: int, error: int
) -> None:
    """A write that did not fit is taken back from every file of the group; with room it works."""
    line = b'{"id":"' + b"x" * 90 + b'"}'
    disk = SmallDisk(room, error)
    files = OutcomeFiles(tmp_path, write=disk)
    files.recover({})
    files.append([(State.FAILED, line)])
    group = [(State.SUCCEEDED, b"{}"), (State.FAILED, line)]
    with pytest.raises(DiskFull) as refused:
        files.append(group)

    assert refused.value.disk_full
    assert content(tmp_path, "failed.jsonl") == line + b"\n"
    assert content(tmp_path, "succeeded.jsonl") == b""
    disk.room = 10_000
    assert files.append(group) == {"succeeded.jsonl": 3, "failed.jsonl": 200}
    assert content(tmp_path, "failed.jsonl") == (line + b"\n") * 2
    files.close()


def test_a_limit_on_the_size_of_files_is_no_lack_of_room(tmp_path: Path) -> None:
    """`ulimit -f`: nobody can free space for that, so it is not waited for."""
    files = OutcomeFiles(tmp_path, write=SmallDisk(10, errno.EFBIG))
    files.recover({})
    with pytest.raises(StorageError, match="File too large") as refused:
        files.append([(State.FAILED, record(1))])

    assert not refused.value.disk_full
    files.close()


class FailingSync:
    """A disk whose n-th sync fails, once."""

    def __init__(self, fails_at: int) -> None:
        self.calls = 0
        self._fails_at = fails_at

    def __call__(self, fd: int) -> None:
        self.calls += 1
        if self.calls == self._fails_at:
            raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("fails_at", [1, 2])
def test_after_a_failed_sync_nothing_more_is_written(tmp_path: Path, fails_at: int) -> None:
    """The kernel may have dropped the pages: no second sync, no second write, no lie."""
    sync = FailingSync(fails_at)
    files = OutcomeFiles(tmp_path, sync=sync)
    files.recover({})
    with pytest.raises(StorageError, match="Input/output error") as caught:
        files.append([(State.FAILED, record(1)), (State.SUCCEEDED, record(2))])

    assert not getattr(caught.value, "disk_full", False)
    before = {name: content(tmp_path, name) for name in NAMES}
    for again in (
        lambda: files.append([(State.EXHAUSTED, record(3))]),
        lambda: files.rebuild("failed.jsonl", lambda _: True),
    ):
        with pytest.raises(StorageError, match="Input/output error"):
            again()

    files.take_back()
    assert sync.calls == fails_at
    assert {name: content(tmp_path, name) for name in NAMES} == before
    files.close()


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    """Opening says what is wrong, and leaves no file open."""
    with pytest.raises(StorageError, match="no-such"):
        OutcomeFiles(tmp_path / "no-such")


# --- Rewriting -------------------------------------------------------------------------------


def test_a_rewrite_keeps_the_chosen_records_and_appending_goes_on(tmp_path: Path) -> None:
    """The new file holds the kept lines unchanged, the length fits, and new lines follow."""
    files = opened(tmp_path)
    files.append([(State.EXHAUSTED, record(n, text="ä " * n)) for n in range(1, 6)])
    length = files.rebuild("exhausted.jsonl", lambda value: value["line"] % 2 == 0)
    expected = b"".join(record(n, text="ä " * n) + b"\n" for n in (2, 4))
    assert content(tmp_path, "exhausted.jsonl") == expected
    assert length == len(expected)
    lengths = files.append([(State.EXHAUSTED, record(9))])
    assert content(tmp_path, "exhausted.jsonl") == expected + record(9) + b"\n"
    assert lengths == {"exhausted.jsonl": len(expected) + len(record(9)) + 1}
    assert (tmp_path / "exhausted.jsonl").stat().st_mode & 0o777 == 0o600
    files.close()


def test_a_rewrite_can_be_done_again_after_a_crash(tmp_path: Path) -> None:
    """A torn last line is left out, a left-over new file is overwritten, twice is like once."""
    files = opened(tmp_path)
    files.append([(State.IN_DOUBT, record(1)), (State.IN_DOUBT, record(2))])
    files.close()
    path = tmp_path / "in_doubt.jsonl"
    path.write_bytes(path.read_bytes() + b'{"id":"to')
    (tmp_path / ".in_doubt.jsonl.tmp").write_bytes(b"half a file that a crash left")
    files = opened(tmp_path, {"in_doubt.jsonl": None})
    with pytest.raises(StorageError, match="rebuilt"):
        files.append([(State.IN_DOUBT, record(3))])

    for _ in range(2):
        assert files.rebuild("in_doubt.jsonl", lambda value: value["line"] == 2) == len(
            record(2) + b"\n"
        )

    assert path.read_bytes() == record(2) + b"\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(NAMES)
    files.close()


def test_a_rewrite_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """If choosing the records fails in the middle, nothing has happened."""
    files = opened(tmp_path)
    files.append([(State.EXHAUSTED, record(n)) for n in range(3)])
    before = content(tmp_path, "exhausted.jsonl")

    def keep(value: Mapping[str, Any]) -> bool:
        return bool(1 / (2 - value["line"]))

    with pytest.raises(ZeroDivisionError):
        files.rebuild("exhausted.jsonl", keep)

    assert content(tmp_path, "exhausted.jsonl") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(NAMES)
    files.append([(State.EXHAUSTED, record(7))])
    assert content(tmp_path, "exhausted.jsonl") == before + record(7) + b"\n"
    files.close()


def test_a_rewrite_that_finds_no_room_is_repeated_before_the_file_grows(tmp_path: Path) -> None:
    """The journal waits for the new file: a line that was added to the old one would be lost."""
    files = opened(tmp_path)
    files.append([(State.IN_DOUBT, record(n)) for n in range(3)])
    before = content(tmp_path, "in_doubt.jsonl")

    def full(_: Mapping[str, Any]) -> bool:
        raise OSError(errno.ENOSPC, "no space left")

    with pytest.raises(DiskFull):
        files.rebuild("in_doubt.jsonl", full)

    assert content(tmp_path, "in_doubt.jsonl") == before
    with pytest.raises(StorageError, match="rebuilt before it can grow"):
        files.append([(State.IN_DOUBT, record(7))])

    files.rebuild("in_doubt.jsonl", lambda value: value["line"] == 2)
    files.append([(State.IN_DOUBT, record(7))])
    assert content(tmp_path, "in_doubt.jsonl") == record(2) + b"\n" + record(7) + b"\n"
    files.close()


def test_a_rewrite_drops_no_line_that_it_cannot_read(tmp_path: Path) -> None:
    """A line in the middle that is no record was edited by somebody: refused, not forgotten."""
    files = opened(tmp_path)
    (tmp_path / "exhausted.jsonl").write_bytes(record(1) + b"\nedited\n" + record(3) + b"\n")
    with pytest.raises(StorageError, match="line 2"):
        files.rebuild("exhausted.jsonl", lambda _: True)

    files.close()
