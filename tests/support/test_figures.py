"""Figures of proofs reach the end of a session whole, over all workers and from red tests too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFTEST = """
import pytest
from tests.support.figures import Figures, tell_figures


def pytest_configure(config):
    tell_figures(config)


@pytest.fixture
def figures(request):
    return Figures(request.node.user_properties)
"""
TESTS = """
import pytest


@pytest.mark.parametrize("n", range(6))
def test_one(n, figures):
    figures.add("kills", {"tried": 2, "lost": 0})
    figures.add("kills", {"tried": 1})
    figures.most("memory", {"KiB": 10 * n})
    assert n != 4


def test_without_figures():
    pass
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_figures_are_added_up_over_workers(workers: str, tmp_path: Path) -> None:
    """Sums, largest ones and failures are those of all tests, in a table and as one JSON line."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    words = [sys.executable, "-m", "pytest", "-q", "-n", workers, "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [*words, "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "BATCHER_FIGURES": str(tmp_path / "told.jsonl")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1, ended.stdout + ended.stderr
    lines = (tmp_path / "told.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "kills": {"tried": 18, "lost": 0, "FAILED TESTS": 1},
            "memory": {"KiB at most": 50, "FAILED TESTS": 1},
        }
    ]
    assert "kills   18 tried, 0 lost, 1 FAILED TESTS\n" in ended.stdout
    assert "memory  50 KiB at most, 1 FAILED TESTS\n" in ended.stdout
