"""The merged outcome files: whatever the shards do, a copy of what they committed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from batcher.adapters.atomic import write_atomically
from batcher.adapters.merged import MARK, NAMES, MergedFiles, Source
from batcher.core.errors import StorageError


class Shard:
    """A shard as its journal sees it: files, and how much of each is committed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.lengths: dict[str, int | None] = {}
        for name in NAMES:
            (folder / name).touch()

    def append(self, name: str, text: str) -> None:
        """Write a line that is not committed yet."""
        with (self.folder / name).open("ab") as file:
            file.write(text.encode() + b"\n")

    def commit(self, name: str) -> None:
        """Commit what was written."""
        self.lengths[name] = (self.folder / name).stat().st_size

    def cut(self, name: str) -> None:
        """Lose what was not committed, as a process does that dies."""
        length = self.lengths.get(name, 0)
        data = (self.folder / name).read_bytes()
        (self.folder / name).write_bytes(data[:length])

    def take_out(self, name: str) -> None:
        """Write the file anew without its first line."""
        lines = (self.folder / name).read_bytes()[: self.lengths.get(name, 0)].splitlines(True)
        write_atomically(self.folder / name, b"".join(lines[1:]))
        self.commit(name)

    def lines(self, name: str) -> list[bytes]:
        """Return what is committed."""
        return (self.folder / name).read_bytes()[: self.lengths.get(name, 0)].splitlines()


def files_of(folder: Path, shards: list[Shard]) -> MergedFiles:
    """Return the merged files of some shards."""
    return MergedFiles(folder, [Source(s.folder, lambda s=s: dict(s.lengths)) for s in shards])  # type: ignore[misc]  # a default binds the shard


def merged(folder: Path, name: str) -> list[bytes]:
    """Return the lines of a merged file."""
    return (folder / name).read_bytes().splitlines()


@settings(max_examples=40, stateful_step_count=25, deadline=None)
class Night(RuleBasedStateMachine):
    """Two shards that write, commit, die and take rows out, and a leader that dies, too."""

    @initialize(tmp=st.none())
    def begin(self, tmp: None) -> None:
        import tempfile

        self._tmp = tempfile.TemporaryDirectory()
        self.folder = Path(self._tmp.name)
        self.shards = [Shard(self.folder / str(n)) for n in range(2)]
        self.count = 0
        self.lead()

    def lead(self) -> None:
        self.files = files_of(self.folder, self.shards)
        self.files.begin()

    @rule(
        shard=st.integers(0, 1),
        name=st.sampled_from(NAMES[:2]),
        committed=st.integers(0, 2),
        beyond=st.integers(0, 1),
    )
    def write(self, shard: int, name: str, committed: int, beyond: int) -> None:
        for nth in range(committed + beyond):
            self.count += 1
            self.shards[shard].append(name, f"{shard} {self.count}")
            if nth < committed:
                self.shards[shard].commit(name)

    @rule(shard=st.integers(0, 1), name=st.sampled_from(NAMES[:2]))
    def crash(self, shard: int, name: str) -> None:
        self.shards[shard].cut(name)

    @rule(shard=st.integers(0, 1), name=st.sampled_from(NAMES[:2]))
    def decide(self, shard: int, name: str) -> None:
        self.shards[shard].take_out(name)

    @rule()
    def follow(self) -> None:
        assert self.files.follow()
        self.check()

    @rule(is_clean=st.booleans())
    def lead_anew(self, is_clean: bool) -> None:
        if is_clean:
            self.files.end()
            assert not (self.folder / MARK).exists()
            self.check()

        self.lead()

    def check(self) -> None:
        for name in NAMES:
            found = merged(self.folder, name)
            assert sorted(found) == sorted(line for s in self.shards for line in s.lines(name))
            for number in range(2):  # in the order of its shard
                own = [line for line in found if line.startswith(b"%d " % number)]
                assert own == self.shards[number].lines(name)

    @invariant()
    def lines_are_whole(self) -> None:
        for name in NAMES:
            data = (self.folder / name).read_bytes()
            assert not data or data.endswith(b"\n")

    def teardown(self) -> None:
        self._tmp.cleanup()


TestNight = Night.TestCase


