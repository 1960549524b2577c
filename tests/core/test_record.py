"""The outcome record: one schema, nothing lost, and the way back into a manifest."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.lifecycle import OUTCOMES, State
from batcher.core.model import ErrorKind, Refund, Result, Row, RowError, Ticket
from batcher.core.record import UNREADABLE, as_written, is_record, outcome_record

KEYS = [
    *("v", "id", "line", "outcome", "provider", "job_id", "result", "error"),
    *("refund", "refund_raw", "cost", "attempts", "time", "row"),
]
BODY = b'{"id":"sku-1", "n": 123456789012345678901234567890,"price":1.50}'


def ticket(body: bytes = BODY, base: str | None = None) -> Ticket:
    """Return a ticket that has been through everything."""
    return Ticket(
        Row(7, "sku-1", 3, body, base),
        submits=2,
        reads=3,
        downloads=1,
        job_id="job-9",
        submitted_at=1_800_000_000.0,
        accepted_at=1_800_000_001.25,
        done_seen_at=1_800_000_005.5,
    )


def test_a_record_has_exactly_the_published_keys() -> None:
    """Scripts read these keys: none is missing, none is extra, in any of the four files."""
    for outcome in OUTCOMES:
        record = orjson.loads(outcome_record(ticket(), outcome, provider="removit", at=1.8e9))
        assert list(record) == [
            "v",
            "id",
            "line",
            "outcome",
            "provider",
            "job_id",
            "result",
            "error",
            "refund",
            "refund_raw",
            "cost",
            "attempts",
            "time",
            "row",
        ]
        assert record["attempts"] == {"submit": 2, "status": 3, "download": 1}
        assert (record["v"], record["id"], record["line"]) == (1, "sku-1", 3)
        assert record["outcome"] == outcome.value


def test_a_record_says_when_everything_happened() -> None:
    """Times are ISO in UTC, the job's duration is from acceptance to the sight of its end."""
    line = outcome_record(ticket(), State.SUCCEEDED, provider="removit", at=1_800_000_006.0)
    assert orjson.loads(line)["time"] == {
        "submitted": "2027-01-15T08:00:00.000Z",
        "accepted": "2027-01-15T08:00:01.250Z",
        "done_seen": "2027-01-15T08:00:05.500Z",
        "collected": "2027-01-15T08:00:06.000Z",
        "job_s": 4.25,
    }


def test_a_row_without_a_result_was_not_collected() -> None:
    """Only a succeeded row has a time of collection; a row never submitted has no times."""
    failed = orjson.loads(outcome_record(ticket(), State.FAILED, provider="removit", at=1.8e9))
    assert failed["time"]["collected"] is None

    never = Ticket(Row(1, "a", 1, b"{}"))
    record = orjson.loads(outcome_record(never, State.FAILED, provider="removit", at=1.8e9))
    assert set(record["time"].values()) == {None}


def test_result_error_and_money_stand_in_the_record() -> None:
    """What the API said of the result, the error, the refund and the cost is all there."""
    result = Result(urls={"final": "https://cdn.example.com/a.png"}, ignored=("shadow",), cost=0.02)
    error = RowError(ErrorKind.DOWNLOAD, "gone", http_status=410, fields={"a": ["b"]})
    line = outcome_record(
        ticket(),
        State.EXHAUSTED,
        provider="deapi",
        at=1.8e9,
        result=result,
        error=error,
        refund=Refund.UNCONFIRMED,
        refund_raw="maybe",
    )
    record = orjson.loads(line)
    assert record["result"]["urls"] == {"final": "https://cdn.example.com/a.png"}
    assert record["result"]["ignored"] == ["shadow"]
    assert record["error"]["kind"] == "download"
    assert record["error"]["fields"] == {"a": ["b"]}
    assert (record["refund"], record["refund_raw"]) == ("unconfirmed", "maybe")
    assert record["cost"] == 0.02


LOST = RowError(ErrorKind.UNKNOWN_OUTCOME, "no answer")
NO = RowError(ErrorKind.INVALID_REQUEST, "no")


@pytest.mark.parametrize(
    ("outcome", "job_id", "said", "error", "shown"),
    [
        (State.SUCCEEDED, "job-9", 0.02, None, 0.02),
        (State.SUCCEEDED, "job-9", 0.0, None, 0.0),
        (State.SUCCEEDED, "job-9", None, None, 0.0179),
        (State.FAILED, "job-9", None, NO, 0.0179),
        (State.EXHAUSTED, "job-9", None, NO, 0.0179),
        (State.IN_DOUBT, None, None, LOST, 0.0179),
        (State.FAILED, None, None, LOST, 0.0179),
        (State.FAILED, None, None, NO, None),
        (State.EXHAUSTED, None, None, NO, None),
    ],
)
def test_what_a_row_cost_is_the_apis_word_or_the_quote(
    outcome: State,
    job_id: str | None,
    said: float | None,
    error: RowError | None,
    shown: float | None,
) -> None:
    """A quote is a cost only where a job was made, or may have been: a refused row cost nothing."""
    row = ticket()
    row.job_id, row.cost = job_id, 17_900_000
    line = outcome_record(row, outcome, provider="deapi", at=1.8e9, cost=said, error=error)

    assert orjson.loads(line)["cost"] == shown


def test_the_row_goes_in_and_out_byte_for_byte() -> None:
    """A number that no double can hold, and the spelling of the row, survive the record."""
    line = outcome_record(ticket(), State.FAILED, provider="removit", at=1.8e9)
    assert BODY in line
    assert as_written(line, "row") == BODY
    assert is_record(orjson.loads(line))


def test_the_folder_is_kept_only_where_a_file_needs_it() -> None:
    """`base` is in the record of a row with a relative file, and nowhere else."""
    with_file = outcome_record(ticket(base="/m"), State.FAILED, provider="removit", at=1.8e9)
    assert orjson.loads(with_file)["base"] == "/m"
    assert b'"base"' not in outcome_record(ticket(), State.FAILED, provider="removit", at=1.8e9)


def test_an_unreadable_line_keeps_its_text() -> None:
    """Its row is null, and its beginning stands in `raw`."""
    line = outcome_record(
        ticket(UNREADABLE), State.FAILED, provider="removit", at=1.8e9, raw="x" * 3_000
    )
    record = orjson.loads(line)
    assert record["row"] is None
    assert record["raw"] == "x" * 2_000


texts = st.text(st.characters())  # lone surrogates too
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(message=texts, word=texts, job_id=texts, urls=st.dictionaries(texts, texts), odd=anything)
def test_no_text_of_an_api_can_break_a_record(
    message: str, word: str, job_id: str, urls: dict[str, str], odd: Any
) -> None:
    """Whatever an API says, the record is one line of valid JSON and its row is unharmed."""
    hostile = ticket()
    hostile.job_id = job_id
    line = outcome_record(
        hostile,
        State.FAILED,
        provider="removit",
        at=1.8e9,
        result=Result(urls=urls, text=message, warnings={word: [message]}),
        error=RowError(ErrorKind.REJECTED, message, code=word, fields={word: odd or []}),
        refund_raw=word,
    )
    assert b"\n" not in line
    assert json.loads(line)["id"] == "sku-1"
    assert as_written(line, "row") == BODY
