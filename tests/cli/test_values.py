"""What a person writes as a value means what it says, and anything else is told how to look."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.cli.flags.origin import checked_base_url
from batcher.cli.flags.values import (
    AMOUNT_MAX,
    CLAIM_WAIT_S_MAX,
    NONE,
    amount,
    claim_wait,
    count,
    duration,
    failure_limit,
    instant,
    job_cost,
    json_or_text,
    key_value,
    names,
    one_of_each,
    or_auto,
    or_none,
    rate,
    some_size,
    some_time,
    whole_number,
)
from batcher.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15m", 900),
        ("30s", 30),
        ("2h", 7_200),
        ("1d", 86_400),
        ("1h30m", 5_400),
        ("500ms", 0.5),
        ("1.5h", 5_400),
        ("90", 90),
        ("0", 0),
        (" 15M ", 900),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_durations(text: Any, seconds: float) -> None:
    """A duration is a number with a unit, several of them, or plain seconds."""
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "15 m", "-1", "m", "1m2", "1e3", "inf", "nan", True, float("inf"), [1]]
)
def test_what_is_no_duration(text: Any) -> None:
    """Anything else is refused, with an example."""
    with pytest.raises(click.BadParameter, match="write 15m"):
        duration(text)


def test_a_size_of_nothing() -> None:
    """No result file would be small enough for it."""
    assert some_size("1kB") == 1_000
    with pytest.raises(click.BadParameter, match="write 200MB"):
        some_size("0")


@pytest.mark.parametrize("text", ["0", "0s", 0, 0.0])
def test_a_time_of_nothing(text: Any) -> None:
    """A time-out of nothing would put every row in doubt."""
    assert some_time("1ms") == 0.001
    with pytest.raises(click.BadParameter, match="no time at all: write 15m"):
        some_time(text)


def test_auto_is_named_where_it_is_taken() -> None:
    """Whoever mistypes it is told of it."""
    assert or_auto(count)(" Auto ") == "auto"
    with pytest.raises(click.BadParameter, match="or write auto"):
        or_auto(count)("atuo")


NOON = datetime(2026, 11, 22, 12, 0).timestamp()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("18:30", datetime(2026, 11, 22, 18, 30)),
        ("06:00", datetime(2026, 11, 23, 6, 0)),
        ("6:00", datetime(2026, 11, 23, 6, 0)),
        ("12:00", datetime(2026, 11, 23, 12, 0)),
        ("12:00:01", datetime(2026, 11, 22, 12, 0, 1)),
        ("2026-12-01T05:00", datetime(2026, 12, 1, 5, 0)),
        ("2026-12-01T05:00:00+00:00", datetime.fromisoformat("2026-12-01T05:00:00+00:00")),
        ("2026-12-01T05:00:00Z", datetime.fromisoformat("2026-12-01T05:00:00+00:00")),
    ],
)
def test_a_time_is_the_next_such_time_here(text: str, expected: datetime) -> None:
    """A clock time is today's or tomorrow's, an ISO time is what it says."""
    assert instant(text, lambda: NOON) == expected.timestamp()


def test_tomorrow_at_six_is_at_six_when_the_clocks_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day of 25 hours does not move the time."""
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    try:
        evening = datetime.fromisoformat("2026-10-24T20:00:00+02:00").timestamp()
        expected = datetime.fromisoformat("2026-10-25T06:00:00+01:00").timestamp()
        assert instant("06:00", lambda: evening) == expected
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["25:00", "6", "tomorrow", "2026-13-01", "2020-01-01", ""])
def test_what_is_no_time_to_come(text: str) -> None:
    """Nonsense and times that are over are refused."""
    with pytest.raises(click.BadParameter):
        instant(text, lambda: NOON)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ('{"a": [1]}', {"a": [1]}),
        ("[]", []),
        ('"5"', '"5"'),  # a JSON string is text, quotes and all
        ("05", "05"),
        ("png", "png"),
        ("", ""),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("{", "{"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_set_values_have_the_type_they_read_as(text: str, value: object) -> None:
    """A number, boolean, null, object or array is that; all else is text."""
    found = json_or_text(text)

    assert found == value
    assert type(found) is type(value)


@given(st.recursive(st.none() | st.booleans() | st.integers(), st.lists, max_leaves=5))
def test_json_goes_in_as_json(value: object) -> None:
    """Whatever a program writes as JSON is understood."""
    assert json_or_text(json.dumps(value)) == value


def test_pairs() -> None:
    """The first = ends the key, and a key may be set once."""
    assert key_value("prompt=a=b") == ("prompt", "a=b")
    assert one_of_each((("a", 1), ("b", 2))) == {"a": 1, "b": 2}
    with pytest.raises(click.BadParameter, match="KEY=VALUE"):
        key_value("prompt")

    with pytest.raises(click.UsageError, match="--set a is given twice"):
        one_of_each((("a", 1), ("a", 2)))


def test_limits_are_checked_before_anything_is_done() -> None:
    """A rate or limit that the engine could not read is refused with the engine's own words."""
    assert (rate("5/m,100/d"), failure_limit("5%"), count("3"), whole_number(0)) == (
        "5/m,100/d",
        "5%",
        3,
        0,
    )
    for read, text in ((rate, "fast"), (failure_limit, "many"), (count, "0"), (whole_number, "-1")):
        with pytest.raises(click.BadParameter):
            read(text)


def test_none_takes_a_limit_away() -> None:
    """The word none is a value of its own; everything else is read as before."""
    assert or_none(count)(" None ") == NONE
    assert or_none(count)("7") == 7


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5.0),
        ("12.50", 12.5),
        (" 0.00136 ", 0.00136),
        (3, 3.0),
        (1e-5, 1e-5),
        (AMOUNT_MAX,) * 2,
    ],
)
def test_amounts_of_money(text: Any, value: float) -> None:
    """A plain number, in whatever currency the API counts; a file may give one as a number."""
    assert amount(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "-1", "nan", "inf", "1e3", "$5", "5 USD", "12,50", "1_000", "0.0000000001"),
        *(0, -0.5, True, None, [5], float("nan"), float("inf"), 10**400, AMOUNT_MAX * 2),
        "1000000001",
    ],
)
def test_what_is_no_amount(text: Any) -> None:
    """Nothing, less than nothing, more than anybody has, and what only a person understands."""
    with pytest.raises(click.BadParameter, match="write a number above 0 and up to 1,000,000,000"):
        amount(text)


