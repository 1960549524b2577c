"""`batcher run`: a manifest through a provider; the same command again resumes."""

from __future__ import annotations

import sys
from typing import Any

import click

from batcher.adapters.rundir import RunDirectory
from batcher.cli.driving.beginning import begin_or_resume, owned, refuse_another_run
from batcher.cli.failure import say
from batcher.cli.flags.contradictions import refuse_contradictions
from batcher.cli.flags.given import settings_flags
from batcher.cli.flags.wishes import (
    STDIN,
    ConfiguredCommand,
    base_url_option,
    download_option,
    frozen_of,
    key_file_option,
    key_source,
    new_settings,
    provider_option,
    run_dir_option,
    run_path,
    screen_of,
    screen_options,
    set_option,
    workers_option,
)
from batcher.cli.night.flags import night_of, night_options
from batcher.providers import PROVIDERS

EPILOG = """\b
Examples:
  batcher run photos.jsonl --provider removit
  batcher run photos/ --provider removit --set mode=clipping --download
  batcher run scans/ --provider deapi --set task=ocr --max-jobs 50
  batcher run photos.jsonl --provider removit --dry-run

The API key comes from REMOVIT_API_KEY or DEAPI_API_KEY, or --api-key-file.
Every flag has a variable (--in-flight: BATCHER_IN_FLIGHT) and a key in
batcher.toml (in-flight). A flag counts most, then the variable, then the
file. The word none takes a limit away.

Exit codes: 0 every row succeeded, 2 cannot be used as given, 3 finished but
some rows did not succeed, 4 stopped early and resumable, 5 in use by another
process, 74 disk failed, 130 or 143 interrupted and resumable.
"""


@click.command(cls=ConfiguredCommand, epilog=EPILOG)
@click.argument("manifest")
@provider_option
@run_dir_option
@base_url_option
@set_option
@download_option
@key_file_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check all rows, show plan and first request, send nothing.",
)
@workers_option
@settings_flags
@night_options
@screen_options
def command(manifest: str, **flags: Any) -> int:
    """Submit every row of MANIFEST once and follow its job to the end.

    MANIFEST is JSONL, CSV, a text file of URLs or paths, a folder of images, or - for standard
    input; gzip is fine. The same command again goes on where the last one ended; on a finished run
    it makes no request.
    """
    directory = RunDirectory(run_path(manifest, flags))
    frozen = frozen_of(manifest, flags, directory)
    settings = new_settings(flags, frozen.base_url)
    if flags["workers"] is not None or directory.is_run:
        from batcher.cli.workers.number import with_workers

        frozen = with_workers(frozen, settings, flags["workers"], directory)

    refuse_contradictions(frozen, settings)
    if flags["dry_run"]:
        from batcher.cli.commands.run.dry_run import show_dry_run

        directory.refuse_others()
        refuse_another_run(directory, frozen)
        return show_dry_run(manifest, frozen, settings, directory)

    read_again = key_source(PROVIDERS[frozen.provider].facts.key_env, flags["api_key_file"])
    key = read_again()
    night = night_of(flags, directory)

    from batcher.adapters.manifest import open_manifest
    from batcher.cli.driving.drive import Drive, drive

    open_manifest(manifest)  # before a run directory is made for one that is not there
    if manifest == STDIN and sys.stdin.isatty():
        say("reading the manifest from the terminal; end it with Ctrl-D")

    with owned(directory, download=frozen.download):
        begin_or_resume(directory, frozen, settings)
        screen = screen_of(flags)
        key_file = flags["api_key_file"]
        return drive(
            Drive(
                directory, frozen, settings, key, screen, read_again, night=night, key_file=key_file
            )
        )
