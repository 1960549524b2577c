"""Dialects of other packages, found by their entry points."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.processes import Shell

DIALECT = """
from dataclasses import replace
from batcher.providers.removit.dialect import Removit

class Mine(Removit):
    facts = replace(Removit.facts, name="mine", key_env="MINE_API_KEY")
"""


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A folder from which Python finds an installed package with two dialects."""
    installed = tmp_path / "mine-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        "[batcher.providers]\nmine = mine:Mine\nbroken = nowhere:Nothing\n"
    )
    (tmp_path / "mine.py").write_text(DIALECT)
    shell = Shell(tmp_path)
    shell.write_manifest(2)
    return shell


def test_an_installed_dialect_is_a_provider(shell: Shell) -> None:
    """Its name works like those of batcher's own."""
    done = shell.do("check", "m.jsonl", "--provider", "mine")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize(
    ("name", "told"), [("broken", "nowhere:Nothing cannot be loaded"), ("none", "is not one of")]
)
def test_what_cannot_be_loaded_is_told_in_a_line(shell: Shell, name: str, told: str) -> None:
    """Exit 2 and one line, as for any wrong value."""
    done = shell.do("check", "m.jsonl", "--provider", name)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
