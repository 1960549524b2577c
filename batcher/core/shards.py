"""Shards: the rows of one run in several parts, each with a process and a journal of its own.

Rule: the id alone says to which shard a row belongs, so it is the same in every process and for
ever. Rows that must meet do meet: two lines of one id, and all copies of a content whose id was
derived from it (`row-0f…`, `row-0f…-2`, …).

A limit is shared out in whole counts: what all parts start in one window is at most what the limit
allows, whatever they do, because each keeps its own part of it.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from batcher.core.pacing.rates import Rate, Window

TWIN = re.compile(r"(row-[0-9a-f]{16})(?:-[0-9]+)+")  # a copy of a row whose id was derived


def shard_of(row_id: str, shards: int) -> int:
    """Return the shard of a row, from 0."""
    twin = TWIN.fullmatch(row_id) if row_id.startswith("row-") else None
    known = row_id if twin is None else twin[1]
    digest = blake2b(known.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % shards


def part_of(count: int, shard: int, shards: int) -> int:
    """Return one shard's part of a whole number; all parts add up to it."""
    return (count + shards - 1 - shard) // shards


def rate_part(rate: Rate | None, parts: int) -> Rate | None:
    """Return one of so many equal parts of a limit; None = no limit.

    What does not divide is left over. Where there is less than one request for each part, each has
    its turn so many windows apart.
    """
    if rate is None or parts == 1:
        return rate

    return Rate(tuple(_window_part(window, parts) for window in rate.windows))


def divides(rate: Rate | None, parts: int) -> bool:
    """Whether every window has at least one request for each part."""
    return rate is None or all(window.count >= parts for window in rate.windows)


def _window_part(window: Window, parts: int) -> Window:
    whole = window.count // parts
    return Window(whole if whole >= 1 else window.count / parts, window.period_s)
