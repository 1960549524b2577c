"""`batcher retry`: take exhausted rows up again, and go on."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import click

from batcher.adapters.rundir import RunDirectory
from batcher.cli.commands.resume import go_on, opened
from batcher.cli.deciding import begun_parts
from batcher.cli.failure import say
from batcher.cli.flags.given import settings_flags
from batcher.cli.flags.wishes import ResumingCommand, existing_run, key_file_option, screen_options
from batcher.cli.night.flags import night_of, night_options
from batcher.core.model import ErrorKind
from batcher.report.text import rows_text

EPILOG = """\b
Examples:
  batcher retry runs/photos-removit
  batcher retry runs/photos-removit --kind job_timeout --job-timeout 1h

A row whose job exists is looked at again and not submitted again; one whose files are missing only
downloads them. Only a row without a job, or whose job has failed, is submitted anew.
"""


@click.command(cls=ResumingCommand, epilog=EPILOG)
@click.argument("run")
@click.option(
    "--kind",
    type=click.Choice([str(kind) for kind in ErrorKind]),
    metavar="KIND",
    help="Only rows that ended with this kind of error, such as job_timeout or download.",
)
@key_file_option
@settings_flags
@night_options
@screen_options
def command(run: str, **flags: Any) -> int:
    """Take the exhausted rows of RUN up again, then go on like `resume`."""
    directory = existing_run(run)
    frozen, key, read_again = opened(directory, flags)
    night = night_of(flags, directory)
    kind = None if flags["kind"] is None else ErrorKind(flags["kind"])
    with directory.lock(time.time()):
        count = sum(
            _taken_up(part, directory, frozen.provider, kind)
            for part in begun_parts(directory, frozen)
        )

        if not flags["quiet"]:
            say(f"{rows_text(count)} taken up again")

        return go_on(directory, key, read_again, flags, night)


def _taken_up(part: RunDirectory, run: RunDirectory, provider: str, kind: ErrorKind | None) -> int:
    """Take up the exhausted rows of one part of a run that is locked, and return how many."""
    from batcher.engine.books.decide import retry
    from batcher.engine.books.opening import open_books

    with contextlib.ExitStack() as stack:
        if part.path != run.path:
            stack.enter_context(part.lock(time.time()))

        journal, outcomes = stack.enter_context(open_books(part, provider))
        return retry(journal, outcomes, kind=kind, at=time.time())
