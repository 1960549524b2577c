"""The beginning of a run: who is refused leaves nothing behind, and may mend it and try again."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

import batcher
from batcher.adapters.merged import MARK
from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import write_run_file
from batcher.adapters.sqlite import SqliteJournal
from batcher.cli.driving.beginning import owned
from batcher.cli.workers.conductor import WorkerFailed
from batcher.core.errors import StorageError, UsageError
from batcher.core.settings import Frozen, Settings
from tests.adapters.journal_conformance import entry
from tests.cli.processes import KEY, Shell

NOBODY = "http://127.0.0.1:9"  # nothing is sent in these tests
FROZEN = Frozen(provider="removit", base_url=NOBODY, manifest="-")


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("file_url,file_url\n1,2\n", []),
        ("file_url\nhttps://a.example/1.jpg\n", ["--download", "m.csv/pictures"]),
        ("file_url,file_url\n1,2\n", ["--run-dir", "there", "--metrics"]),
        ("file_url,file_url\n1,2\n", ["--run-dir", "new/x", "--metrics"]),
    ],
    ids=["manifest", "download", "metrics", "metrics-of-its-own"],
)
def test_a_refused_run_leaves_nothing(manifest: str, words: list[str], tmp_path: Path) -> None:
    """What was not there before is not there afterwards, so that the mended command is no other."""
    (tmp_path / "m.csv").write_text(manifest)
    (tmp_path / "there").mkdir()
    done = Shell(tmp_path, NOBODY).do(
        *("run", "m.csv", "--provider", "removit", "--base-url", NOBODY, "--quiet", *words)
    )

    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["m.csv", "there"]


def test_what_was_there_is_left_as_it_was(tmp_path: Path) -> None:
    """Folders to fetch into go if the refused run made them; what was there keeps its mode."""
    (tmp_path / "m.csv").write_text("file_url,file_url\n1,2\n")
    there = tmp_path / "there"
    there.mkdir()
    there.chmod(0o2775)
    (there / ".gitkeep").touch()
    (tmp_path / "pictures").mkdir()
    for download in ("there/pics", "other/pics", "pictures"):
        done = Shell(tmp_path, NOBODY).do(
            *("run", "m.csv", "--provider", "removit", "--base-url", NOBODY, "--quiet"),
            *("--run-dir", "there", "--download", download),
        )
        assert done.returncode == 2, done.stderr

    found = sorted(path.name for path in tmp_path.rglob("*"))
    assert found == [".gitkeep", "m.csv", "pictures", "there"]
    assert there.stat().st_mode & 0o7777 == 0o2775


@pytest.mark.e2e
def test_refused_workers_leave_nothing(tmp_path: Path) -> None:
    """The mended command, without --workers, is not held to what the refused one made."""
    (tmp_path / "m.csv").write_text("file_url,file_url\n1,2\n")
    done = Shell(tmp_path, NOBODY).do(
        *("run", "m.csv", "--provider", "removit", "--base-url", NOBODY, "--workers", "2"),
        *("--run-dir", "x/y", "--download", "--metrics"),
    )

    assert done.returncode == 2, done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["m.csv"]


def test_a_refused_call_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python, too: neither the directory nor the rows that were written into it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REMOVIT_API_KEY", KEY)
    Path("m.csv").write_text("file_url,file_url\n1,2\n")
    rows = [{"file_url": "https://a.example/1.jpg"}]
    with pytest.raises(UsageError, match="download folder"):
        batcher.run_sync(rows, provider="removit", base_url=NOBODY, download="m.csv/pictures")

    with pytest.raises(UsageError, match="two columns"):
        list(batcher.stream_sync("m.csv", provider="removit", base_url=NOBODY))

    assert [found.name for found in tmp_path.iterdir()] == ["m.csv"]


def refuse(directory: RunDirectory, error: Exception, *, with_row: bool) -> None:
    """Begin a run, have a row in it or not, and come to grief."""
    with owned(directory):
        begin(directory, with_row=with_row)
        raise error


def begin(directory: RunDirectory, *, with_row: bool) -> None:
    """Put a run file and a journal into a directory."""
    directory.create()
    write_run_file(directory.run_file, FROZEN, Settings())
    journal = SqliteJournal.open(directory.journal, durable=False)
    journal.claim(0.0)
    if with_row:
        journal.admit([entry("r1", 1)])

    journal.close()


def test_a_run_with_a_row_stays(tmp_path: Path) -> None:
    """A row may have been sent: whatever is refused then, its journal is not touched."""
    directory = RunDirectory(tmp_path / "x")
    with pytest.raises(UsageError, match="late"):
        refuse(directory, UsageError("late"), with_row=True)

    assert directory.is_run
    assert directory.journal.exists()


@pytest.mark.parametrize("part", ["a row", "an owner", "a rescued job", "nothing"])
def test_workers_with_a_row_stay(part: str, tmp_path: Path) -> None:
    """Shards go only if none has a row, a job or somebody who works on it."""
    directory = RunDirectory(tmp_path / "x")
    with pytest.raises(WorkerFailed), ExitStack() as held:
        refuse_workers(directory, part, held)

    assert directory.is_run == directory.path.exists() == (part != "nothing")
    for shard in directory.parts(2):
        assert shard.is_run == shard.journal.exists() == (part != "nothing")


def refuse_workers(directory: RunDirectory, part: str, held: ExitStack) -> None:
    """Begin a run of two workers, with *part* in the second one's shard, and come to grief."""
    with owned(directory):
        write_run_file(directory.run_file, FROZEN, Settings())
        first, second = directory.parts(2)
        (directory.path / MARK).touch()
        begin(first, with_row=False)
        begin(second, with_row=part == "a row")
        if part == "an owner":
            held.enter_context(second.lock(0.0))

        if part == "a rescued job":
            second.rescue.touch()

        raise WorkerFailed("worker 0: a bad header", 2)


def test_a_run_that_was_there_stays(tmp_path: Path) -> None:
    """Only what a refused command made is taken away, never what it found."""
    directory = RunDirectory(tmp_path / "x")
    directory.create()
    write_run_file(directory.run_file, FROZEN, Settings())
    with pytest.raises(UsageError, match="early"):
        refuse(directory, UsageError("early"), with_row=False)

    assert directory.is_run
    assert directory.journal.exists()


def test_what_is_nobodys_mistake_leaves_its_traces(tmp_path: Path) -> None:
    """A disk that failed, or a bug, is looked into: nothing is taken away."""
    directory = RunDirectory(tmp_path / "x")
    with pytest.raises(StorageError):
        refuse(directory, StorageError("disk"), with_row=False)

    assert directory.is_run
