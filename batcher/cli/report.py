"""`batcher report`: one page that says how a run went, why, and what to do next.

Rule: it reads beside whoever works on the run. Nothing is locked or asked of the API, and the only
thing that is written is the page, whole or not at all.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from batcher.adapters.rundir import RunDirectory
from batcher.cli.program import program
from batcher.cli.status import look
from batcher.cli.wishes import existing_run
from batcher.core.errors import UsageError
from batcher.core.secret import Secret

NAME = "report.html"
KEY_CHARS_MIN = 6  # a shorter value is no key, and would blot out the page
EPILOG = """\b
Examples:
  batcher report runs/photos-removit
  batcher report runs/photos-removit -o tonight.html

The page needs no network and fetches nothing. It can be made while the run goes on, and again.
"""


@click.command(epilog=EPILOG)
@click.argument("run")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    help="Where the page goes. [report.html in the run directory]",
)
def command(run: str, output: str | None) -> int:
    """Write a page about the run in the directory RUN: how it went, why, and what to do next.

    Outcomes, pace, durations, errors with examples, waits, money and thumbnails in one file that
    opens in any browser. Its path goes to standard output.
    """
    from batcher.adapters.atomic import write_atomically

    directory = existing_run(run)
    path = directory.path / NAME if output is None else Path(output)
    if path.is_dir():
        raise UsageError(f"--output {path}: is a folder, not a file")

    write_atomically(path, page_of(directory, path))
    click.echo(str(path))
    return 0


def page_of(directory: RunDirectory, path: Path) -> bytes:
    """Return the page of a run; *path* is where it will be, for the links in it."""
    from batcher.adapters.logs_redaction import Redaction
    from batcher.report.page.gather import gather
    from batcher.report.page.page import page
    from batcher.report.page.source import source_of

    hide = Redaction(_keys()).text
    source = source_of(directory, path, now=time.time(), program=program(), hide=hide)
    return page(gather(source, look(directory)))


def _keys() -> list[Secret]:
    """Return what variables that name a key hold: it stands in no file, and in no page either."""
    return [
        Secret(value, name)
        for name, value in os.environ.items()
        if name.upper().endswith("_KEY") and len(value) >= KEY_CHARS_MIN
    ]
