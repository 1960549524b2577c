"""`--fail-on`: from how many rows on a finished run counts as failed.

Rule: read strictly, because a condition that silently never holds lets a bad night pass. Counts are
those of the whole run, shares those of its rows, and the arithmetic is exact.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # what it takes to judge a run is not needed to print `--help`
    from batcher.report.summary import Summary

COUNTS = ("failed", "exhausted", "in_doubt", "pending")
FORM = "write 'failed>1%' or 'in_doubt>0', in quotes, because the shell reads > as its own"
SHARE_MAX = 100

_CONDITION = re.compile(r"([A-Za-z_-]+) *> *([0-9]{1,12}(?:\.[0-9]{1,6})?) *(%?)")


@dataclass(frozen=True, slots=True)
class Condition:
    """More rows of one kind than a limit: a number of rows, or a percentage of all rows."""

    count: str  # one of COUNTS, a field of the summary
    limit: Fraction
    is_share: bool
    text: str  # as it was written

    def holds(self, summary: Summary) -> bool:
        """Return whether a run came to this. Of a run without rows no share is above anything."""
        found = int(getattr(summary, self.count))
        if self.is_share:
            return found * SHARE_MAX > self.limit * summary.rows

        return found > self.limit

    def told(self, summary: Summary) -> str:
        """Return what was found, for a person."""
        found = int(getattr(summary, self.count))
        return f"{self.text}: {found:,} of {summary.rows:,} rows"


def conditions(value: Any) -> tuple[Condition, ...]:
    """Read `failed>1%`, or several joined by commas. Raises `click.BadParameter`."""
    return tuple(_condition(part.strip()) for part in str(value).split(","))


def _condition(text: str) -> Condition:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text[:80]!r} is no condition: {FORM}")

    count, number, percent = found.groups()
    if count not in COUNTS:
        near = difflib.get_close_matches(count.lower().replace("-", "_"), COUNTS, 1)
        mend = f"did you mean {near[0]}?" if near else f"there are {', '.join(COUNTS)}"
        raise click.BadParameter(f"{text[:80]!r}: {count[:40]} is no count; {mend}")

    limit = Fraction(number)
    if not percent and limit.denominator != 1:
        raise click.BadParameter(f"{text!r}: rows are whole; write a whole number, or add %")

    if percent and limit >= SHARE_MAX:
        raise click.BadParameter(f"{text!r} never holds: no run has more than all of its rows so")

    return Condition(count, limit, bool(percent), text)


def that_hold(wanted: Iterable[Condition], summary: Summary) -> list[Condition]:
    """Return the conditions that a run came to."""
    return [condition for condition in wanted if condition.holds(summary)]
