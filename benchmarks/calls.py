"""How many calls Python makes for one job: a figure that no other work on the machine can change.

    python benchmarks/calls.py [--rows 300]

Method: a whole run on virtual time, the real engine, journal, files and dialect over a simulated
API within this process (`tests/engine/harness.py`), worker threads' work included; every call of a
Python or C function counts, but for those that the simulation and the harness make. Two runs of
different length are counted: their difference has no start and no end in it. The transport is not
in it; `check.py` counts the calls of a real run, too. One line of JSON.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.lines import tell  # after the path
from tests.engine.harness import Night
from tests.support.clock import run_virtual

ROWS, FEW = 300, 100
JOB_S = 0.5
ROOT = Path(__file__).parents[1]
NOT_OURS = (str(ROOT / "tests"), str(ROOT / "batcher" / "simulator"), __file__)
SETTINGS: dict[str, Any] = {"rate": "100000/s", "status_rate": "100000/s", "in_flight": 200}
COUNTED = ("call", "c_call")


def calls_per_job(rows: int = ROWS, few: int = FEW) -> float:
    """Return how many calls each further job takes."""
    return (calls_of(rows) - calls_of(few)) / (rows - few)


def calls_of(rows: int) -> int:
    """Count the calls of a run of so many rows; what is loaded once is loaded before."""
    with tempfile.TemporaryDirectory() as before, tempfile.TemporaryDirectory() as name:
        run_virtual(_whole, _night(Path(before), 1))
        night = _night(Path(name), rows)
        return counted(lambda: run_virtual(_whole, night))


def _night(folder: Path, rows: int) -> Night:
    night = Night(folder, faults=f"duration={JOB_S}", seed=1)
    night.write_urls(rows)
    return night


async def _whole(night: Night) -> None:
    assert await night.process(**SETTINGS) is None


def counted(work: Callable[[], object]) -> int:
    """Return how many calls *work* makes in this thread, without those of a simulated API."""
    calls: Counter[CodeType] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event in COUNTED:  # of a C function, the frame is its caller's
            calls[frame.f_code] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)

    return sum(n for code, n in calls.items() if not code.co_filename.startswith(NOT_OURS))


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    told = parser.parse_args()
    few = told.rows * FEW // ROWS
    tell("calls", {"rows": told.rows, "calls_per_job": round(calls_per_job(told.rows, few), 1)})


if __name__ == "__main__":
    main()
