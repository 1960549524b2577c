"""`batcher compare`: what several runs measured, side by side, and which differences are no chance.

Rule: it reads beside whoever works on the runs. Nothing is locked or asked of an API, and the only
thing that is written is the page, whole or not at all.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.cli.commands.report import HEAD_BYTES, MARK
from batcher.cli.commands.status.command import look
from batcher.cli.failure import say, without_keys
from batcher.cli.flags.wishes import existing_run
from batcher.cli.parts import lengths_of, parts_of
from batcher.core.errors import UsageError
from batcher.core.load import Load
from batcher.report.money import currency_of
from batcher.report.text import count_text

if TYPE_CHECKING:
    from batcher.report.compare.measure import Run

LETTERS = "ABCDEF"
EPILOG = """\b
Examples:
  batcher compare runs/photos-removit runs/photos-deapi
  batcher compare runs/monday runs/tuesday --html compared.html
  batcher compare runs/monday runs/tuesday --json | jq '.differences[]'

The first run is what the others are measured by. A run that goes on counts as far as it is.
"""


@click.command(epilog=EPILOG)
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN…")
@click.option("--html", metavar="FILE", help="Write a page there; only a page is replaced.")
@click.option("--json", is_flag=True, help="One JSON object.")
def command(runs: tuple[str, ...], html: str | None, json: bool) -> int:
    """Compare the runs in the directories RUN: outcomes, times, reads, cost, and load tests.

    Every number has its 95 % interval, and of a difference that chance may have made it is said so.
    Rows that two runs share, by id, are compared one by one. One run alone is measured only.
    """
    from batcher.report.compare.document import document
    from batcher.report.compare.lines import compared, lines_of

    if len(runs) > len(LETTERS):
        raise UsageError(f"{len(runs)} runs are too many to read; give {len(LETTERS)} at most")

    path = None if html is None else _page_path(html)
    read = [read_one(name, letter) for name, letter in zip(runs, LETTERS, strict=False)]
    comparison = compared(read)
    if json:
        click.echo(without_keys(document(comparison).decode()))
    else:
        for line in lines_of(comparison):
            click.echo(without_keys(line))

    unreadable = sum(run.measured.unreadable for run in read)
    if unreadable:
        say(f"{count_text(unreadable)} lines of the outcome files are no records")

    if path is not None:
        from batcher.adapters.atomic import write_atomically
        from batcher.report.compare.page import page

        text = page(comparison, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC").decode()
        write_atomically(path, without_keys(text).encode())
        say(f"page: {path}")

    return 0


def read_one(name: str, letter: str) -> Run:
    """Read a run and everything that it measured. Raises `UsageError` if it is none."""
    from batcher.cli.commands.bench.load import read_load
    from batcher.report.compare.measure import Measured, Run
    from batcher.report.records import read_outcomes

    directory = existing_run(name)
    frozen, settings = read_run_file(directory.run_file)
    summary, load = look(directory), read_load(directory)
    measured = Measured(load)
    for part in parts_of(directory):
        read_outcomes(part.path, lengths_of(part), measured)

    return Run(
        letter,
        without_keys(name),
        frozen,
        settings,
        summary,
        measured,
        currency_of(frozen),
        () if load is None else throttled(directory, load),
    )


def throttled(directory: RunDirectory, load: Load) -> tuple[int, ...]:
    """Return how many submits the API answered with 429 in each step; later ones in the last."""
    from batcher.adapters.sqlite.history import History

    counts = [0] * len(load.steps)
    if directory.journal.exists():
        with contextlib.closing(History.read(directory.journal)) as history:
            for submits in history.submits():
                if submits.is_throttled:
                    counts[_step_at(load, submits.at)] += submits.number

    return tuple(counts)


def _step_at(load: Load, at: float) -> int:
    begun = [n for n, step in enumerate(load.steps) if load.began + step.starts_s <= at]
    return max(begun, default=0)


def _page_path(text: str) -> Path:
    """Return where the page goes. Raises `UsageError` if it would take the place of something."""
    path, said = Path(text), f"--html {text}: "
    if not path.parent.is_dir():
        raise UsageError(f"{said}there is no folder {path.parent}")

    if path.is_symlink() or (path.exists() and not _is_page(path)):
        raise UsageError(f"{said}is there already and is no page of batcher; it is left as it is")

    return path


def _is_page(path: Path) -> bool:
    if not path.is_file():
        return False

    with path.open("rb") as file:
        return MARK in file.read(HEAD_BYTES)
