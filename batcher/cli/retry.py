"""`batcher retry`: take exhausted rows up again, and go on."""

from __future__ import annotations

import time
from typing import Any

import click

from batcher.cli.failure import say
from batcher.cli.flags import settings_flags
from batcher.cli.resume import go_on, opened
from batcher.cli.wishes import ResumingCommand, existing_run, key_file_option, screen_options
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
@screen_options
def command(run: str, **flags: Any) -> int:
    """Take the exhausted rows of RUN up again, then go on like `resume`."""
    directory = existing_run(run)
    frozen, key, read_again = opened(directory, flags)
    kind = None if flags["kind"] is None else ErrorKind(flags["kind"])
    with directory.lock(time.time()):
        from batcher.engine.books.decide import retry
        from batcher.engine.books.opening import open_books

        with open_books(directory, frozen.provider) as (journal, outcomes):
            count = retry(journal, outcomes, kind=kind, at=time.time())

        if not flags["quiet"]:
            say(f"{rows_text(count)} taken up again")

        return go_on(directory, key, read_again, flags)
