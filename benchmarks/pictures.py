"""Pictures of the main figures, from the lines of benchmarks: `docs/pictures/*.svg`.

    python benchmarks/pictures.py build/bench.jsonl [more.jsonl …] [--into docs/pictures]

The last line of a kind counts. What no line tells of is not drawn, and an older picture of it
stays. The peers' lines are read from `peers/*.jsonl` where there are any.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.lines import read_lines  # after the path
from benchmarks.svg import bars, points

ROOT = Path(__file__).parents[1]
AIM_MIB = 150.0
READS = 6.0
PEERS_ROWS = 300
TENTHS = (1, 2, 5, 10)  # of a run, that find room beside each other
SERVICES = ("constant", "log-normal", "bimodal", "memoryless")
POLICIES = {
    "cold": "learned, cold",
    "fixed": "best fixed interval",
    "full jitter, both knobs": "full jitter, tuned",
    "oracle": "oracle",
}

Line = dict[str, Any]


def of(lines: Sequence[Line], benchmark: str) -> list[Line]:
    """Return the lines of a benchmark."""
    return [line for line in lines if line.get("benchmark") == benchmark]


def processor(lines: Sequence[Line]) -> str | None:
    """Draw the processor time for each job of both sides, on each loop there is a line of."""
    last = {(line["loop"], line["connections"]): line for line in of(lines, "throughput")}
    groups = {
        f"{side} ({loop}, {connections})": {"": line[key]["cpu_us_per_job"]}
        for (loop, connections), line in last.items()
        for side, key in (("batcher", "batcher"), ("raw loop", "raw"))
    }
    unit = "microseconds, by loop and connections; the raw loop keeps no promise"
    return bars("Processor time for one job", unit, groups) if groups else None


def memory_by_rows(lines: Sequence[Line]) -> str | None:
    """Draw the memory of the largest run over the rows that it had submitted."""
    found = of(lines, "memory by rows")
    if not found:
        return None

    largest = max(found[-1]["runs"], key=lambda run: int(run["rows"]))
    rows, marks = largest["rows"], largest["marks_mib"].items()
    at = [(int(n), mib) for n, mib in marks if 10 * int(n) // rows in TENTHS]
    title = f"Memory of a run of {rows:,} rows, 1,000 in flight"
    return points(title, "resident MiB", "rows submitted by then", at, AIM_MIB)


def memory_in_flight(lines: Sequence[Line]) -> str | None:
    """Draw the memory over the jobs in flight."""
    found = of(lines, "memory by jobs in flight")
    if not found:
        return None

    at = [(run["jobs"], run["steady_mib"]) for run in found[-1]["runs"]]
    return points("Memory by jobs in flight", "resident MiB", "jobs in flight at once", at, None)


def polling(lines: Sequence[Line]) -> str | None:
    """Draw how soon the end of a job is seen, at equal reads."""
    found = of(lines, "polling")
    if not found:
        return None

    rows = {row["shape"]: row for row in found[-1]["equal"] if row["reads"] == READS}
    groups = {
        shape: {name: rows[shape][key] for key, name in POLICIES.items() if key in rows[shape]}
        for shape in SERVICES
        if shape in rows
    }
    unit = f"mean seconds from the end of a job to the read that sees it, {READS:g} reads a job"
    return bars("When the end of a job is seen", unit, groups)


def peers_money(lines: Sequence[Line]) -> str | None:
    """Draw what faults and a kill made peers pay for twice, or for nothing."""
    hard = [line for line in _peers(lines) if line["scenario"] in ("rough", "kill")]
    groups: dict[str, dict[str, float]] = {}
    for line in hard:
        sums = groups.setdefault(_peer(line), {"paid twice": 0, "paid, no result": 0})
        sums["paid twice"] += line["rows_paid_twice"]
        sums["paid, no result"] += line["rows_paid_without_result"]

    unit = f"rows, of {PEERS_ROWS} with faults and {PEERS_ROWS} with a kill"
    return bars("Paid twice, and paid without a result", unit, groups) if groups else None


def peers_time(lines: Sequence[Line]) -> str | None:
    """Draw how long each peer took where nothing went wrong."""
    groups = {
        _peer(line): {"": line["wall_over_ideal"]}
        for line in _peers(lines)
        if line["scenario"] == "calm"
    }
    unit = "times the shortest that the API's limits allow, nothing going wrong"
    return bars("Length of a run", unit, groups) if groups else None


def _peers(lines: Sequence[Line]) -> Iterator[Line]:
    """Yield the last line of each peer and scenario, of those that could be measured."""
    found = [line for line in of(lines, "peers") if line["rows"] == PEERS_ROWS]
    last = {(_peer(line), line["scenario"]): line for line in found}
    yield from (line for line in last.values() if "cannot" not in line)


def _peer(line: Line) -> str:
    return f"{line['title']}{', ' + line['variant'] if line['variant'] else ''}"


PICTURES: dict[str, Callable[[Sequence[Line]], str | None]] = {
    "processor": processor,
    "memory-by-rows": memory_by_rows,
    "memory-in-flight": memory_in_flight,
    "polling": polling,
    "peers-money": peers_money,
    "peers-time": peers_time,
}


def main() -> None:
    """Draw what there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", nargs="+", type=Path)
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "pictures")
    told = parser.parse_args()
    lines = read_lines([*sorted(Path(__file__).parent.glob("peers/*.jsonl")), *told.lines])
    told.into.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        picture = draw(lines)
        if picture is not None:
            (told.into / f"{name}.svg").write_text(picture)
            print(told.into / f"{name}.svg")


if __name__ == "__main__":
    main()
