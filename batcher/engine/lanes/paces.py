"""What each lane is held to at its start: the flag, or what the provider publishes.

Rule: a flag replaces what is published for its lane, and what it says is the user's own: nothing
that an API tells makes it looser. `auto` starts at the published limit and never goes above it;
where none is published it starts at our cautious rate and has no ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass

from batcher.core.pacing.rates import Rate, parse_rate
from batcher.core.settings import Settings
from batcher.providers.base import Provider

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Paces:
    """The rates of a run's lanes before the first answer; None = no limit."""

    submit: Rate | None
    status: Rate | None
    total: Rate | None  # of both together
    seek_from: float | None = None  # submits a second, with `auto`
    submit_is_published: bool = False
    status_is_published: bool = False

    @property
    def ceiling_per_s(self) -> float:
        """What submits may come to at most; infinite where nobody says."""
        interval_s = 0.0 if self.submit is None else self.submit.interval_s
        return 1.0 / interval_s if interval_s else float("inf")


def paces_of(settings: Settings, provider: Provider) -> Paces:
    """Return the rates that a run begins with. Raises `UsageError` for a rate that is none."""
    published = provider.limits()
    cautious = parse_rate(provider.facts.cautious_rate)
    is_auto = settings.rate == AUTO
    flag = None if is_auto else settings.rate
    submit = rate_of(flag or published.submit)
    start = submit if submit is not None and submit.interval_s else cautious
    return Paces(
        submit=submit if submit is not None or is_auto else cautious,
        status=rate_of(settings.status_rate or published.status),
        total=rate_of(published.total),
        seek_from=1.0 / start.interval_s if is_auto else None,
        submit_is_published=flag is None,
        status_is_published=settings.status_rate is None,
    )


def rate_of(text: str | None) -> Rate | None:
    """Read a rate; None = no limit."""
    return None if text is None else parse_rate(text)
