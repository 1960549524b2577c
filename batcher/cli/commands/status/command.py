"""`batcher status`: how a run stands, also from beside the process that works on it."""

from __future__ import annotations

import time

import click

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.cli.flags.wishes import existing_run
from batcher.cli.parts import counters_of, is_owned, parts_of
from batcher.cli.program import program
from batcher.report.calls import could_be_called
from batcher.report.closing import closing_lines
from batcher.report.money import currency_of
from batcher.report.summary import Summary, brought_to, read_summary, seen_from_outside

EPILOG = """\b
Examples:
  batcher status runs/photos-removit
  batcher status runs/photos-removit --watch
  batcher status runs/photos-removit --json | jq .pending

The states: running (a process works on it), finished, stopped (`batcher resume` goes on).
"""


@click.command(epilog=EPILOG)
@click.argument("run")
@click.option("--watch", is_flag=True, help="Follow the run until it is not running any more.")
@click.option("--json", is_flag=True, help="The object of summary.json, with its state.")
def command(run: str, watch: bool, json: bool) -> int:
    """Say how the run in the directory RUN stands.

    Nothing is written and nothing is locked: it can be asked at any time, as often as you like.
    """
    directory = existing_run(run)
    if watch:
        from batcher.cli.commands.status.watching import watch as follow

        follow(directory, is_json=json)

    summary = look(directory)
    if json:
        if not watch:
            click.echo(summary.as_json())

        return 0

    for line in lines_of(summary, directory):
        click.echo(line)

    return 0


def look(directory: RunDirectory) -> Summary:
    """Return how a run stands. Reads a few numbers, however many rows it has."""
    parts = parts_of(directory)
    is_running = is_owned(directory, parts)
    last = read_summary(directory.path)
    if not any(part.journal.exists() for part in parts):
        last, currency = None, None
    else:
        currency = currency_of(read_run_file(directory.run_file)[0])

    summary = seen_from_outside(counters_of(parts), last, is_owned=is_running, currency=currency)
    return brought_to(summary, time.time(), directory.owned_since())


def lines_of(summary: Summary, directory: RunDirectory) -> list[str]:
    """Return what a person reads of it."""
    return closing_lines(
        summary,
        directory.path,
        str(directory.path),
        program=program(),
        could_be_called=could_be_called(*read_run_file(directory.run_file)),
    )
