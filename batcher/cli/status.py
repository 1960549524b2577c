"""`batcher status`: how a run stands, also from beside the process that works on it."""

from __future__ import annotations

import sys
import time

import click

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.cli.program import program
from batcher.cli.wishes import existing_run
from batcher.report.calls import could_be_called
from batcher.report.closing import closing_lines
from batcher.report.money import currency_of
from batcher.report.summary import Summary, brought_to, read_summary, seen_from_outside

WATCH_EVERY_S = 2.0
HOME_AND_CLEAR = "\x1b[H\x1b[J"
CLEAR = "\x1b[2J"
EPILOG = """\b
Examples:
  batcher status runs/photos-removit
  batcher status runs/photos-removit --watch
  batcher status runs/photos-removit --json | jq .pending

The states: running (a process works on it), finished, stopped (`batcher resume` goes on).
"""


@click.command(epilog=EPILOG)
@click.argument("run")
@click.option("--watch", is_flag=True, help="Look every 2 seconds, until the run is not running.")
@click.option("--json", is_flag=True, help="The object of summary.json, with its state.")
def command(run: str, watch: bool, json: bool) -> int:
    """Say how the run in the directory RUN stands.

    Nothing is written and nothing is locked: it can be asked at any time, as often as you like.
    """
    directory = existing_run(run)
    summary = look(directory)
    if not watch:
        _print(summary, directory, is_json=json)
        return 0

    painted = sys.stdout.isatty() and not json
    if painted:
        click.echo(CLEAR, nl=False)

    while True:
        if painted:
            click.echo(HOME_AND_CLEAR, nl=False)

        _print(summary, directory, is_json=json, in_a_line=not painted)
        if summary.state != "running":
            return 0

        sys.stdout.flush()
        time.sleep(WATCH_EVERY_S)
        summary = look(directory)


def look(directory: RunDirectory) -> Summary:
    """Return how a run stands. Reads a few numbers, however many rows it has."""
    from batcher.adapters.sqlite import SqliteJournal

    if not directory.journal.exists():
        summary = seen_from_outside({}, None, is_owned=directory.is_owned())
        return brought_to(summary, time.time(), directory.owned_since())

    currency = currency_of(read_run_file(directory.run_file)[0])
    journal = SqliteJournal.read(directory.journal)
    try:
        is_owned = directory.is_owned()
        counters, last = journal.counters(), read_summary(directory.path)
        summary = seen_from_outside(counters, last, is_owned=is_owned, currency=currency)
        return brought_to(summary, time.time(), directory.owned_since())
    finally:
        journal.close()


def title_of(directory: RunDirectory) -> str:
    """Return what a run is called: its directory."""
    return str(directory.path)


def _print(
    summary: Summary, directory: RunDirectory, *, is_json: bool, in_a_line: bool = False
) -> None:
    if is_json:
        click.echo(summary.as_json())
    elif in_a_line:
        click.echo(_line(summary))
    else:
        lines = closing_lines(
            summary,
            directory.path,
            title_of(directory),
            program=program(),
            could_be_called=could_be_called(*read_run_file(directory.run_file)),
        )
        for line in lines:
            click.echo(line)


def _line(summary: Summary) -> str:
    return (
        f"{summary.state}: {summary.ended:,} of {summary.rows:,} rows ended · "
        f"succeeded {summary.succeeded:,} · failed {summary.failed:,} · "
        f"exhausted {summary.exhausted:,} · in doubt {summary.in_doubt:,} · "
        f"pending {summary.pending:,}"
    )
