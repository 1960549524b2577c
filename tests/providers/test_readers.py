"""The shared readers: from bytes and headers to values, without a single exception."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.exchange import Response
from batcher.core.settings import JOB_ID_CHARS_MAX
from batcher.providers import reading, waiting
from batcher.providers.answers import Said

NOW = 1_790_000_000.0


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Response:
    """Return an answer; `retry_after` stands for `retry-after`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, body, named, received_at=NOW)


# --- JSON ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b'{"a":',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        '{"a":1}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":1}{"b":2}',
    ],
)
def test_unreadable_json_is_none(body: bytes) -> None:
    """What is not strict UTF-8 JSON is unreadable, however it is broken."""
    assert reading.decode_json(body) is None
    assert reading.json_object(body) == {}


def test_byte_order_mark_is_forgiven() -> None:
    """A mark before the text changes nothing that it says: a paid job's id is behind it."""
    assert reading.json_object(b'\xef\xbb\xbf{"job_id":"a"}') == {"job_id": "a"}


@given(body=st.binary(max_size=300))
def test_any_bytes_are_read(body: bytes) -> None:
    """No bytes make a reader raise."""
    reading.decode_json(body)
    assert reading.readable(answer(502, body)).isprintable()
    reading.is_page(answer(502, body))


# --- Job ids ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, True, False, 1.0, "", "  ", "\t", [], {}, ["a"], {"a": 1}])
def test_values_that_are_no_id(value: object) -> None:
    """Only a text or a whole number is an id; a boolean is neither."""
    assert reading.job_id_of(value) is None


@pytest.mark.parametrize(
    "text", ["a\nb", "a\rb", "\x00", "\x7f", "\x9b", "\ud800", "\u200b", "a\u2028"]
)
def test_unprintable_ids_are_none(text: str) -> None:
    """Control, invisible and half characters would not come back whole from a log or a shell."""
    assert reading.job_id_of(text) is None


@pytest.mark.parametrize("text", [".", ".."])
def test_dot_segments_are_no_ids(text: str) -> None:
    """They vanish from a path even when they are encoded, and the read would hit another route."""
    assert reading.job_id_of(text) is None


def test_id_length_is_bounded() -> None:
    """An id of the greatest length is one, a longer one is not."""
    assert reading.job_id_of("x" * JOB_ID_CHARS_MAX) == "x" * JOB_ID_CHARS_MAX
    assert reading.job_id_of("x" * (JOB_ID_CHARS_MAX + 1)) is None
    assert reading.job_id_of(19) == "19"


# --- Waits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("60", 60.0),
        (" 60 ", 60.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-5", 0.0),
        ("86400", 86_400.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("Mon, 21-Sep-26 14:14:20 GMT", 60.0),
        ("Mon Sep 21 14:14:20 2026", 60.0),
        ("5, 90", 90.0),
        (f"5, {formatdate(NOW + 120, usegmt=True)}", 120.0),
        ("5, soon", 5.0),
        (f"{formatdate(NOW + 3, usegmt=True)}, 7", 7.0),
    ],
)
def test_retry_after(header: str, wait_s: float) -> None:
    """Seconds and all three HTTP dates are read; of several the longest counts; the past is 0."""
    assert waiting.retry_after_s(answer(429, retry_after=header)) == wait_s


@pytest.mark.parametrize(
    "header",
    [
        *("", "soon", "1e12", "nan", "inf", "1000000000000", "1790000060", "٣", "0x10", "1_000"),
        *("--5", "Wed, 21 Oct 9999 07:28:00 GMT", "Xyz, 99 Foo 2026 99:99:99 GMT", "9" * 400),
    ],
)
def test_absurd_retry_after_is_ignored(header: str) -> None:
    """What is not a wait, or is longer than any limit lasts, is as if it were not there."""
    assert waiting.retry_after_s(answer(429, retry_after=header)) is None


def test_no_retry_after() -> None:
    """An answer that says nothing leaves the wait to the caller."""
    assert waiting.retry_after_s(answer(429)) is None


@given(header=st.text(max_size=60))
def test_any_retry_after_is_sane(header: str) -> None:
    """Whatever the header is, the wait is none, or finite and not below 0."""
    wait_s = waiting.retry_after_s(answer(429, retry_after=header))
    assert wait_s is None or 0 <= wait_s <= waiting.WAIT_S_MAX


@pytest.mark.parametrize(
    ("value", "after_s"),
    [
        ("2026-09-21T14:13:21+00:00", 1.0),
        ("2026-09-21T14:13:21Z", 1.0),
        ("2026-09-21T16:13:21+02:00", 1.0),
        ("2026-09-21T14:13:21", 1.0),
        ("2026-09-21T14:13:20.5Z", 0.5),
        ("2026-09-22", 35_200.0),
        (1_790_000_005, 5.0),
        ("1790000005", 5.0),
    ],
)
def test_moment(value: object, after_s: float) -> None:
    """ISO 8601 in any zone, UTC where none is said, and epoch seconds are moments."""
    assert waiting.moment_of(value, NOW) == NOW + after_s


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "soon", [], {}, True, "2026-09-21T14:13:20Z", "2025-01-01", "9999-12-31"),
        *("0001-01-01T00:00:00+23:59", 1_790_000_000, 1_789_999_999, 1_790_000_000_000, 1e300),
    ],
)
def test_what_is_no_moment_to_come(value: object) -> None:
    """The past, now, a time beyond any limit and what is no time are none."""
    assert waiting.moment_of(value, NOW) is None


