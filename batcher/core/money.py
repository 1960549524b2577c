"""Money as whole numbers: nanos, the thousand-millionth part of a provider's currency.

Rule: what is counted, kept and compared is nanos, because sums of floats drift and a price can be a
thousandth of a cent. Only what is read from an API and what is shown to a person are amounts.
"""

from __future__ import annotations

from math import isfinite

NANOS = 1_000_000_000  # in one unit of the currency; 64 bits hold nine thousand million units

JOB_COST_MAX = 1_000.0  # an amount beyond is a mistake of whoever said it


def nanos(amount: float) -> int:
    """Return an amount in the currency's unit (such as 0.00136 USD) as nanos."""
    return round(amount * NANOS)


def amount(value: int) -> float:
    """Return nanos in the currency's unit."""
    return value / NANOS


def job_cost(said: float | None) -> int | None:
    """Return what an API says that one job costs as nanos; None = nothing that can be meant."""
    if said is None or not isfinite(said) or not 0 <= said <= JOB_COST_MAX:
        return None

    return nanos(said)


def amount_text(value: int) -> str:
    """Return nanos as a person writes an amount: `0.0179`, `5`."""
    return f"{value / NANOS:.9f}".rstrip("0").rstrip(".")
