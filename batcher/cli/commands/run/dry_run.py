"""`batcher run --dry-run`: what would be done, without doing any of it."""

from __future__ import annotations

from collections.abc import Iterator

import click
import msgspec

from batcher.adapters.rundir import RunDirectory
from batcher.cli.commands.check.command import text_lines, text_totals
from batcher.cli.commands.check.survey import Totals, survey
from batcher.cli.commands.plan.forecast import Classes, cost_lines, learned_of, plan_of
from batcher.cli.exits import OK, SOME_ROWS
from batcher.cli.flags.given import DEFAULTS, duration_flag, size_flag
from batcher.cli.flags.table import FLAGS, Flag
from batcher.core.exchange import Request
from batcher.core.journal import Entry
from batcher.core.model import iso
from batcher.core.money import amount_text, nanos
from batcher.core.secret import Secret
from batcher.core.settings import Frozen, Settings
from batcher.engine.files.local import RowUnusable, local_files
from batcher.providers import Provider, provider_named
from batcher.providers.base import Callback
from batcher.report.plan import laid_out
from batcher.report.text import plain

BODY_CHARS_MAX = 2_000
WIDTH = 15  # of the names in front
HIDDEN = "***"  # for what is made anew for every submit and known to nobody else


def show_dry_run(manifest: str, frozen: Frozen, settings: Settings, directory: RunDirectory) -> int:
    """Print problems, settings and the first request; return the exit code of `check`."""
    provider = provider_named(frozen.provider, frozen.params)
    totals = Totals()
    classes = Classes(provider)
    findings = survey(manifest, provider, totals, limit=settings.limit, usable=classes.add)
    for line in text_lines(findings, manifest):
        click.echo(line)

    click.echo(text_totals(totals))
    click.echo("")
    for line in _settings(provider, frozen, settings, directory):
        click.echo(line)

    learned = learned_of(provider, frozen.base_url)
    plan = plan_of(provider, frozen, settings, classes.rows, learned)
    costs = cost_lines(provider, settings, plan.work.rows)
    for line in laid_out((*plan.lines(), *costs), WIDTH):
        click.echo(line)

    if totals.first is not None:
        click.echo("")
        for line in _first_request(provider, frozen, settings, totals.first):
            click.echo(line)

    click.echo("\nNothing was sent.")
    return SOME_ROWS if totals.bad else OK


def _settings(
    provider: Provider, frozen: Frozen, settings: Settings, directory: RunDirectory
) -> Iterator[str]:
    limits, facts = provider.limits(), provider.facts
    resumes = " (exists: resumes)" if directory.is_run else ""
    yield f"run directory  {plain(directory.path, 500)}{resumes}"
    yield f"provider       {facts.title} at {plain(frozen.base_url, 500)}, key from {facts.key_env}"
    yield f"submit rate    {settings.rate or limits.submit or facts.cautious_rate}"
    yield f"status rate    {settings.status_rate or limits.status or 'no limit known'}"
    for key, value in frozen.params.items():
        yield f"set            {plain(key)} = {plain(msgspec.json.encode(value).decode())}"

    if frozen.download is not None:
        yield f"download to    {plain(frozen.download, 500)}"

    for flag in FLAGS:
        value = getattr(settings, flag.field)
        if value != DEFAULTS[flag.field] and flag.field not in ("rate", "status_rate"):
            yield f"setting        {typed(flag, value)}"


def typed(flag: Flag, value: object) -> str:
    """Return a flag as a person types it to get *value*."""
    if isinstance(value, bool):
        return flag.name if value else f"--no-{flag.name.removeprefix('--')}"

    return f"{flag.name} {plain(_typed_value(flag, value), 2_000)}"


def _typed_value(flag: Flag, value: object) -> str:
    match value:
        case int() if flag.metavar == "SIZE":
            return size_flag(value)
        case int() | float() if flag.field.endswith("_s"):
            return duration_flag(value)
        case float() if flag.field == "finish_by":
            return iso(value) or ""
        case float():
            return amount_text(nanos(value))
        case tuple():
            return ",".join(value)
        case _:
            return str(value)


def _first_request(
    provider: Provider, frozen: Frozen, settings: Settings, entry: Entry
) -> Iterator[str]:
    values = msgspec.json.decode(entry.body, type=dict[str, object])
    url = settings.webhook_url
    hidden = None if url is None else Callback(f"{url}/{HIDDEN}", Secret(HIDDEN, "this run"))
    try:
        request = provider.submit(values, local_files(values, entry.base), hidden)
    except RowUnusable as gone:
        yield f"first request  cannot be made: {plain(gone.error.message)}"
        return

    yield f"first request, of the row {plain(entry.id, 500)}:"
    yield f"  {request.method} {plain(frozen.base_url + request.path, 2_000)}"
    yield f"  {provider.facts.auth_header}: {provider.facts.auth_scheme}***"
    yield from _body(request)


def _body(request: Request) -> Iterator[str]:
    if request.json is not None:
        yield "  Content-Type: application/json"
        yield f"  {plain(request.json.decode('utf-8', 'replace'), BODY_CHARS_MAX)}"
        return

    yield "  Content-Type: multipart/form-data"
    for name, value in request.form:
        yield f"  {plain(name)} = {plain(value, BODY_CHARS_MAX)}"

    for part in request.files:
        yield f"  {plain(part.field)} = @{plain(part.path, 500)} ({plain(part.content_type)})"