def test_nothing_is_copied_while_a_shard_writes_anew(tmp_path: Path) -> None:
    """A file whose length is not known waits, and all of it is there afterwards."""
    shard = Shard(tmp_path / "0")
    shard.append("failed.jsonl", "1")
    shard.commit("failed.jsonl")
    shard.lengths["in_doubt.jsonl"] = None
    files = files_of(tmp_path, [shard])
    files.begin()
    assert not files.follow()
    assert merged(tmp_path, "failed.jsonl") == []
    with pytest.raises(StorageError, match="being written"):
        files.end()

    assert (tmp_path / MARK).exists()
    shard.commit("in_doubt.jsonl")
    files.end()
    assert merged(tmp_path, "failed.jsonl") == [b"1"]


def test_a_merged_file_that_somebody_edited_is_made_anew(tmp_path: Path) -> None:
    """The shards are the truth: an edit, or the loss of the file, costs a copy and no record."""
    shard = Shard(tmp_path / "0")
    shard.append("succeeded.jsonl", "1")
    shard.commit("succeeded.jsonl")
    files = files_of(tmp_path, [shard])
    files.begin()
    files.follow()
    (tmp_path / "succeeded.jsonl").write_text("mine\n")
    shard.append("succeeded.jsonl", "2")
    shard.commit("succeeded.jsonl")
    files.follow()
    assert merged(tmp_path, "succeeded.jsonl") == [b"1", b"2"]
    (tmp_path / "succeeded.jsonl").unlink()
    files.follow()
    assert merged(tmp_path, "succeeded.jsonl") == [b"1", b"2"]


def test_what_a_clean_end_left_is_not_copied_again(tmp_path: Path) -> None:
    """A leader that finds the files as the last one left them keeps them: no row is read again."""
    shard = Shard(tmp_path / "0")
    shard.append("succeeded.jsonl", "1")
    shard.commit("succeeded.jsonl")
    first = files_of(tmp_path, [shard])
    first.begin()
    first.end()
    inode = (tmp_path / "succeeded.jsonl").stat().st_ino
    second = files_of(tmp_path, [shard])
    second.begin()
    second.end()
    assert (tmp_path / "succeeded.jsonl").stat().st_ino == inode


def test_a_source_that_lost_lines_is_told(tmp_path: Path) -> None:
    """A file that is shorter than its journal says ends in an error, not in a short copy."""
    shard = Shard(tmp_path / "0")
    shard.lengths["failed.jsonl"] = 10
    files = files_of(tmp_path, [shard])
    files.begin()
    with pytest.raises(StorageError, match="shorter than its journal"):
        files.follow()


def test_a_shard_that_writes_anew_while_it_is_copied_is_copied_again(tmp_path: Path) -> None:
    """A file that was another one by the end of the copy fits no more, though its length does."""
    shard = Shard(tmp_path / "0")
    shard.append("in_doubt.jsonl", "old")
    shard.commit("in_doubt.jsonl")
    asked: list[int] = []

    def committed() -> dict[str, int | None]:
        asked.append(1)
        if len(asked) == 3:  # `begin`, before the copy, after it
            shard.take_out("in_doubt.jsonl")
            shard.append("in_doubt.jsonl", "new")
            shard.commit("in_doubt.jsonl")

        return dict(shard.lengths)

    files = MergedFiles(tmp_path, [Source(shard.folder, committed)])
    files.begin()
    assert not files.follow()
    assert merged(tmp_path, "in_doubt.jsonl") == [b"old"]
    assert files.follow()
    assert merged(tmp_path, "in_doubt.jsonl") == [b"new"]


def test_what_a_crash_left_is_not_trusted(tmp_path: Path) -> None:
    """After a leader that died a file of the right length is copied again: it may be noise."""
    shard = Shard(tmp_path / "0")
    shard.append("succeeded.jsonl", "1")
    shard.commit("succeeded.jsonl")
    (tmp_path / MARK).touch()
    (tmp_path / "succeeded.jsonl").write_bytes(b"\0\n")
    files = files_of(tmp_path, [shard])
    files.begin()
    files.end()
    assert merged(tmp_path, "succeeded.jsonl") == [b"1"]


def test_only_what_is_committed_is_copied(tmp_path: Path) -> None:
    """A line that the journal does not know yet may be cut off by a crash: it is not a record."""
    shard = Shard(tmp_path / "0")
    shard.append("succeeded.jsonl", "1")
    shard.commit("succeeded.jsonl")
    shard.append("succeeded.jsonl", "2")
    files = files_of(tmp_path, [shard])
    files.begin()
    assert files.follow()
    assert merged(tmp_path, "succeeded.jsonl") == [b"1"]
    shard.cut("succeeded.jsonl")
    shard.append("succeeded.jsonl", "3")
    shard.commit("succeeded.jsonl")
    files.end()
    assert merged(tmp_path, "succeeded.jsonl") == [b"1", b"3"]
