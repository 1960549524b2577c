"""The command keeps its promises on either event loop: uvloop where there is one, else asyncio."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.world import KEY, environment, finish, world

pytestmark = pytest.mark.e2e

# The command, with uvloop hidden or not; at its end it tells which loop was loaded.
COMMAND = """
import sys
if {is_hidden}:
    sys.modules["uvloop"] = None
from batcher.cli import main
try:
    main()
finally:
    print("loop:", "uvloop" if sys.modules.get("uvloop") else "asyncio")
"""


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_whole_run_on_either_loop(loop: str, tmp_path: Path) -> None:
    """uvloop is taken where it is installed, asyncio where it is not; a run ends well on both."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")

    code = COMMAND.format(is_hidden=loop == "asyncio")
    with world(tmp_path, faults="duration=0.2,503=0.05,drop_after=0.05", seed=2) as here:
        here.write_urls(100)
        process = subprocess.Popen(
            [sys.executable, "-c", code, *here.command("--rate", "500/s", "--quiet")],
            env=environment(here.api, KEY),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        ended = finish(process)

        assert ended.returncode == 3, ended.stderr  # some answers were lost on purpose
        assert ended.stdout.split("\n")[-2] == f"loop: {loop}"
        assert here.counts_of_rows().keys() == {"succeeded", "in_doubt"}
        here.assert_the_promise(100)
