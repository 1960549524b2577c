"""What is kept of durations: where, how much of it, and that nothing about it can end a run."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.adapters.learned import (
    CLASSES_MAX,
    FILE_BYTES_MAX,
    FILES_MAX,
    NAME_CHARS_MAX,
    Learned,
    load,
    state_folder,
)
from batcher.core.backoff import Backoff
from batcher.core.polling.durations import Durations, Look
from batcher.core.polling.looking import Looking
from tests.support.logs import Events

URL = "https://api.example.com"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a state folder of one test; it is not made yet."""
    folder = tmp_path / "a" / "state"
    monkeypatch.setenv("BATCHER_STATE_DIR", str(folder))
    return folder


def known(jobs: int = 20, seconds: float = 60.0) -> Durations:
    """Return what looks at some jobs of about one duration saw."""
    looks = [Look(seconds + n / 10, seconds + n / 10 + 1, ended=True) for n in range(jobs)]
    return Durations([Look(0.0, seconds, ended=False), *looks])


def file_of(folder: Path) -> Path:
    """Return the only file in a folder."""
    (file,) = folder.iterdir()
    return file


# HAPPY PATH


def test_what_is_saved_is_loaded(state: Path) -> None:
    """Class by class, for this API only, in a file that only its owner can read."""
    Learned("deapi", URL).save({"a": known().kept(), "b": known(7, 9.0).kept()})

    assert {name: each.kept() for name, each in load("deapi", URL).items()} == {
        "a": known().kept(),
        "b": known(7, 9.0).kept(),
    }
    assert load("deapi", "https://other.example.com") == {}
    assert load("removit", URL) == {}
    assert stat.S_IMODE(file_of(state).stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_name_and_a_password_in_the_address_are_not_kept(state: Path) -> None:
    """Neither in the file's name nor in it; the API is the same with and without."""
    Learned("deapi", "https://user:secret@api.example.com").save({"a": known().kept()})

    assert "secret" not in file_of(state).name
    assert b"secret" not in file_of(state).read_bytes()
    assert list(load("deapi", URL)) == ["a"]


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"BATCHER_STATE_DIR": "/x", "XDG_STATE_HOME": "/y", "HOME": "/h"}, "/x"),
        ({"XDG_STATE_HOME": "/y", "HOME": "/h"}, "/y/batcher"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/batcher"),
        ({"HOME": "/h"}, "/h/.local/state/batcher"),
        ({"BATCHER_STATE_DIR": "none", "HOME": "/h"}, None),
        ({"BATCHER_STATE_DIR": "", "HOME": "/h"}, None),
        ({"HOME": ""}, None),
        ({}, None),
    ],
)
def test_where_it_is_kept(environ: dict[str, str], folder: str | None) -> None:
    """Our own variable, then XDG's, then the home; without any nothing is kept."""
    assert state_folder(environ) == (None if folder is None else Path(folder))


# SAD PATH


def test_switched_off_nothing_is_written_or_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`BATCHER_STATE_DIR=none`, whatever the home is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BATCHER_STATE_DIR", "none")
    Learned("deapi", URL).save({"a": known().kept()})

    assert load("deapi", URL) == {}
    assert list(tmp_path.iterdir()) == []


DAMAGED = [
    *(b"", b"{", b"7", b"null", b"[]", b"\xff\xfe", b"{}", b'{"format": 1}', b"[" * 5_000),
    b'{"format": 2, "origin": "https://api.example.com", "classes": {}}',
    b'{"format": 1, "origin": "https://api.example.com", "classes": []}',
    b'{"format": 1, "origin": "https://api.example.com", "classes": 7}',
    b" " * (FILE_BYTES_MAX + 1),
]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_told_and_replaced(state: Path, content: bytes) -> None:
    """Nothing is known then, one line of the log says why, and the next save mends it."""
    log = Events()
    learned = Learned("deapi", URL, log)
    learned.save({"a": known().kept()})
    file_of(state).write_bytes(content)

    assert learned.load() == {}
    assert len(log.names("warning")) == 1
    learned.save({"a": known().kept()})
    assert list(learned.load()) == ["a"]


def test_a_damaged_class_costs_that_class_alone(state: Path) -> None:
    """What else stands in the file is used."""
    learned = Learned("deapi", URL)
    learned.save({"a": known().kept(), "b": [], "c": {"looks": "no"}, "d": None})

    assert list(learned.load()) == ["a"]


@pytest.mark.parametrize("obstacle", ["file", "pipe", "link", "unwritable"])
def test_an_obstacle_is_one_line_of_the_log(state: Path, obstacle: str) -> None:
    """A folder that is a file, a pipe or a planted link in the file's place: the run goes on."""
    log = Events()
    learned = Learned("deapi", URL, log)
    assert learned.path is not None
    if obstacle == "file":
        state.parent.mkdir()
        state.write_text("no folder")
    elif obstacle == "unwritable":
        state.parent.mkdir()
        state.symlink_to("/proc/self/none")
    else:
        state.mkdir(parents=True)
        (state.parent / "elsewhere").write_text("keep me")
        if obstacle == "pipe":
            os.mkfifo(learned.path)
        else:
            learned.path.symlink_to(state.parent / "elsewhere")

    assert learned.load() == {}
    learned.save({"a": known().kept()})
    assert set(log.names("warning")) == {"learned.unusable"} or obstacle in ("pipe", "link")
    if obstacle == "link":
        assert (state.parent / "elsewhere").read_text() == "keep me"


def test_what_is_kept_is_bounded(state: Path) -> None:
    """Classes, the length of their names, the file's size and the number of files."""
    log = Events()
    many = {f"class {n}": known().kept() for n in range(3 * CLASSES_MAX)}
    learned = Learned("deapi", URL, log)
    learned.save({"x" * (NAME_CHARS_MAX + 1): known().kept(), **many})
    assert list(learned.load()) == list(many)[:CLASSES_MAX]

    learned.save({"huge": "x" * FILE_BYTES_MAX})
    assert log.names("warning")
    assert list(learned.load()) == list(many)[:CLASSES_MAX]

    for n in range(FILES_MAX + 5):
        Learned("deapi", f"http://127.0.0.1:{n + 1}").save({"a": known(2).kept()})

    assert len(list(state.iterdir())) == FILES_MAX


def test_full_classes_fit_into_the_file(state: Path) -> None:
    """As many classes as are kept, each with as many reads as it keeps, are not too large."""
    durations = Durations(Look(12_345.678 + n, 12_346.789 + n, ended=True) for n in range(2_000))
    durations.curve()
    kept = durations.kept()
    Learned("deapi", URL).save({f"task model {n}": kept for n in range(CLASSES_MAX)})

    assert len(load("deapi", URL)) == CLASSES_MAX


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60)
points = st.lists(st.lists(numbers, min_size=2, max_size=2), max_size=8).map(
    lambda found: [[0, 1], *sorted([abs(age), 1 / (1 + n)] for n, (age, _) in enumerate(found))]
)
rows = st.lists(st.tuples(numbers, numbers, st.sampled_from([0, 1])).map(list), max_size=12)


@given(rows, points)
def test_any_numbers_can_be_begun_with(looks: list[object], curve: list[object]) -> None:
    """Whatever a file says, a plan can be made of it, or there is none; nothing raises."""
    content = orjson.loads(orjson.dumps({"looks": looks, "curve": curve}))
    looking = Looking(Backoff(2.0, 1.5, 15.0), durations=Durations.from_kept(content))
    assert 0 < looking.next_age_s(0.0, 0, 0.5) <= 3_600.0
