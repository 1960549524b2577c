"""`batcher doctor`: is this machine, the key and the API fit for a run? Nothing is spent."""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec

from batcher.cli.exits import OK, UNUSABLE
from batcher.cli.flags.wishes import key_file_option, run_dir_option
from batcher.core.errors import UsageError
from batcher.providers import PROVIDERS, provider_named

EPILOG = """\b
Examples:
  batcher doctor
  batcher doctor --provider deapi
  batcher doctor --provider removit --api-key-file key --run-dir /data/tonight
  batcher doctor --json | jq '.[] | select(.state != "ok")'

Exit codes: 0 nothing is bad (a warning may be there), 2 something keeps a run
from working.
"""


@click.command(epilog=EPILOG)
@click.option(
    "--provider", type=click.Choice(list(PROVIDERS)), help="Look at this API and its key too."
)
@click.option("--base-url", metavar="URL", help="Another address of the API.")
@key_file_option
@run_dir_option
@click.option("--json", is_flag=True, help="One JSON array, one object for each thing.")
def command(
    provider: str | None,
    base_url: str | None,
    api_key_file: str | None,
    run_dir: str | None,
    json: bool,
) -> int:
    """Look whether this machine is fit for a run, and with --provider the key and the API too.

    Each line is ok, warn or bad, with what to do about it. Nothing is spent, changed or kept.
    """
    from batcher.cli.commands.doctor.findings import laid_out
    from batcher.cli.commands.doctor.machine import keys, machine
    from batcher.cli.flags.origin import checked_base_url

    if provider is None and (base_url is not None or api_key_file is not None):
        raise UsageError("--base-url and --api-key-file: say whose, with --provider NAME")

    findings = [*machine(Path(run_dir or "runs"), os.environ)]
    if provider is None:
        findings += keys(os.environ)
    else:
        from batcher.cli.commands.doctor.api import api

        chosen = provider_named(provider, {})
        url = checked_base_url(base_url or chosen.facts.base_url)
        findings += api(chosen, url, api_key_file, os.environ)

    if json:
        click.echo(msgspec.json.encode([finding.as_json() for finding in findings]))
    else:
        for line in laid_out(findings):
            click.echo(line)

    return UNUSABLE if any(finding.state == "bad" for finding in findings) else OK
