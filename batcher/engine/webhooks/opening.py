"""From the settings of a run to claims that take calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from batcher.core.errors import StorageError
from batcher.core.journal import Journal
from batcher.core.settings import Settings
from batcher.engine.clock import Clock
from batcher.engine.keyring import Keyring
from batcher.engine.webhooks.addresses import Addresses, run_identity
from batcher.engine.webhooks.attempts import Attempts
from batcher.engine.webhooks.calls import WebhookClaims
from batcher.engine.webhooks.registrar import KEPT
from batcher.engine.webhooks.reports import CallReports
from batcher.providers.base import Callbacks

Attempt = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,17}-[0-9]{1,9}$")]  # `key_of`


def open_claims(
    callbacks: Callbacks,
    journal: Journal,
    keyring: Keyring,
    settings: Settings,
    *,
    make_id: Callable[[], str],
    reports: CallReports,
    clock: Clock,
) -> WebhookClaims:
    """Return the claims of a run whose settings have both webhook flags."""
    assert settings.webhook_url is not None  # noqa: S101  # the caller has looked
    return WebhookClaims(
        callbacks,
        Addresses(settings.webhook_url, keyring, run_identity(journal, make_id)),
        Attempts(kept_claims(journal.fact(KEPT))),
        reports,
        clock,
        wait_s=settings.claim_wait_s,
        held_max=_held_max(settings),
    )


def kept_claims(fact: str | None) -> dict[str, str]:
    """Return the jobs that an earlier process kept, by attempt.

    Raises `StorageError` if they are not as they were written.
    """
    try:
        return msgspec.json.decode(fact or "{}", type=dict[Attempt, str])
    except msgspec.MsgspecError as error:
        raise StorageError(f"the journal is corrupt: its claims: {error}") from error


def _held_max(settings: Settings) -> int:
    """Return how many rows may wait for a call, with their slots, while others are submitted.

    Half of them, since a row can be taken out of doubt again; all of them where a row that does not
    wait is submitted again, and perhaps paid twice.
    """
    resubmits = settings.on_doubt == "resubmit"
    return settings.in_flight if resubmits else settings.in_flight // 2
