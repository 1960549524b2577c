"""Which shard a row belongs to, and which part of a limit a worker has."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.pacing.rates import Rate, Window, parse_rate
from batcher.core.shards import divides, part_of, rate_part, shard_of


def test_a_row_stays_where_it_is() -> None:
    """The shard of an id is a promise to every run that was ever begun: these never change."""
    ids = ("a", "sku-7", "row-0123456789abcdef", "größe", "x" * 512)
    assert [shard_of(row_id, 3) for row_id in ids] == [2, 1, 0, 0, 0]
    assert [shard_of(row_id, 7) for row_id in ids] == [2, 6, 2, 0, 1]


@given(st.text(), st.integers(1, 64))
def test_every_id_has_a_shard(row_id: str, shards: int) -> None:
    """Any text has one of the shards, the same each time."""
    assert 0 <= shard_of(row_id, shards) == shard_of(row_id, shards) < shards


@given(st.from_regex(r"row-[0-9a-f]{16}", fullmatch=True), st.integers(2, 99), st.integers(1, 8))
def test_copies_of_a_derived_id_meet(derived: str, copy: int, shards: int) -> None:
    """`row-…-2` and a line whose own id reads so are judged beside the row they were named for."""
    home = shard_of(derived, shards)
    assert shard_of(f"{derived}-{copy}", shards) == home
    assert shard_of(f"{derived}-{copy}-2", shards) == home


def test_rows_are_shared_out_evenly() -> None:
    """Of many rows each shard has about as many as any other: the slowest decides when all end."""
    found = Counter(shard_of(f"sku-{n}", 4) for n in range(8_000))
    assert max(found.values()) < 1.1 * min(found.values())


@given(st.integers(0, 10_000), st.integers(1, 64))
def test_parts_add_up(count: int, shards: int) -> None:
    """No place in flight is lost or given twice, and no part is more than one above another."""
    parts = [part_of(count, shard, shards) for shard in range(shards)]
    assert sum(parts) == count
    assert max(parts) - min(parts) <= 1


@given(
    st.lists(st.builds(Window, st.integers(1, 10_000), st.sampled_from((1.0, 60.0))), max_size=2),
    st.integers(1, 64),
)
def test_parts_of_a_limit_never_exceed_it(windows: list[Window], parts: int) -> None:
    """In every window all parts together may start at most what the limit allows."""
    rate = Rate(tuple(windows))
    part = rate_part(rate, parts)
    assert part is not None
    if divides(rate, parts):
        for window, own in zip(rate.windows, part.windows, strict=True):
            assert own.count == int(own.count) >= 1
            assert own.count * parts <= window.count
            assert own.period_s == window.period_s


@pytest.mark.parametrize(
    ("text", "parts", "told"),
    [("300/m", 2, "150/m"), ("5/s", 2, "2/s"), ("300/m,7/s", 3, "100/m,2/s"), ("9/s", 1, "9/s")],
)
def test_a_part_is_written_like_a_limit(text: str, parts: int, told: str) -> None:
    """What does not divide is left over: less than the limit, never more."""
    assert str(rate_part(parse_rate(text), parts)) == told


def test_no_limit_has_no_parts() -> None:
    """None stays None."""
    assert rate_part(None, 3) is None
    assert divides(None, 3)
    assert not divides(parse_rate("1/s"), 2)
