"""How long people wait for a command: processor time and time on the wall, from start to end.

    python benchmarks/latency.py [--rows 1000000] [--rounds 9] [--quick] [--dir .]

Method: each command as a process of its own, so many times, in turn; medians. The commands that
look at a run look at a finished one of so many rows (`made_run.py`), and `run` on it is the same
command once more: nothing may be sent, which the server counts. What an empty Python takes stands
beside it. One line of JSON.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.lines import tell  # after the path
from benchmarks.measured import (
    BATCHER,
    HERE,
    Process,
    Spent,
    fast_api,
    run_env,
    run_words,
    write_manifest,
)

CHECKED = 100
LONG_ROUNDS = 3  # of the commands that read every row
NOTHING = ("-c", "pass")

Command = Sequence[str | Path]


def commands(folder: Path) -> dict[str, Command]:
    """Return the commands that everybody waits for."""
    few, run = str(write_manifest(folder / "few.jsonl", CHECKED)), str(folder / "run")
    return {
        "python -c pass": NOTHING,
        "batcher --help": (*BATCHER, "--help"),
        "batcher --version": (*BATCHER, "--version"),
        "batcher providers": (*BATCHER, "providers"),
        "batcher check": (*BATCHER, "check", few, "--provider", "removit"),
        "batcher status": (*BATCHER, "status", run),
        "batcher status --json": (*BATCHER, "status", run, "--json"),
    }


def in_turn(
    commands: Mapping[str, Command], rounds: int, env: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """Measure each command so many times, all of them in every round."""
    found: dict[str, list[Spent]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, words in commands.items():
            found[name].append(Process(words, env=env).end())

    return {name: medians(spent) for name, spent in found.items()}


def medians(spent: Sequence[Spent]) -> dict[str, float]:
    """Return the medians, as they are told."""
    return {
        "cpu_s": round(median(each.cpu_s for each in spent), 3),
        "wall_s": round(median(each.wall_s for each in spent), 3),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the finished run")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--dir", type=Path, help="where the finished run is made")
    parser.add_argument("--quick", action="store_true", help="10,000 rows, three rounds")
    told = parser.parse_args()
    if told.quick:
        told.rows, told.rounds = min(told.rows, 10_000), min(told.rounds, 3)

    with tempfile.TemporaryDirectory(dir=told.dir) as name, fast_api(0.0) as api:
        folder = Path(name)
        Process([HERE / "made_run.py", folder, "--rows", str(told.rows), "--url", api.url]).end()
        again = run_words(folder / "rows.jsonl", folder / "run", api.url)
        env = run_env(folder)
        # First, for the summary on disk is that of an empty run until a run has ended.
        last = in_turn({"batcher run": (*BATCHER, *again)}, min(LONG_ROUNDS, told.rounds), env)
        waits = in_turn(commands(folder), told.rounds, env) | last
        requests = api.requests()

    tell(
        "latency", {"rows": told.rows, "checked": CHECKED, "commands": waits, "requests": requests}
    )


if __name__ == "__main__":
    main()
