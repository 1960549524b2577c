"""What several workers cannot share: told before anything is made.

Rule: a limit over the whole run holds over all workers together, or the run is not begun. Rates,
places in flight, connections, jobs and money are shared out in parts; what would take one desk at
which all workers ask (prices, a day's count, duplicates, credits, the receiver of calls, a rate
that is found out) is for one process.
"""

from __future__ import annotations

from batcher.core.money import nanos
from batcher.core.pacing.rates import Rate
from batcher.core.settings import Frozen, Settings
from batcher.core.shards import divides
from batcher.engine.lanes.paces import AUTO, paces_of
from batcher.providers.base import Provider

STDIN = "-"


def cannot_share(frozen: Frozen, settings: Settings, provider: Provider, parts: int) -> str | None:
    """Return why so many workers cannot do this run, as one line; None = they can."""
    if frozen.manifest == STDIN:
        return "standard input can be read by one process only; save the rows to a file"

    flag = next((flag for flag, is_set in _alone(settings) if is_set), None)
    if flag is not None:
        return f"{flag} is counted by one process only; leave out {flag}, or use --workers 1"

    return (
        _of_counts(settings, parts)
        or _of_money(settings, parts)
        or _of_rates(settings, provider, parts)
    )


def _alone(settings: Settings) -> list[tuple[str, bool]]:
    return [
        ("--quote", settings.quote),
        ("--on-doubt resubmit", settings.on_doubt == "resubmit"),
        ("--wait-for-credits", settings.wait_for_credits),
        ("--webhook-listen", settings.webhook_listen is not None),
        ("--rate auto", settings.rate == AUTO),
        ("--connections auto", settings.connections == AUTO),
    ]


def _of_counts(settings: Settings, parts: int) -> str | None:
    for flag, count in (
        ("--in-flight", settings.in_flight),
        ("--connections", settings.connections_max),
        ("--max-jobs", settings.max_jobs),
    ):
        if count is not None and count < parts:
            return f"{flag} {count} is less than one for each of {parts} workers"

    return None


def _of_money(settings: Settings, parts: int) -> str | None:
    cost, each = settings.max_cost, settings.cost_per_job
    if cost is None:
        return None

    if each is None:
        return (
            "--max-cost: prices are asked for by one process only; say what a job costs "
            "(--cost-per-job), or use --workers 1"
        )

    if nanos(cost) // parts < nanos(each):
        return f"--max-cost {cost:g} is less than one job for each of {parts} workers"

    return None


def _of_rates(settings: Settings, provider: Provider, parts: int) -> str | None:
    if settings.rate == AUTO:
        return None

    paces = paces_of(settings, provider)
    named: list[tuple[str, Rate | None]] = [
        ("submits", paces.submit),
        ("status reads", paces.status),
        ("all requests", paces.total),
    ]
    for what, rate in named:
        if rate is not None and rate.day_caps:
            return (
                f"the limit of {what}, {rate}, counts days, which one process does; --workers 1 is "
                "enough for it"
            )

        if not divides(rate, parts):
            return f"the limit of {what}, {rate}, is less than one for each of {parts} workers"

    return None
