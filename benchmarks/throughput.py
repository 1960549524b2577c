"""What a whole run costs: real processes, real sockets, every promise on.

Run it: `python benchmarks/throughput.py [--rows 10000] [--connections 32]`. A
simulated API runs in a process of its own, with jobs that take half a second; the run is
`batcher run` with a rate far above what it can use. One line of JSON: jobs a second, processor
microseconds and requests for each job, peak memory, and what starting up takes (measured by a run
of one row, and taken off).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SERVER = ["-m", "tests.simulator.serve_process", "removit", "--faults", "duration=0.5"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--in-flight", type=int, default=2_000)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    options = parser.parse_args()
    rows = options.rows // 10 if options.quick else options.rows
    with subprocess.Popen(
        [sys.executable, *SERVER], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        flags = [
            *("--connections", str(options.connections), "--in-flight", str(options.in_flight)),
            *("--rate", "100000/s", "--quiet"),
        ]
        try:
            start_s, start_cpu_s, _ = one_run(url, 1, flags)
            wall_s, cpu_s, memory_kib = one_run(url, rows, flags)
        finally:
            server.terminate()

    print(
        json.dumps(
            {
                "benchmark": "throughput",
                "rows": rows,
                "connections": options.connections,
                "jobs_per_s": round(rows / (wall_s - start_s)),
                "cpu_us_per_job": round((cpu_s - start_cpu_s) / rows * 1e6),
                "peak_memory_mib": round(memory_kib / 1024, 1),
                "start_up_s": round(start_s, 2),
                "python": sys.version.split()[0],
            }
        )
    )


def one_run(url: str, rows: int, flags: list[str]) -> tuple[float, float, int]:
    """Run so many rows; return seconds on the wall, of the processor, and peak memory in KiB."""
    with tempfile.TemporaryDirectory() as name:
        manifest = Path(name, "rows.jsonl")
        lines = (
            json.dumps({"id": f"{rows}-{n}", "file_url": f"https://shop.example/{rows}/{n}.jpg"})
            for n in range(rows)
        )
        manifest.write_text("".join(line + "\n" for line in lines))
        words = ["run", str(manifest), "--provider", "removit", "--base-url", url]
        began = time.perf_counter()
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "batcher", *words, "--run-dir", str(Path(name, "run")), *flags],
            {**os.environ, "PYTHONPATH": str(ROOT), "REMOVIT_API_KEY": "test-key"},
        )
        _, status, usage = os.wait4(pid, 0)
        wall_s = time.perf_counter() - began
        if os.waitstatus_to_exitcode(status) != 0:
            raise SystemExit("the run failed")

    return wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


if __name__ == "__main__":
    main()
