"""Settings that are fine one by one and cannot be meant together.

Rule: told at the start, before a key is read or anything is made. A limit that would silently hold
nothing costs money, and a receiver that nobody calls costs time.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from batcher.cli.failure import say
from batcher.cli.flags.origin import is_loopback
from batcher.core.errors import UsageError
from batcher.core.settings import Frozen, Settings
from batcher.providers import Provider, provider_named


def refuse_contradictions(frozen: Frozen, settings: Settings) -> None:
    """Raise `UsageError` if a run of these settings is not what anybody can want."""
    provider = provider_named(frozen.provider, frozen.params)
    _refuse_unknown_prices(provider, settings)
    _refuse_half_webhooks(settings)
    _refuse_idle_wait(settings)
    if settings.webhook_url is not None:
        _refuse_silent_api(provider, frozen)
        _refuse_unreachable(settings.webhook_url, frozen.base_url)

    if frozen.shards is not None and frozen.shard is None:
        from batcher.cli.workers.number import refuse_unshared

        refuse_unshared(frozen, settings)

    if settings.variants and frozen.download is None:
        say("warning: --variants chooses among files, and nothing is fetched without --download")

    if settings.on_doubt == "resubmit" and not settings.max_duplicates:
        say("warning: --on-doubt resubmit sends nothing again without --max-duplicates N")


def _refuse_unknown_prices(provider: Provider, settings: Settings) -> None:
    if provider.account is not None or settings.cost_per_job is not None:
        return

    title = provider.facts.title
    if settings.max_cost is not None:
        raise UsageError(
            f"--max-cost: {title} quotes no price, so there is nothing to count; say what a job "
            "costs with --cost-per-job AMOUNT"
        )

    if settings.quote:
        raise UsageError(
            f"--quote: {title} quotes no price; say what a job costs with --cost-per-job AMOUNT"
        )


def _refuse_half_webhooks(settings: Settings) -> None:
    if (settings.webhook_listen is None) == (settings.webhook_url is None):
        return

    if settings.webhook_url is None:
        raise UsageError(
            "--webhook-listen: needs --webhook-url too, the https address by which the API reaches "
            "it"
        )

    raise UsageError(
        "--webhook-url: needs --webhook-listen HOST:PORT too, where its calls are received"
    )


def _refuse_idle_wait(settings: Settings) -> None:
    """Refuse `--claim-wait` in the command itself where no call can come.

    In the environment or `batcher.toml` it may be meant for other runs.
    """
    context = click.get_current_context(silent=True)
    if context is None or settings.webhook_listen is not None:
        return

    if context.get_parameter_source("claim_wait") is ParameterSource.COMMANDLINE:
        raise UsageError(
            "--claim-wait: does nothing without --webhook-listen and --webhook-url; give those too"
        )


def _refuse_silent_api(provider: Provider, frozen: Frozen) -> None:
    if provider.callbacks is not None:
        return

    title = provider.facts.title
    for key, value in frozen.params.items():
        others = {name: frozen.params[name] for name in frozen.params if name != key}
        if provider_named(frozen.provider, others).callbacks is not None:
            said = value if isinstance(value, str) else json.dumps(value)
            raise UsageError(
                f"--webhook-listen: {title} makes no signed calls with --set {key}={said}; leave "
                "out the one or the other"
            )

    raise UsageError(
        f"--webhook-listen: {title} makes no calls; leave out the webhook flags, jobs are polled"
    )


def _refuse_unreachable(webhook_url: str, base_url: str) -> None:
    if is_loopback(webhook_url) and not is_loopback(base_url):
        host = urlsplit(webhook_url).hostname
        raise UsageError(
            f"--webhook-url: {host} is this machine itself, where the API cannot reach it; write "
            "the public address of your proxy or tunnel"
        )
