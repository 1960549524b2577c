"""The tables of `README.md`, from the lines of benchmarks.

    python benchmarks/table.py build/bench.jsonl [more.jsonl …] [--into benchmarks/README.md]

The last line of a kind counts. With --into the tables go into that file, between the two comments
that are there for it; without, they are printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.lines import read_lines  # after the path

BEGIN, END = "<!-- tables: made by table.py -->", "<!-- end of tables -->"
SIDE = ("jobs_per_cpu_s", "cpu_us_per_job", "jobs_per_s", "peak_mib", "requests_per_job")
SIDE_WORDS = (
    "jobs a second of processor",
    "µs of processor a job",
    "jobs/s",
    "peak MiB",
    "requests a job",
)

Line = dict[str, Any]
Cells = Sequence[object]


def throughput(line: Line) -> Iterator[str]:
    """Show the engine beside the raw loop."""
    where = "a core for each of client and server" if line["is_pinned"] else "cores shared"
    python = f", Python {minor}" if (minor := _minor(line)) else ""
    yield (
        f"**The engine beside the raw loop** on {line['loop']}{python}: {line['rows']:,} rows,"
        f" {line['connections']} connections, {line['in_flight']:,} in flight,"
        f" {line['pairs']} pairs, {where}."
    )
    raw, ours = _side("raw loop", line["raw"]), _side("batcher", line["batcher"])
    yield from grid(("", *SIDE_WORDS), [raw, ours])
    yield f"Jobs a second of processor, batcher to raw: {_ratio(line)}."


def workers(line: Line) -> Iterator[str]:
    """Show a number of workers beside one."""
    yield (
        f"**{line['workers']} workers beside one**: {line['rows']:,} rows,"
        f" {line['connections']} connections, all cores shared."
    )
    many = _side(f"{line['workers']} workers", line["many"])
    yield from grid(("", *SIDE_WORDS), [_side("one", line["one"]), many])
    yield f"Jobs a second, {line['workers']} workers to one: {_ratio(line)}."


def _side(name: str, figures: Line) -> Cells:
    return (name, *(figures[key] for key in SIDE))


def _ratio(line: Line) -> str:
    return f"{line['ratio']} (of each pair: {', '.join(map(str, line['ratios']))})"


def memory_by_rows(line: Line) -> Iterator[str]:
    """Show memory by the rows of a manifest."""
    yield f"**Memory by the rows of a manifest**, {line['in_flight']:,} in flight."
    cells = [
        (run["rows"], run["submitted"], run["steady_mib"], run["peak_mib"]) for run in line["runs"]
    ]
    yield from grid(("rows", "rows submitted when it was ended", "MiB then", "peak MiB"), cells)
    marks = line["runs"][-1].get("marks_mib", {})
    yield "MiB on the way: " + ", ".join(f"{mib} at {int(n):,}" for n, mib in marks.items()) + "."


def memory_in_flight(line: Line) -> Iterator[str]:
    """Show memory by jobs in flight."""
    yield "**Memory by jobs in flight**, all of them accepted and polled."
    each = {step["to"]: step["bytes_per_job"] for step in line["each"]}
    cells = [(run["jobs"], run["steady_mib"], each.get(run["jobs"], "")) for run in line["runs"]]
    yield from grid(("jobs in flight", "MiB", "bytes for each further job"), cells)


def latency(line: Line) -> Iterator[str]:
    """Show how long commands take."""
    yield (
        f"**Commands**: `check` of {line['checked']} rows; `status` of a finished run of"
        f" {line['rows']:,} rows, and the same `run` on it once more ({line['requests']} requests)."
    )
    cells = [
        (f"`{name}`", took["cpu_s"], took["wall_s"]) for name, took in line["commands"].items()
    ]
    yield from grid(("", "s of processor", "s on the wall"), cells)


def calls(line: Line) -> Iterator[str]:
    """Show the calls of a run."""
    yield f"**Calls of functions for one job**, without the transport: {line['calls_per_job']:,}."


def journal(line: Line) -> Iterator[str]:
    """Show the journal."""
    speeds = line["events_per_s"]
    yield "**Journal**: durable events a second by how many share a transaction."
    sizes = list(speeds["full"])
    names = {"full": "full syncing", "normal": "normal syncing", "jsonl_fdatasync": "a plain file"}
    cells = [(words, *(speeds[key][size] for size in sizes)) for key, words in names.items()]
    yield from grid(("", *sizes), cells)
    keys = ("events_per_s", "loop_us", "writer_us", "events_in_a_group")
    tasks = [(n, *(found[key] for key in keys)) for n, found in line["recorder"].items()]
    yield "The whole way of a run, through the recorder, with outcome files:"
    head = (
        "tasks",
        "events/s",
        "µs of the loop's thread an event",
        "µs of the writer's",
        "a group",
    )
    yield from grid(head, tasks)


def manifest(line: Line) -> Iterator[str]:
    """Show how fast manifests are read and finished runs resumed."""
    yield f"**Manifest**: {line['rows']:,} rows read and checked; share of `orjson.loads` alone."
    cells = [
        (name, found["rows_per_s"], found["us_per_row"], found["orjson_ratio"])
        for name, found in line["reading"].items()
    ]
    yield from grid(("format", "rows/s", "µs a row", "share"), cells)
    again = line["resume"]
    yield (
        f"The same `run` on a finished run of {again['rows']:,} rows: {again['wall_s']} s,"
        f" {again['requests']} requests, {again['rss_mib']} MiB."
    )


def transport(line: Line) -> Iterator[str]:
    """Show what a request costs over aiohttp's own."""
    yield (
        f"**Transport** on {line['loop']}: {line['us_per_request']} µs of processor a request,"
        f" {line['bare_us_per_request']} with aiohttp alone (ratio {line['ratio']});"
        f" {line['calls_per_request']} calls, {line['bare_calls_per_request']} with aiohttp alone."
    )


