"""How well a pace is kept: the limit used, the windows as the server sees them, storms, searches.

Run it: `python benchmarks/pacing.py [--only keep,storm] [--quick]`. It prints one line
of JSON for each scenario, and a table with `--table`.

    pacer     our pump beside two ways to use aiolimiter alone, on the wall clock
    keep      whole runs on virtual time: the share of the allowed rate that was used, and the most
              arrivals in any window of the limit, beside what it allows
    sockets   one lane over real sockets to a server in another process, which notes arrivals
    strays    a lane on virtual time before limits and accidents, with and without doubting a 429
    storm     half a minute of 429s: refusals beyond those in flight, and when the pace is back
    strict    300 rows, 40 submits and 100 reads in any second enforced: 429s, and the ideal time
    auto      `--rate auto` against limits that nobody tells
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.pacing_pump import scenarios as pump  # after the path
from benchmarks.pacing_runs import auto, keep, storms, strict
from benchmarks.pacing_sockets import scenarios as sockets
from benchmarks.pacing_strays import strays

Figures = dict[str, object]
SCENARIOS: dict[str, Callable[[bool], Iterator[Figures]]] = {
    "pacer": pump,
    "keep": keep,
    "sockets": sockets,
    "strays": strays,
    "storm": storms,
    "strict": strict,
    "auto": auto,
}


def main() -> None:
    """Measure what was chosen."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", default=",".join(SCENARIOS))
    options.add_argument("--quick", action="store_true", help="fewer rates, shorter")
    options.add_argument("--table", action="store_true", help="a table after the lines")
    chosen = options.parse_args()
    rows: list[Figures] = []
    for name in chosen.only.split(","):
        for figures in SCENARIOS[name](chosen.quick):
            rows.append({"scenario": name, **figures})
            print(json.dumps(rows[-1]), flush=True)

    if chosen.table:
        print("\n".join(table(rows)))


def table(rows: list[Figures]) -> Iterator[str]:
    """Yield one table for each scenario, as Markdown."""
    before: list[str] = []
    for row in rows:
        keys = list(row)
        if keys != before:
            before = keys
            yield ""
            yield "| " + " | ".join(keys) + " |"
            yield "| " + " | ".join("---" for _ in keys) + " |"

        yield "| " + " | ".join(str(value) for value in row.values()) + " |"


if __name__ == "__main__":
    main()