def test_a_job_does_not_cost_a_fortune() -> None:
    """Above a thousand a digit has slipped in, and a run that counts with it would stop at once."""
    assert job_cost("999.5") == 999.5
    with pytest.raises(click.BadParameter, match="up to 1,000, such"):
        job_cost("1000.01")


@pytest.mark.parametrize("text", ["clipping", " clipping , shadowTop ", ["a", "b.c"]])
def test_names_of_variants(text: Any) -> None:
    """The API's own words, joined by commas, or a list in a file."""
    found = names(text)

    assert found == tuple(name.strip() for name in (text.split(",") if type(text) is str else text))


@pytest.mark.parametrize("text", ["", ",", "a,,b", "a,a", "a/b", "../x", "a b", "x" * 65, [[1]]])
def test_what_is_no_list_of_names(text: Any) -> None:
    """Nothing between commas, the same twice, and what could be a path."""
    with pytest.raises(click.BadParameter, match="the API's own words"):
        names(text)


def test_a_claim_is_waited_for_a_day_at_most() -> None:
    """A row keeps its place meanwhile, and the next ones stand behind it."""
    assert claim_wait("24h") == CLAIM_WAIT_S_MAX
    for text in ("25h", "-1", "nan", "soon"):
        with pytest.raises(click.BadParameter):
            claim_wait(text)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:", "https://api.example.com:/v2", "http://127.0.0.1:0"]
)
def test_an_address_whose_port_was_forgotten_is_refused(address: str) -> None:
    """Such as comes of an empty variable: nobody answers there, and the run would wait for long."""
    with pytest.raises(UsageError, match="names no port"):
        checked_base_url(address)
