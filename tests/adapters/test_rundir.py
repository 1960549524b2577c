"""The run directory: one owner, private, and settings that come back as they went."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.adapters.rundir import RunDirectory, absolute_path, default_run_directory
from batcher.adapters.runfile import differences, read_run_file, write_run_file
from batcher.core.errors import RunBusy, UsageError
from batcher.core.settings import Frozen, Settings

FROZEN = Frozen(
    provider="removit",
    base_url="https://api.removit.eu",
    manifest="/m/catalogue.csv",
    params={"mode": "params", "params": {"margin": 12}},
)
FORK = """
import sys
from os import _exit, close, fork, pipe, read, waitpid
from pathlib import Path
from batcher.adapters.rundir import RunDirectory
directory = RunDirectory(Path(sys.argv[1]))
ready, end = pipe()
with directory.lock(1.0):
    child = fork()
    if child == 0:
        close(end)
        read(ready, 1)
        _exit(0)
with RunDirectory(directory.path).lock(2.0):
    print("free")
close(end)
waitpid(child, 0)
"""
OWNER = """
import sys
from pathlib import Path
from batcher.adapters.rundir import RunDirectory
with RunDirectory(Path(sys.argv[1])).lock(1_800_000_000.0):
    print("owned", flush=True)
    sys.stdin.readline()
"""


def test_the_directory_is_private_and_may_be_there(tmp_path: Path) -> None:
    """Made with its parents and 0700, or left as its maker wanted it; found again as a run."""
    there = tmp_path / "there"
    there.mkdir()
    there.chmod(0o2775)
    for path, mode in ((tmp_path / "runs" / "x", 0o700), (there, 0o2775)):
        directory = RunDirectory(path)
        directory.create()
        assert path.stat().st_mode & 0o7777 == mode
        write_run_file(directory.run_file, FROZEN, Settings())
        (path / "succeeded.jsonl").touch()
        directory.create()
        assert directory.is_run
        assert directory.was_begun


def test_a_run_without_outcome_files_never_began(tmp_path: Path) -> None:
    """They are made after the journal: without them a missing journal was never there."""
    directory = RunDirectory(tmp_path)
    write_run_file(directory.run_file, FROZEN, Settings())
    assert not directory.was_begun


def test_a_strangers_folder_is_refused(tmp_path: Path) -> None:
    """A folder with something in it that is no run is not written to."""
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(UsageError, match=r"holiday\.jpg"):
        RunDirectory(tmp_path).create()


def test_a_start_that_died_early_can_be_made_again(tmp_path: Path) -> None:
    """Lock files and half-written settings of a process that died do not make it a stranger's."""
    directory = RunDirectory(tmp_path)
    with directory.lock(0.0):
        pass

    (tmp_path / ".run.toml.tmp").write_bytes(b"version = ")
    directory.create()


