"""`batcher resume`: go on with a run from its directory alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file, write_run_file
from batcher.cli.flags.contradictions import refuse_contradictions
from batcher.cli.flags.given import settings_flags
from batcher.cli.flags.wishes import (
    STDIN,
    ResumingCommand,
    existing_run,
    key_file_option,
    key_source,
    resumed_settings,
    screen_of,
    screen_options,
)
from batcher.cli.night.flags import Night, night_of, night_options
from batcher.core.secret import Secret
from batcher.core.settings import Frozen
from batcher.providers import provider_named

EPILOG = """\b
Examples:
  batcher resume runs/photos-removit
  batcher resume runs/photos-removit --rate 60/m --max-jobs none

Flags and BATCHER_… variables given now replace what the run was started with, and stay.
Provider, base URL, --set and the download folder belong to the run and cannot change.
"""


@click.command(cls=ResumingCommand, epilog=EPILOG)
@click.argument("run")
@key_file_option
@settings_flags
@night_options
@screen_options
def command(run: str, **flags: Any) -> int:
    """Go on with the run in the directory RUN.

    Jobs that were accepted are followed, rows without an outcome are submitted, and rows in doubt
    stay as they are until somebody decides. On a finished run no request is made.
    """
    directory = existing_run(run)
    _, key, read_again = opened(directory, flags)
    night = night_of(flags, directory)
    with directory.lock(time.time()):
        return go_on(directory, key, read_again, flags, night)


def opened(
    directory: RunDirectory, flags: dict[str, Any]
) -> tuple[Frozen, Secret, Callable[[], Secret]]:
    """Return what a run is about, its key, and the way to read that again. Touches nothing.

    Raises `UsageError` for flags that the run cannot go on with.
    """
    frozen, stored = read_run_file(directory.run_file)
    refuse_contradictions(frozen, resumed_settings(stored, flags, time.time()))
    facts = provider_named(frozen.provider, frozen.params).facts
    read_again = key_source(facts.key_env, flags["api_key_file"])
    return frozen, read_again(), read_again


def go_on(
    directory: RunDirectory,
    key: Secret,
    read_again: Callable[[], Secret],
    flags: dict[str, Any],
    night: Night,
) -> int:
    """Bring a run whose lock is held to its end, with its own settings and the flags given now.

    A manifest that came by a pipe cannot be read twice: then the journal knows the rows.
    """
    from batcher.cli.driving.drive import Drive, drive

    frozen, stored = read_run_file(directory.run_file)
    settings = resumed_settings(stored, flags, time.time())
    if settings != stored:
        write_run_file(directory.run_file, frozen, settings)

    readable = frozen.manifest != STDIN
    screen = screen_of(flags)
    key_file = flags["api_key_file"]
    return drive(
        Drive(
            *(directory, frozen, settings, key, screen, read_again, readable, night),
            key_file=key_file,
        )
    )
