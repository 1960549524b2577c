"""The tests can fail: each wrong version of batcher turns every test red that it names.

A wrong version is made in a copy of the project, and pytest runs there as everywhere. What counts
is a test that fails: a copy that cannot be imported, a name that is gone or a run that hangs prove
nothing, and neither does a test that is red without any change (`test_the_right_version_is_green`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proofs.controls import CONTROLS, Control
from tests.support.figures import Figures

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
KEPT_OUT = shutil.ignore_patterns("__pycache__", ".*")
FAILED = 1  # pytest's exit code for: they ran, and some failed
LONGEST_S = 500.0
SLIPS = re.compile(r"^E +(NameError|ImportError|SyntaxError|UnboundLocalError)", re.MULTILINE)
ODD = re.compile(r"\[(unreachable|comparison-overlap|truthy-bool|var-annotated|misc)\]$")


def copy(folder: Path) -> Path:
    """Copy what a test needs of the project, and return where it is."""
    for name in ("batcher", "tests", "sample_manifests"):
        shutil.copytree(ROOT / name, folder / name, ignore=KEPT_OUT)

    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def run(home: Path, tests: list[str]) -> subprocess.CompletedProcess[str]:
    """Run some tests in a copy, up to the first that fails."""
    words = ("-x", "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:xdist")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words, f"--basetemp={home / 'tmp'}", *tests],
        cwd=home,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )


def environment() -> dict[str, str]:
    """Return our environment without what would make the tests there longer, or others."""
    ours = ("BATCHER_", "PYTEST_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1"}


def make_wrong(home: Path, control: Control) -> None:
    """Put the mistake into a copy."""
    path = home / control.file
    text = path.read_text(encoding="utf-8")
    assert text.count(control.right) == 1, (
        f"{control.name} no longer applies: {control.file} holds its text "
        f"{text.count(control.right)} times; mend the control"
    )
    path.write_text(text.replace(control.right, control.wrong), encoding="utf-8")


def pairs() -> Iterator[Any]:
    """Yield each control with each of its tests; most of them are for `make soak`."""
    for control in CONTROLS:
        for n, test in enumerate(control.red):
            is_soak = n > 0 or not control.always
            name = f"{control.name}-{test.rpartition('::')[2]}"
            yield pytest.param(control, test, id=name, marks=[pytest.mark.soak] * is_soak)


@pytest.mark.parametrize(("control", "test"), list(pairs()))
def test_a_wrong_version_turns_red(
    control: Control, test: str, tmp_path: Path, figures: Figures
) -> None:
    """The mistake is seen, by this very test, and by a failure that is none of the copy's."""
    home = copy(tmp_path)
    make_wrong(home, control)
    ended = run(home, [test])

    is_seen = ended.returncode == FAILED
    figures.add("wrong versions", {"pairs": 1, "red": is_seen, "unseen": not is_seen})
    assert ended.returncode == FAILED, f"{test} does not see {control.name}:\n{ended.stdout}"
    assert not SLIPS.search(ended.stdout), f"{control.name} is no version at all:\n{ended.stdout}"


@pytest.mark.soak
def test_the_right_version_is_green(tmp_path: Path) -> None:
    """Without a mistake all of these tests pass in such a copy."""
    ended = run(copy(tmp_path), sorted({test for control in CONTROLS for test in control.red}))
    assert ended.returncode == 0, ended.stdout


@pytest.mark.soak
def test_no_wrong_version_has_wrong_types(tmp_path: Path) -> None:
    """What calls a method that is not there crashes, and says nothing of the promise it breaks."""
    home = copy(tmp_path)
    try:
        assert not slips_of_types(home)
        for control in CONTROLS:
            right = (home / control.file).read_text(encoding="utf-8")
            make_wrong(home, control)
            assert not slips_of_types(home), control.name
            (home / control.file).write_text(right, encoding="utf-8")
    finally:
        mypy(home, "stop")


def slips_of_types(home: Path) -> list[str]:
    """Return what mypy has against the package in *home*, but for what is only odd."""
    told = mypy(home, "run", "--", "batcher").stdout
    return [line for line in told.splitlines() if ": error: " in line and not ODD.search(line)]


def mypy(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Ask mypy's daemon, which looks only at what is new since it was last asked."""
    command = [sys.executable, "-m", "mypy.dmypy", *words]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=LONGEST_S)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_every_control_still_applies(control: Control) -> None:
    """The text to be replaced stands in its file, once, and is replaced by another."""
    text = (ROOT / control.file).read_text(encoding="utf-8")
    assert text.count(control.right) == 1
    assert control.right != control.wrong


def test_each_control_has_its_own_name() -> None:
    """A name stands for one wrong version."""
    names = [control.name for control in CONTROLS]
    assert len(set(names)) == len(names)