def test_what_cannot_be_a_directory_is_a_usage_error(tmp_path: Path) -> None:
    """A file in the way is the user's to mend."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="run directory"):
            RunDirectory(path).create()


def test_a_run_that_never_was_is_taken_away(tmp_path: Path) -> None:
    """All that batcher made of it goes; where there is anything else, nothing is touched."""
    directory = RunDirectory(tmp_path / "x")
    directory.create()
    with directory.lock(0.0):
        write_run_file(directory.run_file, FROZEN, Settings())
        for name in ("journal.db", "journal.db-wal", "failed.jsonl", "rows.jsonl", "mine.txt"):
            (directory.path / name).touch()

        directory.forget(["rows.jsonl"])
        assert directory.is_run
        (directory.path / "mine.txt").unlink()
        directory.forget(["rows.jsonl"])

    assert list(directory.path.iterdir()) == []


def test_hidden_files_of_others_keep_nothing_and_stay(tmp_path: Path) -> None:
    """What is let pass at the start is let pass at the end: only what batcher made goes."""
    (tmp_path / ".gitkeep").touch()
    directory = RunDirectory(tmp_path)
    directory.create()
    with directory.lock(0.0):
        write_run_file(directory.run_file, FROZEN, Settings())
        (tmp_path / "failed.jsonl").touch()
        directory.forget()

    assert [path.name for path in tmp_path.iterdir()] == [".gitkeep"]


def test_a_run_that_begins_meanwhile_is_no_stranger(tmp_path: Path) -> None:
    """Who looks while another process begins a run there comes to its lock, not to its files."""

    class Early(RunDirectory):
        """Looks right before the other process has its `run.toml` there."""

        @property
        def is_run(self) -> bool:
            seen = super().is_run
            write_run_file(self.run_file, FROZEN, Settings())
            return seen

    Early(tmp_path).refuse_others()


# --- One owner -------------------------------------------------------------------------------


def test_a_lock_that_was_taken_away_owns_nothing(tmp_path: Path) -> None:
    """Who waited for a lock whose file is gone by then is turned away: others lock a new one."""
    directory = RunDirectory(tmp_path)

    class Late(RunDirectory):
        """Comes while the owner takes the run away: between opening and locking."""

        @contextmanager
        def _opened(self, path: Path, mode: int = os.O_RDWR | os.O_CREAT) -> Iterator[int]:
            with super()._opened(path, mode) as fd:
                directory.forget()
                yield fd

    with pytest.raises(RunBusy, match="start again"), Late(tmp_path).lock(0.0):
        pass


def test_a_second_process_is_turned_away_until_the_first_is_killed(tmp_path: Path) -> None:
    """The message says who owns it and since when; `kill -9` gives the directory free."""
    directory = RunDirectory(tmp_path)
    assert not directory.is_owned()
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"owned\n"
        assert directory.is_owned()
        with pytest.raises(RunBusy) as caught, directory.lock(0.0):
            pass

        text = str(caught.value)
        assert f"process {owner.pid} on " in text
        assert str(tmp_path) in text
        assert "2027-01-15T08:00:00.000Z" in text
        owner.kill()

    assert not directory.is_owned()
    with directory.lock(0.0):
        assert directory.is_owned()

    assert not directory.is_owned()


def test_two_owners_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    """The lock is of the open file, not of the process."""
    with RunDirectory(tmp_path).lock(0.0):
        with pytest.raises(RunBusy), RunDirectory(tmp_path).lock(0.0):
            pass

        assert RunDirectory(tmp_path).is_owned()


def test_asking_does_not_turn_an_owner_away(tmp_path: Path) -> None:
    """However often others ask at the same time, whoever wants to own the directory gets it."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom batcher.adapters.rundir import RunDirectory\n"
    )
    code += "directory = RunDirectory(Path(sys.argv[1]))\nprint('asking', flush=True)\n"
    code += "for _ in range(20_000): directory.is_owned()\n"
    RunDirectory(tmp_path).create()
    with RunDirectory(tmp_path).lock(0.0):
        pass

    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
    ) as asker:
        assert asker.stdout is not None
        asker.stdout.readline()
        for _ in range(500):
            with RunDirectory(tmp_path).lock(0.0):
                pass

        asker.kill()


def test_locks_are_private(tmp_path: Path) -> None:
    """Nobody else learns from the lock which host and process is at work."""
    with RunDirectory(tmp_path).lock(0.0):
        assert (tmp_path / "run.lock").stat().st_mode & 0o777 == 0o600


# --- Settings --------------------------------------------------------------------------------

plain = st.text(st.characters(codec="utf-8"))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=6,
)


@given(params=st.dictionaries(plain, values, max_size=4), download=st.none() | plain)
def test_settings_come_back_as_they_went(
    tmp_path_factory: pytest.TempPathFactory, params: dict[str, Any], download: str | None
) -> None:
    """Any `--set`, with nulls at any depth, survives: the same command is equal on a resume."""
    path = tmp_path_factory.mktemp("run") / "run.toml"
    frozen = Frozen(
        provider="deapi", base_url="https://h", manifest="-", params=params, download=download
    )
    settings = Settings(rate="5/m", finish_by=1.8e9, limit=3)
    write_run_file(path, frozen, settings)
    back, settings_back = read_run_file(path)
    assert back == frozen
    assert settings_back == settings
    assert differences(frozen, back) == []
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_is_readable_toml_without_empty_settings(tmp_path: Path) -> None:
    """A person can read it; a setting without a value is left out."""
    path = tmp_path / "run.toml"
    write_run_file(path, FROZEN, Settings())
    document = tomllib.loads(path.read_text())
    assert document["version"] == 1
    assert document["run"]["params"] == FROZEN.params
    assert "download" not in document["run"]
    assert "rate" not in document["settings"]
    assert document["settings"]["max_attempts"] == 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "is no run directory"),
        ("version = ", "is not TOML"),
        ("version = 2\n", "newer"),
        ("x = 1\n", "newer"),
        ("version = 1\n", "not as batcher wrote it"),
        ("version = 1\n[settings]\n[run]\nprovider = 1\n", "not as batcher wrote it"),
        ("\udcff", "is not TOML"),
    ],
)
def test_a_run_file_that_cannot_be_used_says_why(
    tmp_path: Path, text: str | None, told: str
) -> None:
    """Missing, cut, newer, foreign, not even text: one clear line each."""
    path = tmp_path / "run.toml"
    if text is not None:
        path.write_text(text, errors="surrogateescape")

    with pytest.raises(UsageError, match=told):
        read_run_file(path)


