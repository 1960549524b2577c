"""Readers of foreign bytes: whatever comes, they return, or raise what they say they raise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutation import BYTES_MAX, EDITS_MAX, TOKENS, edited, hunt, mutant
from tests.fuzz.readers import READERS
from tests.fuzz.seeds import FINDINGS, seeds_of

every_reader = pytest.mark.parametrize("name", READERS)

EDITS = st.lists(
    st.tuples(
        st.integers(0, BYTES_MAX),
        st.sampled_from([0, 1, 4, 200]),
        st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8)),
    ),
    max_size=EDITS_MAX,
)


@every_reader
def test_seeds_and_findings_are_read(name: str) -> None:
    """What is real is read, and what once broke a reader does so no more."""
    for seed in seeds_of(name):
        READERS[name](seed)


@every_reader
@settings(max_examples=settings().max_examples // 4)  # there are many readers
@given(data=st.data())
def test_noise_breaks_no_reader(name: str, data: st.DataObject) -> None:
    """Bytes at random, and real ones with some edits: no error but the documented one."""
    seeds = st.sampled_from(seeds_of(name))
    noise = st.one_of(st.builds(edited, seeds, EDITS), st.binary(max_size=400))
    READERS[name](data.draw(noise))


@every_reader
def test_mutants_break_no_reader(name: str) -> None:
    """A few hundred of the numbered mutants that `make fuzz` goes on with."""
    found = hunt(READERS[name], seeds_of(name), range(300))
    assert found is None, f"python -m tests.fuzz {name} --replay {found.number}: {found.error!r}"


def test_a_broken_reader_is_found_and_replayed() -> None:
    """The control: a fault that needs an edit is hit, and its number gives the same bytes."""

    def breaks(data: bytes) -> None:
        if b"\x1b[2J" in data:
            raise ZeroDivisionError

    seeds = seeds_of("deapi")
    found = hunt(breaks, seeds, range(5_000))
    assert found is not None
    assert isinstance(found.error, ZeroDivisionError)
    assert mutant(seeds, found.number) == found.data


def test_findings_belong_to_readers() -> None:
    """No finding is kept under a name that nobody reads."""
    assert set(FINDINGS) <= set(READERS)
