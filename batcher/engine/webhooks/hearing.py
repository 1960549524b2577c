"""Hearing: from the settings of a run to its claims, with a receiver behind them.

Rule: the address is taken before anything is submitted and given back after the last outcome. A run
without the two webhook flags has claims that never claim anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from batcher.core.errors import UsageError
from batcher.core.journal import Journal
from batcher.core.log import Log
from batcher.core.settings import Settings
from batcher.engine.clock import Clock
from batcher.engine.keyring import Keyring
from batcher.engine.notices import Notices
from batcher.engine.webhooks.claims import Claims
from batcher.providers.base import Provider


@asynccontextmanager
async def hearing(
    provider: Provider,
    journal: Journal,
    keyring: Keyring,
    settings: Settings,
    *,
    make_id: Callable[[], str],
    log: Log,
    notices: Notices,
) -> AsyncIterator[Claims]:
    """Give the claims of a run and, with both webhook flags, receive calls until the block ends.

    *make_id* gives a text that no other run has; it is asked once in the life of a run. Raises
    `UsageError` if the API makes no calls, or the address to listen at cannot be had.
    """
    if settings.webhook_listen is None or settings.webhook_url is None:
        yield Claims()
        return

    if provider.callbacks is None:
        raise UsageError(f"--webhook-listen: {provider.facts.title} makes no calls")

    # A server for HTTP, which few runs need.
    from batcher.adapters.webhooks import receiving
    from batcher.engine.webhooks.opening import open_claims
    from batcher.engine.webhooks.reports import CallReports

    reports = CallReports(log, notices)
    claims = open_claims(
        provider.callbacks,
        journal,
        keyring,
        settings,
        make_id=make_id,
        reports=reports,
        clock=Clock(),
    )
    async with receiving(settings.webhook_listen, claims.take) as address:
        log.info("webhook.listening", address=address)
        yield claims
