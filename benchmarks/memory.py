"""How much memory a run takes: by the rows of its manifest, and by the jobs that it has in flight.

    python benchmarks/memory.py [--quick] [--full] [--only rows,flight]

Method: `batcher run` as people start it, against `server.py`; resident memory as the kernel tells
it (VmRSS, and VmHWM for the peak).

    rows     manifests of 10,000, 100,000 and 1,000,000 rows, 1,000 in flight, jobs done at once.
             Memory is read each time another tenth of what is measured is submitted. A run is ended
             after 150,000 rows, when the journal's page cache (8 MiB) has long been full; --full
             lets it go on to its end
    flight   1,000, 10,000 and 100,000 jobs in flight at once (--full: and 1,000,000), one run for
             each: jobs that take an hour, status reads at 200/s at most. When the last is accepted
             memory is read for some seconds. The bytes for each further job are the difference of
             two runs, divided by the difference of their jobs; below 20,000 jobs the journal's page
             cache still grows with them and is part of it

Runs that are not at their end are ended by SIGTERM. One line of JSON for each part; needs /proc.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.lines import tell  # after the path
from benchmarks.measured import (
    BATCHER,
    KIB_PER_MIB,
    Api,
    Process,
    fast_api,
    run_env,
    run_words,
    write_manifest,
)

IN_FLIGHT = 1_000
MARKS = 10
HOUR_S = 3600.0
LOOK_EVERY_S = 0.05
STEADY_S = 3.0
STATUS_RATE = "200/s"  # comes last, so that it counts
INTERRUPTED = 128 + signal.SIGTERM

Row = dict[str, object]


class Bench:
    """One server, and a folder for its runs."""

    def __init__(self, folder: Path, api: Api) -> None:
        self._folder = folder
        self._api = api
        self._before = 0  # submits of the runs before this one

    def start(self, rows: int, *flags: str) -> Process:
        """Start a run of so many rows."""
        self._before = self._api.counts()["submits"]
        manifest = write_manifest(self._folder / f"{rows}.jsonl", rows)
        words = run_words(manifest, self._folder / f"run-{rows}", self._api.url, *flags)
        return Process([*BATCHER, *words], env=run_env(self._folder))

    def submitted(self) -> int:
        """Return how many rows of this run were submitted."""
        return self._api.counts()["submits"] - self._before

    def wait_for(self, run: Process, submits: int) -> bool:
        """Wait until so many rows are submitted; False if the run has ended before."""
        while self.submitted() < submits:
            if not run.is_alive:
                return False

            time.sleep(LOOK_EVERY_S)

        return True

    def stop(self, run: Process) -> float:
        """End a run, if it has not come to its end, and return its peak in MiB."""
        if run.is_alive:
            run.signal(signal.SIGTERM)

        return run.end(0, INTERRUPTED).peak_mib


def by_rows(bench: Bench, rows: int, until: int) -> Row:
    """Run a manifest until so many rows are submitted."""
    run = bench.start(rows, "--in-flight", str(IN_FLIGHT))
    marks = {}
    for mark in range(until // MARKS, until + 1, until // MARKS):
        if not bench.wait_for(run, mark):
            break

        marks[mark] = round(run.memory_mib(), 1)

    peak_mib = max(bench.stop(run), *marks.values())
    return {
        "rows": rows,
        "submitted": max(marks, default=0),
        "steady_mib": list(marks.values())[-1] if marks else 0.0,
        "peak_mib": round(peak_mib, 1),
        "marks_mib": marks,
    }


def by_flight(bench: Bench, jobs: int) -> Row:
    """Bring so many jobs into flight and look at what they take."""
    limits = ("--in-flight", str(jobs), "--job-timeout", "2h")
    run = bench.start(jobs, *limits, "--status-rate", STATUS_RATE)
    if not bench.wait_for(run, jobs):
        raise SystemExit(f"the run of {jobs} jobs ended by itself")

    looks = []
    until = time.monotonic() + STEADY_S
    while time.monotonic() < until:
        looks.append(run.memory_mib())
        time.sleep(LOOK_EVERY_S)

    peak_mib = max(bench.stop(run), *looks)
    return {"jobs": jobs, "steady_mib": round(max(looks), 1), "peak_mib": round(peak_mib, 1)}


def per_job(rows: list[Row]) -> Iterator[Row]:
    """Yield what each further job takes, from one number of jobs to the next."""
    for few, many in pairwise(rows):
        more_mib = float(str(many["steady_mib"])) - float(str(few["steady_mib"]))
        jobs = int(str(many["jobs"])) - int(str(few["jobs"]))
        bytes_each = round(more_mib * KIB_PER_MIB**2 / jobs)
        yield {"from": few["jobs"], "to": many["jobs"], "bytes_per_job": bytes_each}


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="rows,flight")
    parser.add_argument("--rows", default="10000,100000,1000000", help="of the manifests")
    parser.add_argument("--jobs", default="1000,10000,100000", help="in flight")
    parser.add_argument("--until", type=int, default=150_000, help="rows submitted")
    parser.add_argument("--full", action="store_true", help="every run to its end; a million jobs")
    parser.add_argument("--quick", action="store_true", help="a hundredth of all")
    told = parser.parse_args()
    told.rows = [int(text) for text in told.rows.split(",")]
    told.jobs = [int(text) for text in told.jobs.split(",")]
    if told.full:
        told.until, told.jobs = max(told.rows), [*told.jobs, 1_000_000]
    elif told.quick:
        told.rows, told.jobs = [1_000, 10_000], [100, 1_000]
        told.until = 1_000

    return told


def main() -> None:
    """Measure and print."""
    told = options()
    if "rows" in told.only:
        with tempfile.TemporaryDirectory() as name, fast_api(0.0) as api:
            bench = Bench(Path(name), api)
            found = [by_rows(bench, rows, min(rows, told.until)) for rows in told.rows]

        tell("memory by rows", {"in_flight": IN_FLIGHT, "runs": found})

    if "flight" in told.only:
        with tempfile.TemporaryDirectory() as name, fast_api(HOUR_S) as api:
            bench = Bench(Path(name), api)
            found = [by_flight(bench, jobs) for jobs in told.jobs]

        tell("memory by jobs in flight", {"runs": found, "each": list(per_job(found))})


if __name__ == "__main__":
    main()
