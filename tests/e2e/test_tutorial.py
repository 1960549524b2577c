"""The tutorial is a program: its commands are run in turn, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import simulated
from tests.meta.source import ROOT

pytestmark = pytest.mark.e2e


def test_the_tutorial_works_from_top_to_bottom(tmp_path: Path) -> None:
    """Every shell block succeeds, ends with a report, and no row of it is paid twice."""
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    command = tmp_path / "bin" / "batcher"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m batcher "$@"\n')
    command.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    with (
        simulated("duration=0.1") as calm,
        simulated("duration=0.1,drop_after=0.2", seed=2) as losing,
    ):
        script = "set -e\n" + "".join(blocks)
        script = script.replace("http://127.0.0.1:8125", calm.base_url)
        script = script.replace("http://127.0.0.1:8126", losing.base_url)
        script = script.replace("test-key", "s3cret-key-of-the-test")
        ours = {k: v for k, v in os.environ.items() if not k.startswith("BATCHER_")}
        done = subprocess.run(
            ["sh", "-c", script],
            cwd=home,
            env={
                **ours,
                "PATH": f"{command.parent}:{ours['PATH']}",
                "PYTHONPATH": str(ROOT),
                "HOME": str(home),
                "BATCHER_STATE_DIR": str(home / "state"),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    run = home / "runs" / "photos-removit"
    assert (run / "report.html").stat().st_size > 1_000
    assert len((run / "succeeded.jsonl").read_text().splitlines()) == 4
    assert len(list((run / "downloads").iterdir())) >= 4
    assert losing.counts["references"] == losing.counts["jobs"] == 20
