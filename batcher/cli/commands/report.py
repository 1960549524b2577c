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
from batcher.cli.commands.status.command import look
from batcher.cli.flags.wishes import existing_run
from batcher.cli.program import program
from batcher.core.errors import UsageError
from batcher.core.secret import Secret

NAME = "report.html"
SUFFIXES = (".html", ".htm")  # what a page in the run directory may be called
HEAD_BYTES = 4_096  # of a page: its title is in them
MARK = b"batcher report</title>"
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
    help="Where the page goes; only a page is replaced. [report.html in the run directory]",
)
def command(run: str, output: str | None) -> int:
    """Write a page about the run in the directory RUN: how it went, why, and what to do next.

    Outcomes, pace, durations, errors with examples, waits, money and thumbnails in one file that
    opens in any browser. Its path goes to standard output.
    """
    from batcher.adapters.atomic import write_atomically

    directory = existing_run(run)
    path = directory.path / NAME if output is None else Path(output)
    if output is not None:
        _refuse_others(path, directory)

    write_atomically(path, page_of(directory, path))
    click.echo(str(path))
    return 0


def _refuse_others(path: Path, directory: RunDirectory) -> None:
    """Raise `UsageError` if a page at *path* would take the place of something that is no page."""
    said = f"--output {path}: "
    if path.is_dir():
        raise UsageError(f"{said}is a folder, not a file")

    if not path.parent.is_dir():
        raise UsageError(f"{said}there is no folder {path.parent}")

    is_own = path.parent.resolve() == directory.path.resolve()
    if is_own and path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{said}a page in the run directory must be called ….html")

    if path.is_symlink() or (path.exists() and not _is_page(path)):
        raise UsageError(f"{said}is there already and is no page of batcher; it is left as it is")


def _is_page(path: Path) -> bool:
    """Tell whether a file is a page that was made before."""
    if not path.is_file():
        return False

    with path.open("rb") as file:
        return MARK in file.read(HEAD_BYTES)


def page_of(directory: RunDirectory, path: Path) -> bytes:
    """Return the page of a run; *path* is where it will be, for the links in it."""
    from batcher.adapters.logs_redaction import Redaction
    from batcher.report.page.gather import gather
    from batcher.report.page.page import page
    from batcher.report.page.source import source_of

    hide = Redaction(keys_to_hide()).text
    source = source_of(directory, path, now=time.time(), program=program(), hide=hide)
    return page(gather(source, look(directory)))


def keys_to_hide() -> list[Secret]:
    """Return what variables that name a key hold: it stands in no file, and in no page either."""
    return [
        Secret(value, name)
        for name, value in os.environ.items()
        if name.upper().endswith("_KEY") and len(value) >= KEY_CHARS_MIN
    ]
