"""Tables of the recorded lines: `python benchmarks/peers/table.py [FILE] [--write README]`.

Where there are several lines of a peer, variant, scenario and number of rows, the one with the
median time is shown, whole, and how many there are. `--write` puts the tables between the two marks
of a file. Nobody is left out or ranked: the order is that of `environments.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # so that it runs as a file, too

from benchmarks.peers.environments import PEERS

HERE = Path(__file__).parent
BEGIN, END = "<!-- tables: made by table.py -->", "<!-- end of the tables -->"
TITLES = {
    "calm": "Calm",
    "rough": "Rough: lost answers, 503 and 429",
    "kill": "Killed half-way, started again",
}
Line = dict[str, Any]

COLUMNS: dict[str, Callable[[Line], object]] = {
    "peer": lambda line: f"{line['title']}{', ' + line['variant'] if line['variant'] else ''}",
    "rows done": lambda line: line["rows_done"],
    "said failed / in doubt": lambda line: f"{line['rows_failed']} / {line['rows_in_doubt']}",
    "no word": lambda line: line["rows_silent"],
    "jobs paid": lambda line: line["jobs_paid"],
    "rows paid twice": lambda line: line["rows_paid_twice"],
    "jobs never read as done": lambda line: line["jobs_never_collected"],
    "wall s (of ideal)": lambda line: f"{line['wall_s']:.1f} ({line['wall_over_ideal']:.2f})",
    "reads per job": lambda line: f"{line['reads_per_job']:.2f}",
    "delay s": lambda line: f"{line['lag_s']:.2f}",
    "429s": lambda line: line["refused_429"],
    "CPU s": lambda line: f"{line['cpu_s']:.1f}",
    "peak MiB": lambda line: f"{line['rss_mib']:.0f}",
    "load": lambda line: line.get("load", ""),
    "runs": lambda line: line["runs"],
}


def main() -> None:
    """Print the tables, or put them where they belong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=HERE / "recorded.jsonl")
    parser.add_argument("--write", type=Path)
    told = parser.parse_args()
    text = "\n".join(tables(told.file.read_text().splitlines()))
    if told.write is None:
        print(text)
        return

    old = told.write.read_text()
    head, tail = old.partition(BEGIN)[0], old.partition(END)[2]
    told.write.write_text(f"{head}{BEGIN}\n\n{text}\n{END}{tail}")


def tables(texts: list[str]) -> Iterator[str]:
    """Yield the lines of a table for each scenario and number of rows."""
    groups: dict[tuple[str, int], dict[tuple[str, str], list[Line]]] = {}
    for line in map(json.loads, texts):
        group = groups.setdefault((line["scenario"], line["rows"]), {})
        group.setdefault((line["peer"], line["variant"]), []).append(line)

    for (scenario, rows), group in groups.items():
        yield f"### {TITLES[scenario]}, {rows:,} rows"
        yield ""
        yield "| " + " | ".join(COLUMNS) + " |"
        yield "|" + " --- |" * len(COLUMNS)
        for key in sorted(group, key=_place):
            yield _row(_median(group[key]))

        yield ""


def _place(key: tuple[str, str]) -> tuple[int, str]:
    peer, variant = key
    return [peer.name for peer in PEERS].index(peer), variant


def _median(lines: list[Line]) -> Line:
    by_time = sorted(lines, key=lambda line: line.get("wall_s", 0.0))
    return by_time[(len(by_time) - 1) // 2] | {"runs": len(lines)}


def _row(line: Line) -> str:
    if "cannot" in line:
        return f"| {line['title']} | {line['cannot']} |" + " |" * (len(COLUMNS) - 2)

    return "| " + " | ".join(str(cell(line)) for cell in COLUMNS.values()) + " |"


if __name__ == "__main__":
    main()