TABLES: dict[str, Callable[[Line], Iterator[str]]] = {
    "throughput": throughput,
    "workers": workers,
    "calls": calls,
    "transport": transport,
    "memory by rows": memory_by_rows,
    "memory by jobs in flight": memory_in_flight,
    "latency": latency,
    "journal": journal,
    "manifest": manifest,
}


def grid(head: Sequence[str], rows: Sequence[Cells]) -> Iterator[str]:
    """Yield a Markdown table."""
    yield ""
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"

    yield ""


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def tables(lines: Sequence[Line]) -> str:
    """Return all tables, each with its day and machine, as Markdown."""
    last = {_kind(line): line for line in lines if "benchmark" in line}
    found = [line for name in TABLES for key, line in last.items() if key[0] == name]
    texts = []
    for line, follower in zip(found, [*found[1:], {}], strict=True):
        texts.append("\n".join(TABLES[line["benchmark"]](line)).strip())
        origin = _origin(line)
        if origin and origin != _origin(follower):
            texts.append(origin)

    return "\n\n".join(texts) + "\n"


def _kind(line: Line) -> tuple[object, ...]:
    """Return what lines have in common of which only the last counts."""
    return line["benchmark"], line.get("loop"), line.get("connections"), _minor(line)


def _minor(line: Line) -> str:
    """Return the version of Python that a line is of, without its last part; "" = not told."""
    return str(line.get("on", {}).get("python", "")).rpartition(".")[0]


def _origin(line: Line) -> str:
    """Return the day, machine and versions of a line, or nothing if it does not tell."""
    if "on" not in line:
        return ""

    on = dict(line["on"])
    where = f"{on.pop('system')}, {on.pop('cores')} cores"
    versions = ", ".join(f"{name} {version}" for name, version in on.items())
    return f"<sub>{line['at']}; {where}; {versions}</sub>"


def put(text: str, into: Path) -> None:
    """Put the tables between the two comments of a file."""
    before, _, rest = into.read_text().partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{into}: has no place for tables: {BEGIN} … {END}")

    into.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def main() -> None:
    """Print the tables, or put them where they belong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", nargs="+", type=Path)
    parser.add_argument("--into", type=Path)
    told = parser.parse_args()
    text = tables(read_lines(told.lines))
    if told.into is None:
        print(text, end="")
    else:
        put(text, told.into)


if __name__ == "__main__":
    main()
