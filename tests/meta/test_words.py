"""The project speaks of itself alone: nothing stands in it that only its authors can look up."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.meta.source import ROOT

NOT_OURS = {".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "runs",
            "build", "dist", "__pycache__"}  # fmt: skip

STRAY = {
    "a path of somebody's machine": r"(?<![\w.~-])/(?:work|home|root|Users|mnt)/\w|/tmp/\w*venv",
    "a folder that is not part of the project": r"(?<![\w/-])shared/",
    "a number of a tracker that readers cannot see": r"\b(?:[Ii]ssue|PR|[Tt]icket) #?\d+",
    "a note that somebody meant to come back to": r"\b(?:TODO|FIXME|XXX)\b",
    "somebody's key": r"\b(?:sk|dpn-sk|dpn)-[A-Za-z0-9]{20,}",
}


def stray(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, what it is and what stands there)."""
    for number, line in enumerate(text.splitlines(), 1):
        for what, pattern in STRAY.items():
            if match := re.search(pattern, line):
                yield number, f"{what}: {match[0]!r}"


def texts() -> Iterator[tuple[Path, str]]:
    """Yield every text file of the project."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        for name in names:
            file = Path(folder, name)
            content = file.read_bytes()
            if b"\0" not in content and file != Path(__file__):
                yield file.relative_to(ROOT), content.decode("utf-8", "replace")


def test_nothing_strays_in() -> None:
    """No file names a path, tracker or note that only its author can look up."""
    found = [f"{file}:{line} {what}" for file, text in texts() for line, what in stray(text)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "text",
    ["see /work/x", "in /home/ann/x", "cf. shared/notes.md", "fixes issue 12", "# TODO: later"],
)
def test_the_checker_catches(text: str) -> None:
    """Each kind of stray is told."""
    assert list(stray(text))


@pytest.mark.parametrize("text", ["at work/home", "two tickets, 3 rows", "/v1/shared", "a/root/b"])
def test_the_checker_lets_pass(text: str) -> None:
    """Ordinary words are not told."""
    assert not list(stray(text))
