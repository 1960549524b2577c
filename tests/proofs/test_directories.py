"""Folders that cannot be used: one clear line before anything is sent, no loss in the middle."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import write_run_file
from batcher.core.errors import StorageError, UsageError
from batcher.core.settings import Frozen, Settings
from batcher.engine.books.opening import open_books
from batcher.engine.run import Run
from batcher.engine.session import _make_folder
from tests.proofs.test_disk_damage import Home

NOBODY = 65534
FROZEN = Frozen(provider="removit", base_url="http://127.0.0.1", manifest="/m.jsonl")


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Make *folder* one that this process may only read, whoever runs the tests."""
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)

    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that every user can reach; the tests' own is closed to others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def begun(path: Path) -> RunDirectory:
    """Return the directory of a run that was begun and has ended."""
    directory = RunDirectory(path)
    directory.create()
    path.chmod(0o755)
    write_run_file(directory.run_file, FROZEN, Settings())
    with directory.lock(time.time()), open_books(directory, "removit"):
        pass

    return directory


def use(directory: RunDirectory) -> None:
    """Do what `run` and `resume` do before anything can be sent."""
    directory.create()
    with directory.lock(time.time()), open_books(directory, "removit"):
        pass


def test_a_folder_that_cannot_hold_a_run_is_refused(open_folder: Path) -> None:
    """Its place may not be written to: exit 2, and it says which folder and why."""
    with without_rights(open_folder), pytest.raises(UsageError, match="run: Permission denied"):
        use(RunDirectory(open_folder / "run"))

    assert list(open_folder.iterdir()) == []


def test_a_run_that_may_only_be_read_is_refused(open_folder: Path) -> None:
    """A directory that became read-only: exit 2 or 74 with its name, and nothing is changed."""
    directory = begun(open_folder / "run")
    before = {path.name: path.read_bytes() for path in directory.path.iterdir()}
    with without_rights(directory.path), pytest.raises((UsageError, StorageError)) as refused:
        use(directory)

    assert f"{directory.path}" in str(refused.value)
    assert "Permission denied" in str(refused.value)
    assert {path.name: path.read_bytes() for path in directory.path.iterdir()} == before
    use(directory)


@pytest.mark.parametrize("below", [False, True], ids=["the path itself", "a folder of it"])
def test_a_file_in_the_place_of_the_directory_is_refused(below: bool, tmp_path: Path) -> None:
    """A path that is a file, or leads through one, stays as it is."""
    file = tmp_path / "photos.jsonl"
    file.write_text("{}")
    directory = RunDirectory(file / "run" if below else file)
    with pytest.raises(UsageError, match="Not a directory" if below else "is a file, not a folder"):
        use(directory)

    assert file.read_text() == "{}"


def test_a_download_folder_that_cannot_be_written_to_is_refused_at_the_start(
    open_folder: Path,
) -> None:
    """Before anything is sent, and not after fifteen minutes of paid results."""
    with without_rights(open_folder):
        with pytest.raises(UsageError, match="nothing can be written to it; check its rights"):
            _make_folder(str(open_folder))

        with pytest.raises(UsageError, match="Permission denied"):
            _make_folder(str(open_folder / "new"))

    file = open_folder / "file"
    file.touch()
    with pytest.raises(UsageError, match="File exists"):
        _make_folder(str(file))


@pytest.mark.virtual
async def test_rights_that_are_lost_in_the_middle_lose_nothing(tmp_path: Path) -> None:
    """What is open stays open: the run ends as ever, and with the rights back all is known."""
    night = Home(tmp_path, faults="duration=5,latency=0.3", settings={"rate": "10/s"})
    night.write_urls(30)
    user = os.geteuid()

    async def lose_rights(_run: Run) -> None:
        await anyio.sleep(1.5)
        night.directory.chmod(0o000)
        if user == 0:
            os.seteuid(NOBODY)

    try:
        await night.process(lose_rights)
    finally:
        os.seteuid(user)
        night.directory.chmod(0o755)

    await night.process()
    assert night.counts() == {"succeeded": 30}
    assert night.simulation.ledger.counts()["submits"] == 30
    night.assert_no_row_paid_twice()
