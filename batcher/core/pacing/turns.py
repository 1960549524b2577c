"""Turns: how long so many requests take at a rate, and how many it lets start in a time.

Rule: pure arithmetic, as if nothing had been sent before.
"""

from __future__ import annotations

from math import ceil, floor, inf

from batcher.core.pacing.rates import Rate


def turns_s(count: float, rate: Rate) -> tuple[float, int]:
    """Return how long *count* requests take at *rate*, and how many days' shares that is.

    Windows of up to an hour are spread evenly, a request's own spacing included; of a day's cap
    each share goes out as early as it may. 0 days: no day's cap makes anything wait.
    """
    longest, days = count * rate.interval_s, 0
    for cap in rate.day_caps:
        full = max(0, ceil(count) - 1) // int(cap.count)
        step_s = max(cap.period_s, cap.count * rate.interval_s)
        seconds = full * step_s + (count - full * cap.count) * rate.interval_s
        if full and seconds >= longest:
            is_cap = step_s == cap.period_s
            longest, days = seconds, full + 1 if is_cap else 0

    return longest, days


def turns_by(seconds: float, rate: Rate) -> float:
    """Return how many requests *rate* lets start within *seconds*."""
    spread = seconds / rate.interval_s if rate.interval_s else inf
    for cap in rate.day_caps:
        periods = floor(seconds / cap.period_s)
        rest_s = seconds - periods * cap.period_s
        rest = cap.count if not rate.interval_s else min(cap.count, rest_s / rate.interval_s)
        spread = min(spread, periods * cap.count + rest)

    return spread
