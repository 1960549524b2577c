"""`batcher runs`: which runs there are in a folder, and how each of them stands.

Rule: a directory that cannot be read is one line of the list and never its end. Nothing is written
or locked, and folders that are no runs are looked into only a little.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.cli.failure import say
from batcher.cli.wrapping import wrapped
from batcher.core.errors import BatcherError, UsageError
from batcher.core.lifecycle import OUTCOMES
from batcher.core.model import iso
from batcher.report.text import count_text, plain, rows_text

if TYPE_CHECKING:
    from batcher.report.summary import Summary

DEFAULT = "runs"
DEPTH = 3  # folders in folders that are looked into
ENTRIES_MAX = 10_000  # of one folder
STATE_CELLS = 8
PATH_CELLS_MAX = 40
INDENT = 28  # beneath the path
EPILOG = """\b
Examples:
  batcher runs
  batcher runs /data/batcher/runs
  batcher runs --json | jq -r 'select(.state == "stopped") | .run'
"""


@click.command(epilog=EPILOG)
@click.argument("folder", metavar="[DIR]", default=DEFAULT)
@click.option("--json", is_flag=True, help="One JSON object a line, for each directory.")
def command(folder: str, json: bool) -> int:
    """List the runs in the folder DIR, the newest first: how each stands, its rows, its cost.

    DIR is `runs` in the working directory unless given. The time is that of the last change.
    """
    path = Path(folder)
    if not path.is_dir() and folder != DEFAULT:
        raise UsageError(f"{folder}: is no folder")

    found = sorted(_listed(path), key=lambda each: (each["updated"] or "", each["run"]))
    cells = min(PATH_CELLS_MAX, max((len(each["run"]) for each in found), default=0))
    for each in reversed(found):
        click.echo(msgspec.json.encode(each) if json else wrapped(_line(each, cells), INDENT))

    runs = sum(each["state"] in ("running", "finished", "stopped") for each in found)
    say(f"{count_text(runs)} {'run' if runs == 1 else 'runs'} in {plain(path, 1_000)}")
    return 0


def _listed(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield every directory of *folder*: a run, what holds runs, or what is neither."""
    if RunDirectory(folder).is_run:
        yield _standing(folder)
        return

    for path in _folders(folder):
        runs = list(_runs(path, DEPTH - 1))
        if runs:
            yield from map(_standing, runs)
        else:
            yield _trouble(path, "no run", "has no run.toml")


def _runs(path: Path, depth: int) -> Iterator[Path]:
    """Yield the run directories at *path* and below, *depth* folders deep."""
    if (path / "run.toml").exists():
        yield path
    elif depth and not path.is_symlink():
        for each in _folders(path):
            yield from _runs(each, depth - 1)


def _folders(path: Path) -> Iterator[Path]:
    """Yield the folders in a folder, hidden ones left out; none of one that cannot be read."""
    try:
        with os.scandir(path) as entries:
            found = [
                entry.name
                for entry in islice(entries, ENTRIES_MAX)
                if entry.is_dir() and not entry.name.startswith(".")
            ]
    except OSError:
        return

    yield from (path / name for name in sorted(found))


def _standing(path: Path) -> dict[str, Any]:
    """Return how one run stands, or what is wrong with its directory."""
    from batcher.cli.commands.status.command import look

    directory = RunDirectory(path)
    try:
        frozen, _ = read_run_file(directory.run_file)
        summary = look(directory)
    except (BatcherError, OSError) as error:
        return _trouble(path, "broken", str(error))

    return {
        "run": str(path),
        "state": summary.state,
        "updated": summary.updated or _changed(path),
        "provider": frozen.provider,
        "manifest": frozen.manifest,
        "summary": summary,
        "problem": None,
    }


def _trouble(path: Path, state: str, problem: str) -> dict[str, Any]:
    return {
        "run": str(path),
        "state": state,
        "updated": _changed(path),
        "provider": None,
        "manifest": None,
        "summary": None,
        "problem": problem,
    }


def _changed(path: Path) -> str | None:
    try:
        return iso(path.stat().st_mtime)
    except OSError:
        return None


def _line(each: dict[str, Any], cells: int) -> str:
    """Return one directory as a line."""
    what = plain(each["problem"], 300) if each["summary"] is None else _counts(each)
    run = plain(each["run"], 1_000)
    return f"{_when(each['updated'])}  {each['state']:<{STATE_CELLS}}  {run:<{cells}}  {what}"


def _when(at: str | None) -> str:
    """Return a time as the clock on the wall shows it."""
    try:
        local = None if at is None else datetime.fromisoformat(at).astimezone()
    except (ValueError, OverflowError):  # an edited summary
        local = None

    return f"{local:%Y-%m-%d %H:%M}" if local is not None else f"{'?':<16}"


def _counts(each: dict[str, Any]) -> str:
    """Return the rows of a run, its provider, its money, and why it stopped."""
    from batcher.core.money import nanos
    from batcher.report.money import money_text

    summary: Summary = each["summary"]
    states = (*OUTCOMES, "pending")
    parts = [
        f"{state.replace('_', ' ')} {count_text(getattr(summary, state))}"
        for state in states
        if getattr(summary, state)
    ]
    if summary.cost is not None:
        parts.append(f"charged {money_text(nanos(summary.cost.charged), summary.cost.currency)}")

    if summary.stopped is not None:
        parts.append(f"stopped: {plain(summary.stopped.reason, 40)}")
    elif summary.state == "stopped":
        parts.append("ended from outside")

    counts = f": {', '.join(parts)}" if parts else ""
    return f"{plain(each['provider'], 40)}, {rows_text(summary.rows)}{counts}"
