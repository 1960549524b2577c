"""Whether an API's own calls could have told a run more than it knows."""

from __future__ import annotations

from batcher.core.errors import UsageError
from batcher.core.settings import Frozen, Settings
from batcher.providers import provider_named


def could_be_called(frozen: Frozen, settings: Settings) -> bool:
    """Tell whether the API of a run makes calls (webhooks), and the run goes without them."""
    if settings.webhook_listen is not None:
        return False

    try:
        return provider_named(frozen.provider, frozen.params).callbacks is not None
    except UsageError:  # a run of an API that this batcher does not know; `resume` says so
        return False
