"""Completion in a real bash: what the Tab key would offer."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from batcher.cli.app import cli
from tests.cli.processes import ROOT

pytestmark = pytest.mark.e2e

BASH = shutil.which("bash")
CASES = {
    "batcher re": {"resume", "retry", "report", "refunds"},
    "batcher run --provider ''": {"removit", "deapi"},
    "batcher run --fail": {"--fail-on"},
    "batcher run --rate ''": {"auto", "none"},
    "batcher resume ''": {"runs/tonight-removit"},
    "batcher doubt list runs/": {"runs/tonight-removit"},
    "batcher doubt re": {"resubmit"},
}


@pytest.mark.skipif(BASH is None, reason="there is no bash here")
def test_words_are_finished_in_bash(tmp_path: Path) -> None:
    """Commands, flags, their values and run directories, also where batcher.toml is broken."""
    (tmp_path / "runs/tonight-removit").mkdir(parents=True)
    (tmp_path / "runs/tonight-removit/run.toml").touch()
    (tmp_path / "runs/no-run").mkdir()
    (tmp_path / "batcher.toml").write_text("broken")
    program = tmp_path / "batcher"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m batcher "$@"\n')
    program.chmod(0o700)
    asks = "\n".join(
        f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); COMPREPLY=()\n"
        "_batcher_completion batcher; echo ${COMPREPLY[*]}"
        for words in CASES
    )
    assert BASH is not None
    done = subprocess.run(
        [BASH, "--norc", "-c", f'eval "$(batcher completion bash)"\n{asks}'],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    found = [set(line.split()) for line in done.stdout.splitlines()]
    assert dict(zip(CASES, found, strict=True)) == CASES


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_get_a_script(shell: str) -> None:
    """One that calls batcher back."""
    done = CliRunner().invoke(cli, ["completion", shell])

    assert done.exit_code == 0
    assert f"_BATCHER_COMPLETE={shell}_complete" in done.output
