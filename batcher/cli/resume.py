"""`batcher resume`: go on with a run from its directory alone."""

from __future__ import annotations

import os
import time
from typing import Any

import click

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file, write_run_file
from batcher.cli.flags import settings_flags
from batcher.cli.wishes import (
    STDIN,
    ResumingCommand,
    existing_run,
    key_file_option,
    resumed_settings,
    screen_of,
    screen_options,
)
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
@screen_options
def command(run: str, **flags: Any) -> int:
    """Go on with the run in the directory RUN.

    Jobs that were accepted are followed, rows without an outcome are submitted, and rows in doubt
    stay as they are until somebody decides. On a finished run no request is made.
    """
    directory = existing_run(run)
    _, key = opened(directory, flags)
    with directory.lock(time.time()):
        return go_on(directory, key, flags)


def opened(directory: RunDirectory, flags: dict[str, Any]) -> tuple[Frozen, Secret]:
    """Return what a run is about, and the key for it, before anything is touched."""
    from batcher.adapters.keys import read_key

    frozen, _ = read_run_file(directory.run_file)
    facts = provider_named(frozen.provider, frozen.params).facts
    return frozen, read_key(facts.key_env, flags["api_key_file"], os.environ)


def go_on(directory: RunDirectory, key: Secret, flags: dict[str, Any]) -> int:
    """Bring a run whose lock is held to its end, with its own settings and the flags given now.

    A manifest that came by a pipe cannot be read twice: then the journal knows the rows.
    """
    from batcher.cli.drive import Drive, drive

    frozen, stored = read_run_file(directory.run_file)
    settings = resumed_settings(stored, flags, time.time())
    if settings != stored:
        write_run_file(directory.run_file, frozen, settings)

    again = frozen.manifest != STDIN
    return drive(Drive(directory, frozen, settings, key, screen_of(flags), read_manifest=again))
