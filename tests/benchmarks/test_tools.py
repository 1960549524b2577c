"""Each benchmark runs, and what it prints can be made into tables and pictures."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from benchmarks.pictures import PICTURES
from benchmarks.table import BEGIN, END, TABLES, put, tables
from tests.e2e.world import ROOT

pytestmark = pytest.mark.e2e


def line_of(name: str, *flags: str) -> dict[str, Any]:
    """Run a benchmark at a tiny size and return its line."""
    command = [sys.executable, str(ROOT / "benchmarks" / name), *flags]
    said = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert said.returncode == 0, said.stderr
    line: dict[str, Any] = json.loads(said.stdout)
    assert line["on"]["python"]
    assert line["benchmark"] in TABLES
    assert tables([line]).count("|")
    return line


def test_throughput_compares_two_ways_to_send_the_same_rows() -> None:
    """Both sides make a submit and a read of every row at least, and a ratio comes out."""
    line = line_of("throughput.py", "--rows", "10", "--pairs", "1")
    assert min(line[side]["requests_per_job"] for side in ("batcher", "raw")) >= 2.0
    assert line["ratios"] == [line["ratio"]]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_is_that_of_a_run_with_so_many_jobs_in_flight() -> None:
    """A run is looked at when all its jobs are in flight, and it is ended then."""
    line = line_of("memory.py", "--only", "flight", "--jobs", "10,30")
    assert [run["jobs"] for run in line["runs"]] == [10, 30]
    assert all(run["peak_mib"] >= run["steady_mib"] > 10 for run in line["runs"])


def test_latency_asks_about_a_finished_run() -> None:
    """A finished run is made without a request, and no command makes one."""
    line = line_of("latency.py", "--rows", "50", "--rounds", "1")
    assert line["requests"] == 0
    assert {"batcher --help", "batcher status", "batcher run"} <= set(line["commands"])


LINES: list[dict[str, Any]] = [
    {
        "benchmark": "throughput",
        "loop": "uvloop",
        "connections": 32,
        "batcher": {"cpu_us_per_job": 200.0},
        "raw": {"cpu_us_per_job": 135.0},
    },
    {"benchmark": "memory by rows", "runs": [{"rows": 99, "marks_mib": {"50": 60.0, "99": 61.0}}]},
    {"benchmark": "memory by jobs in flight", "runs": [{"jobs": 1_000, "steady_mib": 60.0}]},
    {"benchmark": "polling", "equal": [{"shape": "constant", "reads": 6.0, "cold": 0.5}]},
    *(
        {
            "benchmark": "peers",
            "title": "<peer>",
            "variant": "",
            "scenario": scenario,
            "rows": 300,
            "wall_over_ideal": 1.0,
            "rows_paid_twice": 0,
            "rows_paid_without_result": 3,
        }
        for scenario in ("calm", "kill")
    ),
]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_whole_and_has_its_figures(name: str) -> None:
    """Of no line there is no picture; else it is one SVG for light and dark, with text in it."""
    assert PICTURES[name]([]) is None
    picture = PICTURES[name](LINES)
    assert picture is not None
    root = ElementTree.fromstring(picture)
    assert root.tag.endswith("svg")
    assert "prefers-color-scheme:dark" in picture
    texts = ["".join(each.itertext()) for each in root.iter() if each.tag.endswith("text")]
    assert len(texts) >= 4


def test_tables_replace_tables(tmp_path: Path) -> None:
    """What stands around the tables stays, and a second time changes nothing."""
    page = tmp_path / "README.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put("new\n", page)
    once = page.read_text()
    put("new\n", page)
    assert page.read_text() == once
    assert once.startswith(f"before\n{BEGIN}\n\nnew\n")
    assert once.endswith(f"{END}\nafter\n")
