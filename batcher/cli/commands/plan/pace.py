"""What limits mean for a manifest, in words, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from batcher.core.pacing.rates import parse_rate
from batcher.core.settings import Settings
from batcher.providers import Provider, provider_named
from batcher.report.pace import Pace, pace_of

WORTH_S = 60.0  # less than this is no reason to advise anything
PAID_TIER = {"tier": "premium"}  # of an API that goes by tiers, and begins with the free one


def expected_pace(provider: Provider, submits: int, rate: str | None = None) -> Pace | None:
    """Return how long *submits* take at the *rate* given, or else at the provider's own."""
    published = provider.limits().submit or provider.facts.cautious_rate
    return pace_of(submits, parse_rate(rate or published))


def advice(
    pace: Pace | None,
    provider: Provider,
    params: Mapping[str, object],
    settings: Settings,
) -> Iterator[str]:
    """Yield what makes a long run shorter, and what becomes of one that is longer than a day."""
    if pace is None or pace.seconds < WORTH_S:
        return

    if settings.rate is None and has_tiers(provider, params):
        paid = provider_named(provider.facts.name, {**params, **PAID_TIER})
        faster = expected_pace(paid, pace.submits)
        if faster is not None and faster.seconds < pace.seconds:
            yield f"with a paid account --set tier={PAID_TIER['tier']}: {faster.took}"

    if pace.is_capped and settings.max_wait_s < pace.window.period_s:
        yield "stops at each day's limit; resume goes on, and --max-wait 25h stays instead"


def has_tiers(provider: Provider, params: Mapping[str, object]) -> bool:
    """Tell whether the API goes by tiers and nobody said which one is the account's."""
    return all(name in provider.facts.parameters and name not in params for name in PAID_TIER)