def test_a_base_url_with_a_password_is_not_written(tmp_path: Path) -> None:
    """The file never holds a secret."""
    frozen = Frozen(provider="removit", base_url="https://user:pw@host", manifest="-")
    with pytest.raises(UsageError, match="--base-url"):
        write_run_file(tmp_path / "run.toml", frozen, Settings())

    assert list(tmp_path.iterdir()) == []


def test_every_difference_is_one_exact_line() -> None:
    """What a command wants otherwise than the run was begun is told, old and new, line by line."""
    new = Frozen(
        provider="deapi",
        base_url="https://api.removit.eu",
        manifest="-",
        params={"mode": "clipping", "params": {"margin": 12.0}, "x": None},
        download="/d",
    )
    assert differences(FROZEN, new) == [
        '--provider: the run has "removit", the command says "deapi"',
        'the manifest: the run has "/m/catalogue.csv", the command says "-"',
        '--download: the run has none, the command says "/d"',
        '--set mode: the run has "params", the command says "clipping"',
        '--set params: the run has {"margin": 12}, the command says {"margin": 12.0}',
        "--set x: the run has none, the command says null",
    ]


def test_a_difference_can_be_read_and_cannot_paint() -> None:
    """Letters of any script stand as they are; what cannot be seen is spelled out."""
    old = Frozen(provider="removit", base_url="https://a.example", manifest="Käufer.csv")
    new = Frozen(provider="removit", base_url="https://a.example", manifest="\u202e\x1b\ud800")

    assert differences(old, new) == [
        r'the manifest: the run has "Käufer.csv", the command says "\u202e\u001b\ud800"'
    ]


def test_another_spelling_is_the_same_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dots and slashes that lead nowhere go; links stay, and so does a `..` behind one."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a/b")
    monkeypatch.chdir(tmp_path)

    assert absolute_path("./a//b/../m.csv") == tmp_path / "a" / "m.csv"
    assert absolute_path("new/../m.csv") == tmp_path / "m.csv"
    assert absolute_path("link/m.csv") == tmp_path / "link" / "m.csv"
    assert absolute_path("link/../m.csv") == tmp_path / "link" / ".." / "m.csv"


@pytest.mark.parametrize(
    ("manifest", "name"),
    [
        ("photos.jsonl", "photos"),
        ("in/catalogue.v2.CSV", "catalogue.v2"),
        ("list.jsonl.gz", "list"),
        ("rows.dat", "rows.dat"),
        ("-", "stdin"),
        ("folder.csv", "folder.csv"),
        (".", "here"),
    ],
)
def test_a_manifest_names_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manifest: str, name: str
) -> None:
    """`runs/<stem>-<provider>`: a file without its extensions, a folder with its whole name."""
    here = tmp_path / "here"
    (here / "folder.csv").mkdir(parents=True)
    monkeypatch.chdir(here)
    assert default_run_directory(manifest, "removit") == Path("runs", f"{name}-removit")


def test_a_lock_that_was_deleted_does_not_make_a_second_owner(tmp_path: Path) -> None:
    """Without run.lock the second process is turned away by what askers probe, and soon."""
    directory = RunDirectory(tmp_path / "run")
    directory.create()
    with directory.lock(1.0):
        (directory.path / "run.lock").unlink()
        with pytest.raises(RunBusy, match="deleted"), RunDirectory(directory.path).lock(2.0):
            pass


def test_a_forked_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    """What a program forks while it runs has our files open, and owns nothing."""
    directory = RunDirectory(tmp_path / "run")
    directory.create()
    words = [sys.executable, "-c", FORK, str(directory.path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("free\n", "")


def test_the_mark_of_an_open_journal_outlives_a_crash_only(tmp_path: Path) -> None:
    """It is there while the journal is open, and gone after an orderly end."""
    directory = RunDirectory(tmp_path / "run")
    directory.create()
    directory.mark_open()
    assert RunDirectory(directory.path).is_marked_open
    directory.mark_closed()
    directory.mark_closed()
    assert not directory.is_marked_open
