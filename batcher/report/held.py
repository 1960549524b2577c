"""What held a run back, summed up over all its processes: as the summary keeps it, and in words.

Rule: shares are of the time that is counted, in which rows were in flight or to be read. Of a short
run, or one that many things held back a little, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from batcher.core.binding import Held
from batcher.report.text import plain

HELD_S_MIN = 10.0  # of a shorter run nobody wants to know
SHARE_MIN, ALSO_SHARE_MIN = 0.3, 0.1  # of the time


class HeldBack(msgspec.Struct, frozen=True):
    """One thing that held the run back, over all its processes."""

    by: str  # `submit limit`, `the service`, …
    limit: str | None  # as it is written, such as `300/m`
    seconds: float
    share: float  # of all seconds that are counted
    advice: str | None = None  # what would help


def held_back_of(held: Sequence[Held], before: Sequence[HeldBack]) -> tuple[HeldBack, ...]:
    """Add what held this process back to what did the ones *before*."""
    found = {one.by: one for one in before}
    for one in held:
        earlier_s = found[one.by].seconds if one.by in found else 0.0
        seconds = round(earlier_s + one.seconds, 3)
        found[one.by] = HeldBack(one.by, one.limit or None, seconds, 0.0, one.advice or None)

    total_s = sum(one.seconds for one in found.values())
    return tuple(
        msgspec.structs.replace(one, share=round(one.seconds / total_s, 4) if total_s else 0.0)
        for one in sorted(found.values(), key=lambda one: -one.seconds)
    )


def held_lines(held_back: Sequence[HeldBack]) -> Iterator[str]:
    """Yield what the run would have been faster without, and what a person could change."""
    if not held_back or held_back[0].share < SHARE_MIN:
        return

    first, *others = held_back
    limit = "" if first.limit is None else f" {plain(first.limit)}"
    also = "".join(
        f", {plain(one.by)} ({_percent(one.share)})"
        for one in others[:1]
        if one.share >= ALSO_SHARE_MIN
    )
    yield f"  held back by: {plain(first.by)}{limit} ({_percent(first.share)} of the time){also}"
    if first.advice is not None:
        yield f"  {plain(first.advice)}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
