"""`batcher check`: every row parsed and validated, nothing spent.

Rule: no network, and nothing is loaded that could open one, unless `--preflight` asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click
import orjson
from click.core import ParameterSource

from batcher.cli.commands.check.survey import Finding, Totals, survey
from batcher.cli.exits import OK, SOME_ROWS
from batcher.cli.failure import say
from batcher.cli.flags.values import job_cost, one_of_each
from batcher.cli.flags.wishes import (
    ConfiguredCommand,
    base_url_option,
    key_file_option,
    limit_option,
    provider_option,
    quotes_option,
    set_option,
)
from batcher.core.errors import UsageError
from batcher.providers import Provider, provider_named
from batcher.providers.base import Files
from batcher.report.text import count_text, plain, rows_text

if TYPE_CHECKING:
    from batcher.cli.commands.check.preflight import Asker
    from batcher.cli.commands.check.preflight_report import Report

SHOWN_MAX = 20
EPILOG = """\b
Examples:
  batcher check photos.jsonl --provider removit
  batcher check scans/ --provider deapi --set task=ocr
  batcher check photos.jsonl --provider removit --json > problems.jsonl
  batcher check prompts.jsonl --provider deapi --preflight

Exit codes: 0 all rows are good; 3 some are bad; 2 the manifest cannot be read.
With --preflight also: 3 the API would refuse some, or the balance is too low;
2 the API refuses the key or cannot be reached. A warning changes nothing.
"""

# Flags that would do nothing without --preflight, if they stand in the command itself.
OF_PREFLIGHT = ("quotes", "cost_per_job", "base_url", "api_key_file")


@click.command(cls=ConfiguredCommand, epilog=EPILOG)
@click.argument("manifest")
@provider_option
@set_option
@limit_option
@click.option("--json", is_flag=True, help="One JSON object a line: all problems, then the totals.")
@click.option(
    "--preflight",
    is_flag=True,
    help="Ask the API too: does the key work, what do the models allow, what will it cost, is the "
    "balance enough. Spends nothing.",
)
@quotes_option
@click.option(
    "--cost-per-job",
    type=job_cost,
    metavar="AMOUNT",
    help="With --preflight: what a job costs, instead of asking.",
)
@key_file_option
@base_url_option
def command(manifest: str, **flags: Any) -> int:
    """Check every row of MANIFEST as `run` would, and say what is wrong with it.

    MANIFEST is JSONL, CSV, a text file of URLs or paths, a folder of images, or - for standard
    input; gzip is fine. Without --preflight nothing is sent and no key is needed.
    """
    provider = provider_named(flags["provider"], dict(one_of_each(flags["set"])))
    asker = _asker(provider, flags)
    if asker is None:
        return _check(manifest, provider, None, flags)

    return _check(manifest, asker.learn(), asker, flags)


def _asker(provider: Provider, flags: dict[str, Any]) -> Asker | None:
    if flags["preflight"]:
        from batcher.cli.commands.check.preflight import Asker

        return Asker(provider, flags)

    context = click.get_current_context()
    for name in OF_PREFLIGHT:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag}: does nothing without --preflight; give that too")

    return None


def _check(manifest: str, provider: Provider, asker: Asker | None, flags: dict[str, Any]) -> int:
    totals = Totals()
    usable = _no_matter if asker is None else asker.add
    findings = survey(manifest, provider, totals, limit=flags["limit"], usable=usable)
    for line in json_lines(findings) if flags["json"] else text_lines(findings, manifest):
        click.echo(line)

    if not totals.rows:
        say(f"warning: {plain(manifest)} has no rows")

    if not flags["json"]:
        click.echo(text_totals(totals))

    report = None if asker is None else asker.report(totals.good)
    if report is not None:
        _tell(report, is_json=flags["json"])

    if flags["json"]:
        click.echo(json_totals(totals))

    return SOME_ROWS if totals.bad or (report is not None and not report.is_good) else OK


def _no_matter(line: int, values: Mapping[str, object], files: Files) -> None:
    """Let a row that can be used pass."""


def _tell(report: Report, *, is_json: bool) -> None:
    for line in [_json(report.as_json())] if is_json else ["", *report.lines()]:
        click.echo(line)


def text_lines(findings: Iterator[Finding], manifest: str) -> Iterator[str]:
    """Yield where, field and message of the first findings, and how many more there are."""
    more = 0
    for number, finding in enumerate(findings):
        if number < SHOWN_MAX:
            yield text_of(finding, manifest)
        else:
            more += 1

    if more:
        yield f"… and {count_text(more)} more; --json prints them all"


def text_of(finding: Finding, manifest: str) -> str:
    """Return one finding as compilers write theirs."""
    where = f"{place_of(finding, manifest)}: "
    what = f"{plain(finding.field)}: " if finding.field else ""
    if not finding.warning:
        return f"{where}{what}{plain(finding.message, 500)}"

    rows = f" ({rows_text(finding.rows)})" if finding.rows > 1 else ""
    return f"{where}warning: {what}{plain(finding.message, 500)}{rows}"


def place_of(finding: Finding, manifest: str) -> str:
    """Return where it stands: `FILE:LINE`, `TABLE: row N (id ID)`, or `FOLDER: IMAGE`.

    A record of a table may span many lines, so its number is none that an editor knows.
    """
    source = plain(manifest, 500)
    match finding.unit:
        case "file":
            return f"{source}: {plain(finding.id or finding.line, 500)}"
        case "row":
            own = f" (id {plain(finding.id)})" if finding.has_own_id else ""
            return f"{source}: row {count_text(finding.line)}{own}"
        case _:
            return f"{source}:{finding.line}"


def text_totals(totals: Totals) -> str:
    """Return the last line: how many rows are good, and what is wrong with the others."""
    said = f"{rows_text(totals.rows)}: {count_text(totals.good)} good, {count_text(totals.bad)} bad"
    if totals.fields:
        kinds = (f"{plain(name)} {count_text(n)}" for name, n in totals.fields.most_common())
        said += f" ({', '.join(kinds)})"

    if not totals.warnings:
        return said

    return f"{said}, {count_text(totals.warnings)} warning{'s' if totals.warnings > 1 else ''}"


def json_lines(findings: Iterator[Finding]) -> Iterator[str]:
    """Yield each finding as a JSON object."""
    for finding in findings:
        yield _json(
            {
                "line": finding.line,
                "id": finding.id,
                "field": finding.field or None,
                "message": finding.message,
                "kind": "warning" if finding.warning else "invalid_row",
                "rows": finding.rows,
            }
        )


def json_totals(totals: Totals) -> str:
    """Return the totals as a JSON object, told apart by its `kind`."""
    return _json(
        {
            "kind": "totals",
            "rows": totals.rows,
            "good": totals.good,
            "bad": totals.bad,
            "warnings": totals.warnings,
            "fields": dict(totals.fields),
        }
    )


def _json(value: dict[str, Any]) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a lone surrogate in what the manifest says
        return orjson.dumps({key: _utf8(item) for key, item in value.items()}).decode()


def _utf8(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
