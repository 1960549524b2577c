"""`batcher providers`: which APIs are known, and what each of them wants."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Any

import click
import msgspec

from batcher.core.errors import UsageError
from batcher.core.money import nanos
from batcher.providers import PROVIDERS, Facts, Provider, provider_named
from batcher.report.money import money_text

WIDTH = 78
INDENT = "    "
EPILOG = """\b
Examples:
  batcher providers
  batcher providers deapi
  batcher providers --json | jq '.[].key_env'
"""


@click.command(epilog=EPILOG)
@click.argument("name", required=False)
@click.option("--json", is_flag=True, help="One JSON array, one object for each provider.")
def command(name: str | None, json: bool) -> int:
    """List the APIs that are known, or say all about the one called NAME."""
    chosen = [_described(one) for one in ([name] if name else PROVIDERS)]
    if json:
        click.echo(msgspec.json.encode([_as_json(provider) for provider in chosen]))
        return 0

    blocks = [_all_about(p) if name else _in_short(p) for p in chosen]
    click.echo("\n\n".join("\n".join(block) for block in blocks))
    return 0


def _described(name: str) -> Provider:
    """Return a provider without parameters: for its facts, which need none."""
    if name not in PROVIDERS:
        raise UsageError(f"no provider {name!r}; known are: {', '.join(PROVIDERS)}")

    return provider_named(name, {})


def _in_short(provider: Provider) -> Iterator[str]:
    facts = provider.facts
    yield f"{facts.name}  {facts.title}"
    yield f"  key       {facts.key_env}"
    yield f"  needs     {', '.join(facts.required_settings) or 'nothing more'}"
    yield f"  limits    {_limits(provider)}"
    yield from _wrapped("  money     ", _money(provider))
    yield from _wrapped("  calls     ", _calls(provider))
    yield f"  docs      {facts.docs_url}"


def _all_about(provider: Provider) -> Iterator[str]:
    facts = provider.facts
    yield from _in_short(provider)
    yield f"  base URL  {facts.base_url}"
    yield from _wrapped("  doubt     ", facts.no_idempotency)
    if facts.required_settings:
        yield "\nRequired, in every row or by --set:"
        yield from _table(facts.required_settings)

    if facts.tasks:
        yield "\nTasks, and the parameters of each:"
        for name, about in facts.tasks.items():
            yield f"  {name}: {about}"
            takes = ", ".join(_takes(provider, name))
            yield from wrap(takes, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)

    yield "\nParameters: columns of the manifest, or --set KEY=VALUE for all rows:"
    yield from _table(facts.parameters)


def _table(lines: Any) -> Iterator[str]:
    width = max(map(len, lines), default=0)
    for name, text in lines.items():
        yield from _wrapped(f"  {name:<{width}}  ", text)


def _wrapped(head: str, text: str) -> list[str]:
    """Return *text* behind *head*, the lines after the first as far in."""
    return wrap(text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head))


def _takes(provider: Provider, task: str) -> list[str]:
    """Return the columns that a task sends; its images are not among them."""
    row = dict.fromkeys(provider.facts.parameters, 1) | {"task": task}
    return [name for name in provider.merged(row) if name != "task"]


def _money(provider: Provider) -> str:
    account = provider.account
    if account is None:
        return "tells neither prices nor balance; --cost-per-job takes their place"

    least = money_text(nanos(account.balance_min), account.currency)
    return f"tells prices and the balance; takes no submit below {least}"


def _calls(provider: Provider) -> str:
    if provider.callbacks is None:
        return "makes none, so jobs are polled"

    return "makes signed ones (webhooks): --webhook-listen with --webhook-url"


def _limits(provider: Provider) -> str:
    limits, facts = provider.limits(), provider.facts
    if facts.required_settings and limits.submit:  # without them it is the lowest of several
        by = " and ".join(word for word in ("task", "tier") if word in facts.parameters)
        return f"by {by}: submits {limits.submit} or more, status {limits.status} or more"

    submit = limits.submit or f"none published, submits are held to {facts.cautious_rate}"
    return f"{submit}; status {limits.status}" if limits.status else submit


def _as_json(provider: Provider) -> dict[str, object]:
    facts: Facts = provider.facts
    limits, account = provider.limits(), provider.account
    return {
        "name": facts.name,
        "title": facts.title,
        "base_url": facts.base_url,
        "key_env": facts.key_env,
        "docs_url": facts.docs_url,
        "parameters": dict(facts.parameters),
        "required_settings": dict(facts.required_settings),
        "tasks": {
            name: {"about": about, "parameters": _takes(provider, name)}
            for name, about in facts.tasks.items()
        },
        "limits": {"submit": limits.submit, "status": limits.status, "price": limits.price},
        "cautious_rate": facts.cautious_rate,
        "currency": None if account is None else account.currency,
        "balance_min": None if account is None else account.balance_min,
        "prices": account is not None,
        "webhooks": provider.callbacks is not None,
    }
