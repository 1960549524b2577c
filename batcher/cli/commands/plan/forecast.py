"""From a manifest and settings to a plan: what `batcher plan` and `run --dry-run` have in common.

Rule: nothing is sent. What earlier runs learned of an API's jobs is read, if there is any.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import Random

from batcher.cli.commands.plan.pace import PAID_TIER, has_tiers
from batcher.core.backoff import Backoff
from batcher.core.forecast import Forecast, Limit, Work, forecast, jobs_of, with_room
from batcher.core.money import nanos
from batcher.core.pacing.rates import HOUR_S, Rate, parse_rate
from batcher.core.polling.durations import Durations
from batcher.core.polling.looking import LOOKS_IN_TIME, PAUSES_FACTOR
from batcher.core.settings import Frozen, Settings
from batcher.providers import Provider, provider_named
from batcher.providers.base import Files
from batcher.report.money import money_text
from batcher.report.plan import (
    ADVICE_MAX,
    Advice,
    Line,
    Plan,
    is_worth,
    late_warning,
    time_warning,
)
from batcher.report.text import count_text

SEED = 1  # the same manifest gives the same words
CLASSES_MAX = 1_000  # of jobs that are told apart; APIs have dozens
OTHERS = ""  # the class of all further ones
AUTO = "auto"


class Classes:
    """Counts the rows of a manifest by the class of their jobs."""

    def __init__(self, provider: Provider) -> None:
        self.rows: Counter[str] = Counter()
        self._provider = provider

    def add(self, line: int, values: Mapping[str, object], files: Files) -> None:
        """Take a row that can be used."""
        name = self._provider.job_class(values)
        known = name in self.rows or len(self.rows) < CLASSES_MAX
        self.rows[name if known else OTHERS] += 1


def learned_of(provider: Provider, base_url: str) -> Mapping[str, Durations]:
    """Return what earlier runs learned of the durations of this API's jobs, by class."""
    from batcher.adapters.learned import load

    return load(provider.facts.name, base_url)


def plan_of(
    provider: Provider,
    frozen: Frozen,
    settings: Settings,
    classes: Mapping[str, int],
    learned: Mapping[str, Durations],
    *,
    kinds: int = 0,
) -> Plan:
    """Return what is known of a run of so many rows of each class; *kinds* differ in price."""
    rows = sum(classes.values())
    jobs = rows if settings.max_jobs is None else min(rows, settings.max_jobs)
    work = work_of(provider, settings, jobs)
    work = replace(
        work,
        jobs=jobs_of(classes, learned),
        learned={name: learned[name] for name in classes if name in learned},
        prices=min(kinds, jobs),
    )
    outlook = forecast(work, Random(SEED))
    return Plan(
        work,
        outlook,
        tuple(_advice(work, outlook, provider, frozen, settings)),
        tuple(_warnings(work, outlook, provider, settings)),
        has_downloads=frozen.download is not None,
    )


def work_of(provider: Provider, settings: Settings, jobs: int) -> Work:
    """Return a number of jobs with the limits that hold for them."""
    limits = provider.limits()
    given = None if settings.rate == AUTO else settings.rate
    status = settings.status_rate or limits.status
    return Work(
        rows=jobs,
        submit=parse_rate(given or limits.submit or provider.facts.cautious_rate),
        status=None if status is None else parse_rate(status),
        in_flight=settings.in_flight,
        pauses=Backoff(provider.facts.first_look_s, PAUSES_FACTOR, provider.facts.look_cap_s),
        pause_max_s=settings.job_timeout_s / LOOKS_IN_TIME,
        calls=settings.webhook_url is not None,
        price=None if limits.price is None else parse_rate(limits.price),
    )


def cost_lines(provider: Provider, settings: Settings, jobs: int) -> Iterator[Line]:
    """Yield what the jobs cost by the user's own word; nobody is asked here."""
    each = settings.cost_per_job
    if each is None:
        return

    currency = None if provider.account is None else provider.account.currency
    cost = nanos(each)
    total, one = money_text(jobs * cost, currency), money_text(cost, currency)
    yield "cost", f"{total}: {count_text(jobs)} job{'' if jobs == 1 else 's'} at {one}"
    if settings.max_cost is not None and jobs * cost > nanos(settings.max_cost):
        yield (
            "",
            f"--max-cost stops the run before {money_text(nanos(settings.max_cost), currency)}",
        )


def asks_for_prices(provider: Provider, settings: Settings) -> bool:
    """Tell whether a run asks for the price of each kind of row."""
    wanted = settings.quote or settings.max_cost is not None
    return wanted and provider.account is not None and settings.cost_per_job is None


def _advice(
    work: Work, outlook: Forecast, provider: Provider, frozen: Frozen, settings: Settings
) -> Iterator[Advice]:
    """Yield the changes that help, the best first."""
    found = [
        Advice(change, forecast(changed, Random(SEED)))
        for change, changed in _changes(work, outlook, provider, frozen, settings)
    ]
    found = [advice for advice in found if is_worth(outlook, advice.outlook)]
    yield from sorted(found, key=lambda advice: advice.outlook.p50_s)[:ADVICE_MAX]


def _changes(
    work: Work, outlook: Forecast, provider: Provider, frozen: Frozen, settings: Settings
) -> Iterator[tuple[str, Work]]:
    """Yield what a person could do otherwise, helpful or not."""
    if settings.rate is None and has_tiers(provider, frozen.params):
        paid = provider_named(provider.facts.name, {**frozen.params, **PAID_TIER})
        theirs = work_of(paid, settings, work.rows)
        faster = replace(work, submit=theirs.submit, status=theirs.status, price=theirs.price)
        yield f"with a paid account --set tier={PAID_TIER['tier']}", faster

    if provider.callbacks is not None and not work.calls:
        yield "with webhooks (docs/webhooks.md)", replace(work, calls=True)

    room = with_room(work, outlook)
    if room.in_flight > work.in_flight:
        yield f"with --in-flight {room.in_flight}", room

    published = provider.limits()
    if settings.status_rate is not None:
        own = None if published.status is None else parse_rate(published.status)
        yield "without --status-rate", replace(work, status=own)

    if settings.rate not in (None, AUTO) and published.submit is not None:
        yield "without --rate", replace(work, submit=parse_rate(published.submit))


def _warnings(
    work: Work, outlook: Forecast, provider: Provider, settings: Settings
) -> Iterator[str]:
    """Yield what will not go as a person may think."""
    binding = outlook.binding
    if binding.days and binding.limit is Limit.STATUS:
        calls = provider.callbacks is not None and not work.calls
        or_calls = ", or turn webhooks on" if calls else ""
        reads = binding.said.replace("/d", " status reads a day")
        yield f"{reads}: {count_text(binding.days)} days{or_calls}"

    caps = [_longest_s(rate) for rate in (work.submit, work.status) if rate is not None]
    if binding.days and settings.max_wait_s < max(caps):
        yield "stops at each day's limit; resume goes on, and --max-wait 25h stays instead"

    yield from late_warning(work, settings.job_timeout_s)
    yield from time_warning(work, outlook, settings.max_duration_s, "--max-duration")
    by = settings.finish_by
    left_s = None if by is None else max(0.0, by - time.time())
    yield from time_warning(work, outlook, left_s, "--finish-by")


def _longest_s(rate: Rate) -> float:
    return max((window.period_s for window in rate.windows if window.period_s > HOUR_S), default=0)
