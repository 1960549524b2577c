"""batcher and its peers at the same work, side by side: `python benchmarks/peers/run.py`.

Each peer does the same rows against the same server (`server.py`: 40 submits and 100 reads a second
are enforced) in an environment of its own (`environments.py`), driven by a small file of its own
(`NAME_peer.py`). One line of JSON for each peer and scenario; `table.py` makes tables of them.

calm   nothing goes wrong
rough  of 100 rows, the first submit of 2 is cut off after the job was made, of 2 answered 503, of 2
       answered 429 with Retry-After 1
kill   SIGKILL when half of the work is done, then the same command again

What was paid, read and seen is the server's word; what became of a row is the peer's.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # so that it runs as a file, too

from benchmarks.peers import batcher_peer, server, work
from benchmarks.peers.environments import PEERS, ROOT, Peer, python_of
from benchmarks.peers.processes import Life, ledger_of, live, serving

SCENARIOS = ("calm", "rough", "kill")


def main() -> None:
    """Run what is asked for and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--only", help="names, joined by commas: batcher,scrapy")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--faults", choices=("none", "rough"), help="only calm, or only rough")
    parser.add_argument("--scenarios", help="instead: names, joined by commas: calm,rough,kill")
    parser.add_argument("--quick", action="store_true", help="60 rows, calm")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "peers")
    parser.add_argument("--record", type=Path, help="append the lines to this file, too")
    parser.add_argument("--keep", action="store_true", help="keep what the peers wrote")
    told = parser.parse_args()
    rows = 60 if told.quick else told.rows
    for peer in _chosen(told.only):
        for variant in peer.variants:
            for scenario in _scenarios(told):
                if variant and scenario == "calm":
                    continue  # a variant differs in what it does with faults

                line = _line(peer, variant, scenario, rows, told)
                print(json.dumps(line), flush=True)
                if told.record:
                    with told.record.open("a") as file:
                        file.write(json.dumps(line) + "\n")


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the description."""


def _chosen(only: str | None) -> list[Peer]:
    known = [peer.name for peer in PEERS]
    names = _named("--only", only, known) if only else known
    return [peer for peer in PEERS if peer.name in names]


def _named(flag: str, text: str, known: Sequence[str]) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"{flag}: no {', '.join(unknown)}; there are: {', '.join(known)}")

    return names


def _scenarios(told: argparse.Namespace) -> list[str]:
    if told.scenarios:
        return _named("--scenarios", told.scenarios, SCENARIOS)

    if told.faults:
        return ["calm" if told.faults == "none" else "rough"]

    return ["calm"] if told.quick else list(SCENARIOS)


def _line(
    peer: Peer, variant: str, scenario: str, rows: int, told: argparse.Namespace
) -> dict[str, Any]:
    """Run one peer through one scenario and return its line; a reason where it cannot be."""
    head = {
        "benchmark": "peers",
        "peer": peer.name,
        "title": peer.title,
        "variant": variant,
        "scenario": scenario,
        "rows": rows,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    try:
        python = python_of(peer, told.cache)
    except RuntimeError as exc:
        return head | {"cannot": str(exc)}

    folder = Path(tempfile.mkdtemp(prefix=f"{peer.name}-"))
    try:
        return head | _measure(peer, variant, scenario, rows, python, folder)
    finally:
        if told.keep:
            print(folder, file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _measure(
    peer: Peer, variant: str, scenario: str, rows: int, python: Path, folder: Path
) -> dict[str, Any]:
    manifest = folder / "rows.jsonl"
    names = [f"row-{n}" for n in range(rows)]
    manifest.write_text(
        "".join(
            json.dumps({"id": name, "file_url": f"https://shop.example/{name}.jpg"}) + "\n"
            for name in names
        )
    )
    ideal_s = _ideal_s(names)
    with serving("rough" if scenario == "rough" else "none") as url:
        module = f"benchmarks.peers.{peer.name}_peer"
        command = [str(python), "-m", module, str(manifest), str(folder), url, variant]
        life, began = Life(), time.time()
        if scenario == "kill":
            live(command, folder, life, ideal_s, lambda: _is_half_done(url, rows))

        live(command, folder, life, ideal_s)
        wall_s = time.time() - began
        ledger = ledger_of(url)

    said = batcher_peer.outcomes(folder) if peer.name == "batcher" else work.outcomes(folder)
    figures = _judge(ledger, said, names)
    first_s = min((job["made_at"] for job in ledger["jobs"].values()), default=began) - began
    return {
        **figures,
        "wall_s": round(wall_s, 2),
        "ideal_s": round(ideal_s, 2),
        "wall_over_ideal": round(wall_s / ideal_s, 3),
        "first_job_after_s": round(first_s, 2),
        "cpu_s": round(life.cpu_s, 2),
        "rss_mib": round(life.rss_mib, 1),
        "exit_codes": life.codes,
        "load": round(os.getloadavg()[0], 1),  # of the machine, with what else runs on it
        "cores": os.cpu_count(),
    }


def _ideal_s(names: list[str]) -> float:
    """Return when the last job would be seen by one who submits as early as the server allows."""
    at_once, per_s = server.SUBMITS_AT_ONCE, server.SUBMITS_PER_S
    return 2 * server.LATENCY_S + max(
        max(0.0, (n + 1 - at_once) / per_s) + server.job_s(name) for n, name in enumerate(names)
    )


def _judge(
    ledger: dict[str, Any], said: Iterator[dict[str, str]], names: list[str]
) -> dict[str, Any]:
    jobs, counts = ledger["jobs"].values(), Counter(ledger["counts"])
    seen = [job for job in jobs if job["seen_at"] is not None]
    paid = Counter(job["row"] for job in jobs)
    collected = {job["row"] for job in seen}
    last = {line["id"]: line["outcome"] for line in said}  # the last word of a row counts
    done = {row for row, outcome in last.items() if outcome == "done" and row in collected}
    told = Counter(last[row] for row in last.keys() - done)
    lags = [job["seen_at"] - job["done_at"] for job in seen]
    return {
        "jobs_paid": len(jobs),
        "rows_paid_twice": sum(count > 1 for count in paid.values()),
        "rows_done": len(done),
        "rows_failed": told["failed"],
        "rows_in_doubt": told["in_doubt"],
        "rows_silent": len(set(names) - last.keys()),
        "rows_paid_without_result": len(paid.keys() - done),
        "jobs_never_collected": len(jobs) - len(seen),
        "submits": counts["submits"],
        "reads": counts["reads"],
        "reads_per_job": round(counts["reads"] / max(1, len(jobs)), 2),
        "lag_s": round(sum(lags) / max(1, len(lags)), 3),
        "refused_429": counts["submits_429"] + counts["reads_429"],
        "faults_met": {k: v for k, v in counts.items() if k.startswith("faults_")},
    }


def _is_half_done(url: str, rows: int) -> bool:
    """Tell whether half of the work is done, which is a job made and read as done for each row."""
    jobs = ledger_of(url)["jobs"].values()
    return sum(1 + (job["seen_at"] is not None) for job in jobs) >= rows


if __name__ == "__main__":
    main()
