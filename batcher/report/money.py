"""Money as a person reads it, and the currency that a run's money is in.

Rule: an amount is shown with every digit that it has, because a price can be a thousandth of a
cent; and a currency is told only where the API has one.
"""

from __future__ import annotations

from batcher.core.errors import UsageError
from batcher.core.money import amount_text
from batcher.core.settings import Frozen
from batcher.providers import provider_named

DECIMALS_MIN = 2


def currency_of(frozen: Frozen) -> str | None:
    """Return the currency that a run's provider charges in, such as USD; None = it tells none."""
    try:
        account = provider_named(frozen.provider, frozen.params).account
    except UsageError:  # a run of an API that this batcher does not know; `resume` says so
        return None

    return None if account is None else account.currency


def money_text(value: int, currency: str | None = None) -> str:
    """Return nanos with at least two decimals: `1,234.50 USD`, `0.00136 USD`."""
    whole, _, decimals = amount_text(value).partition(".")
    unit = "" if currency is None else f" {currency}"
    return f"{int(whole):,}.{decimals.ljust(DECIMALS_MIN, '0')}{unit}"
