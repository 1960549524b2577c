"""Ages and marks: what is derived and measured, whatever clocks and keys do."""

from __future__ import annotations

from math import inf

import orjson
import pytest

from batcher.core.errors import StorageError
from batcher.core.exchange import Request
from batcher.engine.clock import LoopClock
from batcher.engine.doubt.ages import Ages
from batcher.engine.doubt.marks import FACT, Marks
from batcher.providers import provider_named
from batcher.providers.marks import in_field, in_header
from tests.support.askable import AskableDialect

pytestmark = pytest.mark.virtual


@pytest.mark.parametrize(
    ("jump_s", "least_s", "most_s"),
    [
        (0.0, 100.0, 100.0),
        (3_600.0, 100.0, 3_700.0),
        (-50.0, 50.0, 100.0),
        (-3_600.0, -3_500.0, inf),
    ],
)
async def test_a_jump_of_the_clock_never_makes_an_attempt_look_safe(
    jump_s: float, least_s: float, most_s: float
) -> None:
    """Old enough for a proof and young enough for a key is only what is so by both clocks."""
    clock = LoopClock()
    ages = Ages(clock)
    at = clock.wall() - 100.0
    clock._start += jump_s

    assert ages.least_s(at) == pytest.approx(least_s)
    assert ages.most_s(at) == pytest.approx(most_s)


class Facts:
    """The facts of a journal, and nothing else of it."""

    def __init__(self) -> None:
        self.facts: dict[str, str] = {}

    def fact(self, key: str) -> str | None:
        """Return one."""
        return self.facts.get(key)

    def note(self, facts: dict[str, str]) -> None:
        """Keep some."""
        self.facts |= facts


def marks_of(facts: Facts, at: float, *, key: bool = True, listed: bool = True) -> Marks:
    """Return the marks of a process that begins at a time."""
    plain = provider_named("removit", {})
    dialect = AskableDialect(plain, 60.0 if key else None, 60.0 if listed else None)
    return Marks.of(dialect, facts, lambda: f"secret {at}", at)  # type: ignore[arg-type]  # fakes


def test_a_mark_is_the_same_in_every_process_and_differs_for_every_attempt() -> None:
    """It follows from the journal's secret, the row and the attempt, and it is hexadecimal."""
    facts = Facts()
    first, second = marks_of(facts, 1.0), marks_of(facts, 2.0)
    attempts = [(n, generation) for n in range(1, 30) for generation in range(1, 30)]
    made = [first.of_attempt(*attempt) for attempt in attempts]

    assert made == [second.of_attempt(*attempt) for attempt in attempts]
    assert len(set(made)) == len(made)
    assert all(len(mark) == 32 and int(mark, 16) >= 0 for mark in made)
    assert marks_of(Facts(), 3.0).of_attempt(1, 1) != made[0]


def test_without_means_there_is_no_mark_and_no_fact() -> None:
    """Removit and deAPI: nothing is written, and requests are what they were."""
    facts, request = Facts(), Request("POST", "/x", json=b"{}")
    marks = marks_of(facts, 1.0, key=False, listed=False)

    assert facts.facts == {}
    assert marks.put(request, 1, 1) is request


def test_a_means_that_comes_back_begins_anew() -> None:
    """What was sent in between carried no mark of it."""
    facts = Facts()
    marks_of(facts, 1.0)
    marks_of(facts, 2.0, listed=False)
    marks_of(facts, 3.0)

    kept = orjson.loads(facts.facts[FACT])
    assert (kept["key_since"], kept["list_since"]) == (1.0, 3.0)


def test_a_damaged_secret_is_told() -> None:
    """With another one every key would be new, and every row in doubt a second job."""
    facts = Facts()
    facts.facts[FACT] = "{"
    with pytest.raises(StorageError, match="its marks"):
        marks_of(facts, 1.0)


def test_a_mark_travels_in_a_header_or_a_field() -> None:
    """The rest of the request stays as it is, and so the same attempt is the same request."""
    plain = Request("POST", "/x", json=b'{"a":1}')
    form = Request("POST", "/x", form=(("a", "1"),))

    assert in_header("Key")(plain, "m").headers == (("Key", "m"),)
    assert in_header("Key")(plain, "m").json == plain.json
    assert orjson.loads(in_field("ref")(plain, "m").json or b"") == {"a": 1, "ref": "m"}
    assert in_field("ref")(form, "m").form == (("a", "1"), ("ref", "m"))
