"""Money as a person reads it."""

from __future__ import annotations

import pytest

from batcher.core.settings import Frozen
from batcher.report.money import currency_of, money_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (1, "0.000000001"),
        (1_360_000, "0.00136"),
        (5_000_000_000, "5.00"),
        (1_234_500_000_000, "1,234.50"),
        (10_000_000_000, "10.00"),
    ],
)
def test_an_amount_has_every_digit(value: int, text: str) -> None:
    """Two decimals, or as many as it has; the currency only where there is one."""
    assert money_text(value) == text
    assert money_text(value, "USD") == f"{text} USD"


@pytest.mark.parametrize(
    ("provider", "params", "currency"),
    [
        ("removit", {}, None),  # it tells no price at all
        ("deapi", {"task": "ocr"}, "USD"),
        ("deapi", {"task": "no such task"}, None),
        ("unheard-of", {}, None),
    ],
)
def test_the_currency_is_the_providers(
    provider: str, params: dict[str, object], currency: str | None
) -> None:
    """Where the run's API has one; a run that cannot be read for it is no reason to say nothing."""
    run = Frozen(provider=provider, base_url="https://a.example", manifest="-", params=params)
    assert currency_of(run) == currency
