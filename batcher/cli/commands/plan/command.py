"""`batcher plan`: how long a manifest takes, which limit makes it so long, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click
import orjson

from batcher.adapters.rundir import RunDirectory
from batcher.cli.commands.check.command import text_lines, text_totals
from batcher.cli.commands.check.survey import Totals, survey
from batcher.cli.commands.plan.forecast import (
    Classes,
    asks_for_prices,
    cost_lines,
    learned_of,
    plan_of,
)
from batcher.cli.exits import OK, SOME_ROWS
from batcher.cli.failure import say
from batcher.cli.flags.contradictions import refuse_contradictions
from batcher.cli.flags.given import settings_flags
from batcher.cli.flags.wishes import (
    ConfiguredCommand,
    base_url_option,
    download_option,
    frozen_of,
    key_file_option,
    new_settings,
    provider_option,
    quotes_option,
    run_dir_option,
    run_path,
    set_option,
)
from batcher.core.settings import Frozen, Settings
from batcher.engine.preflight.kinds import Kinds
from batcher.providers import Provider, provider_named
from batcher.providers.base import Files
from batcher.report.plan import Line, Plan, laid_out
from batcher.report.text import plain

if TYPE_CHECKING:
    from batcher.cli.commands.check.preflight import Asker
    from batcher.cli.commands.check.preflight_report import Report

WIDTH = 9  # of the names in front, as `check --preflight` has them
EPILOG = """\b
Examples:
  batcher plan photos.jsonl --provider removit
  batcher plan scans/ --provider deapi --set task=ocr --finish-by 06:00
  batcher plan prompts.jsonl --provider deapi --preflight
  batcher plan photos.jsonl --provider removit --in-flight 50 --json

It takes the flags of `run` that say what is done and how. P10 and P90: once
in ten runs it is faster, once in ten slower.

Exit codes: those of `batcher check`. A warning changes nothing.
"""


@click.command(cls=ConfiguredCommand, epilog=EPILOG)
@click.argument("manifest")
@provider_option
@run_dir_option
@base_url_option
@set_option
@download_option
@key_file_option
@click.option("--json", is_flag=True, help="One JSON object a line: the plan is the last.")
@click.option(
    "--preflight",
    is_flag=True,
    help="Ask the API too, as `batcher check --preflight` does: key, models, prices, balance.",
)
@quotes_option
@settings_flags
def command(manifest: str, **flags: Any) -> int:
    """Say how long MANIFEST takes, which limit makes it so long, and what it costs.

    Nothing is sent unless --preflight is given, and nothing is spent. What earlier runs learned of
    the API's jobs is used.
    """
    directory = RunDirectory(run_path(manifest, flags))
    frozen = frozen_of(manifest, flags, directory)
    settings = new_settings(flags, frozen.base_url)
    refuse_contradictions(frozen, settings)
    provider = provider_named(frozen.provider, frozen.params)
    asker = None
    if flags["preflight"]:
        from batcher.cli.commands.check.preflight import Asker

        asker = Asker(provider, {**flags, "cost_per_job": settings.cost_per_job})
        provider = asker.learn()

    return _plan(manifest, _Rows(provider, settings, asker), frozen, flags)


class _Rows:
    """What is gathered of a manifest's rows on one way through it."""

    def __init__(self, provider: Provider, settings: Settings, asker: Asker | None) -> None:
        self.provider = provider
        self.settings = settings
        self.asker = asker
        self.classes = Classes(provider)
        account = provider.account
        asks = account is not None and asks_for_prices(provider, settings)
        self.kinds = Kinds(account) if account is not None and asks else None

    def add(self, line: int, values: Mapping[str, object], files: Files) -> None:
        """Take a row that can be used."""
        self.classes.add(line, values, files)
        if self.kinds is not None:
            self.kinds.add(line, values, files)

        if self.asker is not None:
            self.asker.add(line, values, files)

    def plan(self, frozen: Frozen) -> Plan:
        """Return the plan for all rows that were added."""
        learned = learned_of(self.provider, frozen.base_url)
        kinds = 0 if self.kinds is None else len(self.kinds)
        classes = self.classes.rows
        return plan_of(self.provider, frozen, self.settings, classes, learned, kinds=kinds)


def _plan(manifest: str, rows: _Rows, frozen: Frozen, flags: Mapping[str, Any]) -> int:
    totals, settings = Totals(), rows.settings
    findings = survey(manifest, rows.provider, totals, limit=settings.limit, usable=rows.add)
    for text in text_lines(findings, manifest):
        click.echo(text, err=flags["json"])

    if not totals.rows:
        say(f"warning: {plain(manifest)} has no rows")

    plan = rows.plan(frozen)
    report = None if rows.asker is None else rows.asker.report(totals.good, with_time=False)
    costs = cost_lines(rows.provider, settings, plan.work.rows) if report is None else ()
    said = _as_json(plan, report) if flags["json"] else _as_text(totals, plan, report, costs)
    for text in said:
        click.echo(text)

    return SOME_ROWS if totals.bad or (report is not None and not report.is_good) else OK


def _as_text(
    totals: Totals, plan: Plan, report: Report | None, costs: Iterator[Line] | tuple[()]
) -> Iterator[str]:
    yield text_totals(totals)
    yield ""
    if report is not None:
        yield from report.lines()

    yield from laid_out((*plan.lines(), *costs), WIDTH)


def _as_json(plan: Plan, report: Report | None) -> Iterator[str]:
    for value in (*(() if report is None else (report.as_json(),)), plan.as_json()):
        yield orjson.dumps(value).decode()
