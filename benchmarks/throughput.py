"""The whole engine beside a tuned loop that keeps no promise: jobs for each second of processor.

    python benchmarks/throughput.py [--rows 30000] [--pairs 5] [--loop asyncio] [--workers N]

Method. `batcher run` as people start it, with its journal synced, its limiter at a rate and with a
number in flight far above use, polling, log and outcome files; and `raw.py`. Both against the same
server (`server.py`), which has the other core where there are two. A pair is one after the other;
odd pairs begin with batcher, even ones with the loop; figures are medians over the pairs, the ratio
that of each pair's own two.

Both send the same requests: the loop is told how long jobs take, and batcher, which has never met
this API before, looks at a job for the first time when it is done. (A run that knows an API looks
earlier and so more often, to see the end sooner.)

What starting takes is taken off: of the processor's time by a run of one row, of the time on the
wall by a run of a third of the rows. That one must last for longer than the 2 s until jobs are
looked at for the first time: with fewer rows than 30,000, mind the processor's time alone.

With `--workers N` it measures instead how many jobs a second N workers do beside one, on all cores,
which they then share with the server; both with N times as much in flight, or that would be what
limits them. One line of JSON.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.lines import tell  # after the path
from benchmarks.loops import LOOPS
from benchmarks.measured import (
    BATCHER,
    HERE,
    NO_UVLOOP,
    Api,
    Cores,
    Process,
    Spent,
    fast_api,
    run_env,
    run_words,
    write_manifest,
)

JOB_S = 0.5
IN_FLIGHT = 10_000  # of a worker: at a time of 2 s until a job is looked at, 5,000 jobs a second
SMALL = 3  # the smaller run has a third of the rows

Start = Callable[[Path], Process]  # of a run over a manifest


@dataclass(frozen=True, slots=True)
class Figures:
    """What a pair says of one side."""

    cpu_us: float  # for each job
    jobs_per_s: float
    peak_mib: float
    requests: float  # for each job

    @property
    def jobs_per_cpu_s(self) -> float:
        """Return how many jobs a second of the processor is enough for."""
        return 1e6 / self.cpu_us


class Sides:
    """Both ways to bring a manifest to its end."""

    def __init__(self, told: argparse.Namespace, folder: Path, api: Api, cores: Cores) -> None:
        self._told = told
        self._folder = folder
        self._api = api
        self._core = cores.client
        self._runs = 0

    def batcher(self, manifest: Path, *flags: str) -> Process:
        """Start the command."""
        self._runs += 1
        directory = self._folder / f"run-{self._runs}"
        told = self._told
        limits = ("--in-flight", str(told.in_flight), "--connections", str(told.connections))
        words = run_words(manifest, directory, self._api.url, *limits, *flags)
        command = NO_UVLOOP if self._told.loop == "asyncio" else BATCHER
        env = run_env(self._folder / f"state-{self._runs}")
        return Process([*command, *words], core=self._core, env=env)

    def raw(self, manifest: Path) -> Process:
        """Start the loop."""
        flags = ("--connections", str(self._told.connections), "--job-s", str(JOB_S))
        words = [HERE / "raw.py", manifest, self._api.url, *flags, "--loop", self._told.loop]
        return Process(words, core=self._core)

    def measured(self, start: Start) -> Figures:
        """Run one row, a third of the rows, and all of them."""
        one, few, rows = 1, max(1, self._told.rows // SMALL), self._told.rows
        start_up = self._spent(start, one)
        small = self._spent(start, few)
        before = self._api.requests()
        large = self._spent(start, rows)
        return Figures(
            cpu_us=(large.cpu_s - start_up.cpu_s) / (rows - one) * 1e6,
            jobs_per_s=(rows - few) / (large.wall_s - small.wall_s),
            peak_mib=large.peak_mib,
            requests=(self._api.requests() - before) / rows,
        )

    def _spent(self, start: Start, rows: int) -> Spent:
        manifest = self._folder / f"{rows}.jsonl"
        return start(manifest if manifest.exists() else write_manifest(manifest, rows)).end()


def compared(sides: Sides, pairs: int) -> dict[str, object]:
    """Return the figures of the engine and of the loop, and how many jobs one does of the other."""
    ours, raws = in_turn(
        pairs, lambda: sides.measured(sides.batcher), lambda: sides.measured(sides.raw)
    )
    ratios = sorted(a.jobs_per_cpu_s / b.jobs_per_cpu_s for a, b in zip(ours, raws, strict=True))
    return {
        "batcher": medians(ours),
        "raw": medians(raws),
        "ratio": round(median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def with_workers(sides: Sides, pairs: int, workers: int) -> dict[str, object]:
    """Return what a number of workers do beside one."""
    many, ones = in_turn(
        pairs,
        lambda: sides.measured(lambda path: sides.batcher(path, "--workers", str(workers))),
        lambda: sides.measured(sides.batcher),
    )
    ratios = sorted(a.jobs_per_s / b.jobs_per_s for a, b in zip(many, ones, strict=True))
    return {
        "workers": workers,
        "many": medians(many),
        "one": medians(ones),
        "ratio": round(median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def in_turn(
    pairs: int, first: Callable[[], Figures], second: Callable[[], Figures]
) -> tuple[list[Figures], list[Figures]]:
    """Measure both so many times, in turn, each beginning every other time."""
    firsts, seconds = [], []
    for pair in range(pairs):
        if pair % 2:
            seconds.append(second())
            firsts.append(first())
        else:
            firsts.append(first())
            seconds.append(second())

    return firsts, seconds


def medians(found: Sequence[Figures]) -> dict[str, float]:
    """Return the medians, as they are told."""
    return {
        "jobs_per_cpu_s": round(median(each.jobs_per_cpu_s for each in found)),
        "cpu_us_per_job": round(median(each.cpu_us for each in found), 1),
        "jobs_per_s": round(median(each.jobs_per_s for each in found)),
        "peak_mib": round(median(each.peak_mib for each in found), 1),
        "requests_per_job": round(median(each.requests for each in found), 3),
    }


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--in-flight", type=int, help="10,000 for each worker if not given")
    parser.add_argument("--loop", choices=LOOPS, default="uvloop")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--workers", type=int, help="measure so many workers beside one")
    parser.add_argument("--quick", action="store_true", help="2,000 rows, one pair")
    told = parser.parse_args()
    if told.in_flight is None:
        told.in_flight = IN_FLIGHT * (told.workers or 1)

    if told.quick:
        told.rows, told.pairs = min(told.rows, 2_000), 1

    return told


def main() -> None:
    """Measure and print."""
    told = options()
    cores = Cores() if told.workers else Cores.apart()
    asked = {name: getattr(told, name) for name in ("rows", "connections", "in_flight", "loop")}
    asked |= {"pairs": told.pairs, "is_pinned": cores.client is not None}
    with tempfile.TemporaryDirectory() as name, fast_api(JOB_S, cores.server) as api:
        sides = Sides(told, Path(name), api, cores)
        if told.workers:
            tell("workers", asked | with_workers(sides, told.pairs, told.workers))
        else:
            tell("throughput", asked | compared(sides, told.pairs))


if __name__ == "__main__":
    main()
