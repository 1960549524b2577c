"""Whether batcher has become dearer: ratios and counts of now, beside those in `recorded.json`.

    python benchmarks/check.py             compare, print a table; exit 1 if anything is worse
    python benchmarks/check.py --record    measure, and write what comes out as what is recorded

Only figures that another machine, or a busy one, gives too: counts of calls, and ratios of two
things that were measured beside each other. Each entry says how much worse it may be before that
counts; an entry that is not measured here (another minor version of Python makes other calls) is
told and passed over. Figures that became better are no failure; record them.
"""

from __future__ import annotations

import argparse
import json
import platform
import pstats
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.calls import calls_per_job  # after the path
from benchmarks.lines import machine
from benchmarks.measured import HERE, Process, fast_api, run_env, run_words, write_manifest

RECORDED = HERE / "recorded.json"
CALLS = "calls a job, virtual time"
PROFILED_ROWS = 2_000
JOB_S = 0.5

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Entry:
    """One recorded figure, and what counts as worse."""

    value: float
    better: str  # "less" or "more"
    tolerance: float  # the share of the value by which it may be worse

    def is_worse(self, now: float) -> bool:
        """Whether *now* is worse by more than may be."""
        if self.better == "less":
            return now > self.value * (1 + self.tolerance)

        return now < self.value * (1 - self.tolerance)


def recorded(path: Path = RECORDED) -> dict[str, Entry]:
    """Return what is recorded; counts of calls only for the minor version that they are of."""
    told = json.loads(path.read_text())
    entries = {name: Entry(**entry) for name, entry in told["entries"].items()}
    if minor(told["on"]["python"]) == minor(platform.python_version()):
        return entries

    return {name: entry for name, entry in entries.items() if not name.startswith("calls")}


def minor(python: str) -> str:
    """Return a version without its last part."""
    return python.rpartition(".")[0]


# --- What is measured ------------------------------------------------------------------------


def virtual_calls() -> Figures:
    """Count the calls of a run without a transport."""
    return {CALLS: calls_per_job()}


def real_calls() -> Figures:
    """Count the calls of the main thread of a real run over sockets; loading is taken off."""
    with tempfile.TemporaryDirectory() as name, fast_api(JOB_S) as api:
        folder = Path(name)
        counts = [_profiled(folder, rows, api.url) for rows in (1, PROFILED_ROWS)]

    return {"calls a job, real run": (counts[1] - counts[0]) / (PROFILED_ROWS - 1)}


def _profiled(folder: Path, rows: int, url: str) -> int:
    manifest = write_manifest(folder / f"{rows}.jsonl", rows)
    out = folder / f"{rows}.prof"
    words = run_words(manifest, folder / f"run-{rows}", url, "--in-flight", "2000")
    Process(["-m", "cProfile", "-o", out, "-m", "batcher", *words], env=run_env(folder)).end()
    return int(pstats.Stats(str(out)).total_calls)  # type: ignore[attr-defined]  # not in its stub


def throughput() -> Figures:
    """Compare the engine with the raw loop."""
    line = _line("throughput.py", "--rows", "2000", "--pairs", "3")
    return {
        "jobs a second of processor, share of the raw loop": line["ratio"],
        "requests a job": line["batcher"]["requests_per_job"],
    }


def journal() -> Figures:
    """Compare the journal with a plain file that is synced as often."""
    speeds = _line("journal.py", "--quick")["events_per_s"]
    share = speeds["full"]["256"] / speeds["jsonl_fdatasync"]["256"]
    return {"durable events, share of a plain file": share}


def manifest() -> Figures:
    """Compare the manifest's reader with a decoder alone."""
    reading = _line("manifest.py", "--quick")["reading"]
    return {"rows read, share of orjson alone": reading["jsonl"]["orjson_ratio"]}


MEASURES: dict[str, Callable[[], Figures]] = {
    "virtual": virtual_calls,
    "real": real_calls,
    "throughput": throughput,
    "journal": journal,
    "manifest": manifest,
}


def _line(name: str, *flags: str) -> dict[str, Any]:
    """Run a benchmark and return its line."""
    process = Process([HERE / name, *flags], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as lines:
        text = lines.read()

    process.end()
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    return found


# --- What comes out --------------------------------------------------------------------------


def table(entries: dict[str, Entry], found: Figures) -> Iterator[str]:
    """Yield one line for each figure."""
    width = max(map(len, found))
    yield f"{'':{width}}  recorded       now  may be worse by"
    for name, now in found.items():
        entry = entries.get(name)
        if entry is None:
            yield f"{name:{width}}  {'-':>8}  {now:8.6g}"
        else:
            state = "  WORSE" if entry.is_worse(now) else ""
            yield f"{name:{width}}  {entry.value:8.6g}  {now:8.6g}  {entry.tolerance:15.0%}{state}"


def worse(entries: dict[str, Entry], found: Figures) -> list[str]:
    """Return the names of what has become worse by more than may be."""
    return [
        name for name, entry in entries.items() if name in found and entry.is_worse(found[name])
    ]


def record(found: Figures, path: Path = RECORDED) -> None:
    """Write figures as what is recorded from now on; what may be worse stays as it is."""
    told = json.loads(path.read_text())
    for name, now in found.items():
        told["entries"][name]["value"] = round(now, 4)

    told["on"] = machine()
    path.write_text(json.dumps(told, indent=2) + "\n")


def main() -> None:
    """Compare or record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(MEASURES), help=", ".join(MEASURES))
    parser.add_argument("--record", action="store_true")
    told = parser.parse_args()
    found: Figures = {}
    for name in told.only.split(","):
        found |= MEASURES[name]()

    entries = recorded()
    print("\n".join(table(entries, found)))
    if told.record:
        record(found)
        print(f"recorded in {RECORDED}")
    elif names := worse(entries, found):
        print(f"worse than recorded: {'; '.join(names)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
