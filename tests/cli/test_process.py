"""The process itself: missing streams, ignored hang-ups, and the limit of open files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", ">&- <&- 2>&-"])
def test_missing_streams_do_no_harm(closed: str, tmp_path: Path) -> None:
    """A command that was started without a stream works, and its files get no stream's number."""
    script = f'"{sys.executable}" -m batcher providers {closed}; echo "code $?" > code.txt'
    subprocess.run(
        ["/bin/sh", "-c", script], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True
    )

    assert (tmp_path / "code.txt").read_text() == "code 0\n"


def test_the_soft_limit_of_open_files_is_raised() -> None:
    """A run with many connections does not fail for a limit that it may raise itself."""
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 2048));"
        "from batcher.cli.process import prepare_process; prepare_process();"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    child = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert child.stdout.strip() == "(2048, 2048)"
