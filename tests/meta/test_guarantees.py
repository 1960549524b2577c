"""docs/guarantees.md and the suite say the same: no promise stands there on a test that is gone."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from tests.meta.source import PACKAGE, ROOT
from tests.proofs.controls import CONTROLS, Control

PAGE = ROOT / "docs" / "guarantees.md"


class Promise(NamedTuple):
    """One line of the table."""

    name: str
    kept_by: str
    tests: tuple[str, ...]
    controls: tuple[str, ...]


def promises(text: str) -> list[Promise]:
    """Read the lines of the table: promise, kept by, tests, controls."""
    lines = re.findall(r"^\| \*\*(.+?)\*\* \| (.*) \| (.*) \| (.*) \|$", text, re.MULTILINE)
    return [
        Promise(
            name,
            kept_by,
            tuple(re.findall(r"`(\S+?\.py::\S+?)`", tests)),
            tuple(re.findall(r"`([\w-]+)`", controls)),
        )
        for name, kept_by, tests, controls in lines
    ]


def is_test(name: str) -> bool:
    """Tell whether `folder/test_x.py::test_y`, below `tests`, is there.

    The methods of a class may stand in a suite that its file imports from the same folder.
    """
    place, *_, function = name.split("::")
    file = ROOT / "tests" / place
    if not file.exists():
        return False

    files = file.parent.glob("*.py") if name.count("::") > 1 else [file]
    definition = re.compile(rf"^ *(async )?def {re.escape(function)}\(", re.MULTILINE)
    return any(definition.search(path.read_text(encoding="utf-8")) for path in files)


THEIRS = promises(PAGE.read_text(encoding="utf-8"))
each_promise = pytest.mark.parametrize("promise", THEIRS, ids=lambda promise: promise.name)
each_control = pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)


def test_the_table_is_read() -> None:
    """Every line that begins with a promise is understood."""
    begun = re.findall(r"^\| \*\*", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(THEIRS) == len(begun) > 0


@each_promise
def test_every_promise_has_tests_that_exist(promise: Promise) -> None:
    """A promise without a test is a wish, and stands under what is not proved yet."""
    assert promise.tests
    assert [test for test in promise.tests if not is_test(test)] == []


@each_promise
def test_every_file_that_keeps_a_promise_exists(promise: Promise) -> None:
    """What is named as the keeper of a promise is there."""
    named = re.findall(r"`([\w/]+(?:\.py|/))`", promise.kept_by)
    assert [name for name in named if not (ROOT / PACKAGE / name).exists()] == []


@each_control
def test_every_control_stands_at_its_promise(control: Control) -> None:
    """No control is missing from the table, and none stands at another promise."""
    shown = [promise.name for promise in THEIRS if control.name in promise.controls]
    assert shown == [control.promise]


def test_the_table_names_no_other_control() -> None:
    """What the table calls a control is one."""
    known = {control.name for control in CONTROLS}
    shown = {name for promise in THEIRS for name in promise.controls}
    assert shown - known == set()


@each_control
def test_every_test_that_a_control_names_exists(control: Control) -> None:
    """A test that was renamed is renamed in its control."""
    found = [is_test(test.removeprefix("tests/")) for test in control.red]
    assert found
    assert all(found)


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("meta/test_guarantees.py::test_the_table_is_read", True),
        ("adapters/test_sqlite.py::TestMoves::test_a_job_belongs_to_one_row", True),
        ("meta/test_guarantees.py::test_the_table", False),
        ("meta/test_no_such_file.py::test_the_table_is_read", False),
    ],
)
def test_the_checker_tells_what_is_there(name: str, there: bool) -> None:
    """A name that is only the beginning of a test's is none."""
    assert is_test(name) is there
