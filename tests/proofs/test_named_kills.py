"""`kill -9` at each place where it could hurt most, with real processes and a real disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from tests.e2e.world import KEY, ROOT, World, environment, finish, world
from tests.proofs.killed_at import POINTS
from tests.support.figures import Figures

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

TIMES = int(os.environ.get("BATCHER_NAMED_KILLS", "1"))
ROWS = 60
FAULTS = "duration=0.1,503=0.05,drop_after=0.03"
FLAGS = ("--rate", "400/s", "--download")
OF_A_DECISION = ("at_decision", "before_rewrite", "after_rewrite")
ALWAYS = (
    "before_rewrite",
    "after_intent",
    "after_send",
    "before_accept",
    "after_file",
    "before_outcome",
)


def places(points: Iterable[str]) -> list[Any]:
    """Return the points of a test; those that are not tried always are tried by `make soak`."""
    return [
        pytest.param(point, marks=[] if point in ALWAYS else [pytest.mark.soak]) for point in points
    ]


@pytest.mark.parametrize("point", places(p for p in POINTS if p not in OF_A_DECISION))
def test_a_kill_at_this_point_costs_nothing(point: str, tmp_path: Path, figures: Figures) -> None:
    """Dead there once in each of a few processes, then resumed: one job a row, none forgotten."""
    with world(tmp_path, faults=FAULTS) as here:
        here.write_urls(ROWS)
        died = 0
        for n in range(TIMES):
            died += killed_at(here, point, 1 + 3 * n, *here.command(*FLAGS)) == -SIGKILL

        ended = here.go(*FLAGS)

        figures.add("kill -9 at named points", {"points": 1, "kills": died, **here.losses()})
        assert died, "it never passed there"
        assert ended.returncode in (0, 3), ended.stderr
        here.assert_the_promise(ROWS)
        assert_files(here)


@pytest.mark.parametrize("point", places(OF_A_DECISION))
def test_a_kill_in_a_decision_leaves_it_made_or_unmade(point: str, tmp_path: Path) -> None:
    """`doubt fail --all` dies half-way: every row is still in one file, and can be decided."""
    with world(tmp_path, faults="duration=0.1,drop_after=0.3") as here:
        here.write_urls(ROWS)
        assert here.go(*FLAGS).returncode == 3
        held = len(here.records("in_doubt"))
        words = ("doubt", "fail", str(here.run), "--all")
        assert killed_at(here, point, 1, *words) == -SIGKILL

        assert here.go(*FLAGS).returncode == 3
        if here.records("in_doubt"):
            assert here.batcher(*words).returncode == 0

        assert here.counts_of_rows() == {"succeeded": ROWS - held, "failed": held}


def killed_at(here: World, point: str, nth: int, *words: str) -> int:
    """Run batcher until it dies at a point, or to its end; return how it ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.proofs.killed_at", point, str(nth), *words],
        cwd=ROOT,
        env=environment(here.api, KEY),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return finish(process).returncode


def assert_files(here: World) -> None:
    """Every succeeded row has its file, and nothing half-made is left over."""
    for record in here.records("succeeded"):
        assert all((here.run / name).stat().st_size for name in record["result"]["files"].values())

    folder = here.run / "downloads"
    named = {here.run / n for r in here.records("succeeded") for n in r["result"]["files"].values()}
    assert {path for path in folder.rglob("*") if path.is_file()} == named
