"""SECURITY.md and the suite say the same: no promise stands there without a test that exists."""

from __future__ import annotations

import re

from tests.meta.source import ROOT
from tests.meta.test_guarantees import is_test

LINES = re.findall(
    r"^\| (?!promise|---|version|the latest|older)(.*) \| (.*) \|$",
    (ROOT / "SECURITY.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_every_line_has_tests_that_exist() -> None:
    """A promise names its tests, and they are there."""
    assert len(LINES) > 20
    for promise, cell in LINES:
        tests = re.findall(r"`(\S+?\.py::\S+?)`", cell)
        assert tests, f"no test proves: {promise}"
        assert [test for test in tests if not is_test(test)] == [], promise


def test_a_test_that_is_gone_is_seen() -> None:
    """The control: a name that nothing has is told."""
    assert not is_test("proofs/test_secrets.py::test_that_is_gone")
