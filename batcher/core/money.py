"""Money as whole numbers: nanos, the thousand-millionth part of a provider's currency.

Rule: what is counted, kept and compared is nanos, because sums of floats drift and a price can be a
thousandth of a cent. Only what is read from an API and what is shown to a person are amounts.
"""

from __future__ import annotations

NANOS = 1_000_000_000  # in one unit of the currency; 64 bits hold nine thousand million units


def nanos(amount: float) -> int:
    """Return an amount in the currency's unit (such as 0.00136 USD) as nanos."""
    return round(amount * NANOS)


def amount(value: int) -> float:
    """Return nanos in the currency's unit."""
    return value / NANOS
