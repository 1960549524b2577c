"""The dialects, listed by hand. Adding an API: one file here, recorded payloads, one line below."""

from __future__ import annotations

from collections.abc import Mapping

from batcher.core.errors import UsageError
from batcher.providers.base import Facts, Provider
from batcher.providers.deapi.dialect import DeApi
from batcher.providers.removit.dialect import Removit

PROVIDERS: dict[str, type[Provider]] = {
    "removit": Removit,
    "deapi": DeApi,
}

__all__ = ["PROVIDERS", "Facts", "Provider", "provider_named"]


def provider_named(name: str, params: Mapping[str, object]) -> Provider:
    """Return the dialect *name* with the run's own parameters (`--set`).

    Raises `UsageError` for an unknown name and for a parameter that no row could be sent with.
    """
    if name not in PROVIDERS:
        raise UsageError(f"no provider {name!r}; known are: {', '.join(PROVIDERS)}")

    return PROVIDERS[name](params)