@given(value=st.one_of(st.text(max_size=40), st.integers(), st.floats()))
def test_any_moment_is_sane(value: object) -> None:
    """Whatever the value is, a moment lies ahead and within the longest limit."""
    for at in (waiting.moment_of(value, NOW), waiting.reset_at(value, NOW)):
        assert at is None or 0 < at - NOW <= waiting.WAIT_S_MAX


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        *((0, 0.0), (19.72, 19.72), ("0.49", 0.49), (-0.02, -0.02), (1e9, 1e9)),
        *((1.1e9, None), (-1e300, None), (True, None), ("1e3", None), (None, None), ([], None)),
    ],
)
def test_amounts(value: object, amount: float | None) -> None:
    """Money is a number that the books can hold; a boolean or a text of another kind is none."""
    assert reading.amount_of(value) == amount


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        *((True, True), (False, False), (1, True), (0, False), ("1", True), ("0", False)),
        *(("TRUE", True), ("false", False), (2, None), ("yes", None), (None, None), ([], None)),
    ],
)
def test_flags(value: object, flag: bool | None) -> None:
    """Yes and no are read as booleans, digits or words; anything else is neither."""
    assert reading.flag_of(value) is flag


# --- Texts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("two\n lines\t here", "two lines here"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;https://evil\x1b\\link", "link"),
        ("nul\x00bell\x07csi\x9b31m", "nulbellcsi31m"),
        ("\u202egnp.exe\u202c", "gnp.exe"),
        ("half\ud800", "half"),
    ],
)
def test_texts_are_cleaned(text: str, line: str) -> None:
    """A server's text cannot move the cursor, colour the screen or turn its direction."""
    assert reading.clean(text) == line


@given(text=st.text(max_size=5_000))
def test_any_text_is_one_short_line(text: str) -> None:
    """Every text comes out printable and bounded."""
    line = reading.clean(text)
    assert line.isprintable()
    assert len(line) <= reading.TEXT_CHARS_MAX


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "HTTP 502 with an empty body"),
        (b" \n", "HTTP 502 with an empty body"),
        (b"upstream gone", "HTTP 502, not a readable answer: upstream gone"),
        (
            b"<html><title>Bad &amp; gone</title><p>x",
            "HTTP 502, a web page instead of an answer: Bad & gone",
        ),
        (
            b"<html><script>var a='<b>'</script><h1>Bad\n gateway</h1>",
            "HTTP 502, a web page instead of an answer: Bad gateway",
        ),
    ],
)
def test_unreadable_body_gives_a_message(body: bytes, text: str) -> None:
    """A page or a broken body becomes one line that a person can act on."""
    assert reading.readable(answer(502, body)) == text


def test_a_huge_page_is_bounded() -> None:
    """A megabyte of markup costs no time and gives one short line."""
    body = b"<html>" + b"<div class='" * 80_000
    assert len(reading.readable(answer(502, body))) <= reading.TEXT_CHARS_MAX


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ({"width": ["a", "b"]}, {"width": ["a", "b"]}),
        ({"width": "a"}, {"width": ["a"]}),
        ({"width": None}, {"width": []}),
        ([{"field": "width", "messages": ["a"]}], {"width": ["a"]}),
        (
            [{"field": "width", "message": "a"}, {"field": "width", "messages": "b"}],
            {"width": ["a", "b"]},
        ),
        ([], None),
        ({}, None),
        (None, None),
        ("broken", None),
        (["broken"], None),
        ([{"field": 5}], None),
    ],
)
def test_fields_of_every_era(value: object, fields: object) -> None:
    """Per-field messages are read from an object, from a list of objects, or not at all."""
    assert reading.fields_of(value) == fields


def test_request_id_comes_from_the_first_header_that_has_one() -> None:
    """The API's own id of a call comes before its edge's."""
    assert reading.request_id_of(answer(x_request_id="a", cf_ray="b")) == "a"
    assert reading.request_id_of(answer(cf_ray="b\x1b[31m")) == "b"
    assert reading.request_id_of(answer()) is None


def test_said_reads_as_one_line() -> None:
    """Field messages stand behind the message unless it holds them already."""
    assert Said("Bad", fields={"a": ["x"], "b": ["y", "z"]}).text == "Bad - a: x - b: y z"
    assert Said("x is low", fields={"a": ["x is low"]}).text == "x is low"
    assert Said(code="validation", fields={"a": ["x"]}).text == "validation - a: x"
    assert Said(fields={"a": ["x"]}).text == "a: x"
    assert Said().text == ""
