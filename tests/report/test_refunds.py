"""What was paid for without a result: every value in its column, and no cell that computes."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.journal import Charge
from batcher.core.lifecycle import State
from batcher.core.model import ErrorKind, Refund, RowError
from batcher.report.refunds import (
    COLUMNS,
    STANDINGS,
    Sums,
    cell,
    csv_header,
    csv_line,
    json_line,
    must_be_looked_at,
)

ERROR = RowError(ErrorKind.REJECTED, 'a "broken" picture, twice', 503, "E-7")
FAILED = Charge(
    n=7,
    row_id="sku-7",
    line=8,
    generation=1,
    state=State.FAILED,
    job_id="j-7",
    request_id="req-7",
    submitted_at=1_800_000_000.0,
    cost=1_360_000,
    refund=Refund.UNCONFIRMED,
    refund_raw="pending",
    is_given_up=False,
    error=ERROR,
)
BACK = replace(FAILED, refund=Refund.DONE)
SILENT = replace(FAILED, refund=None, refund_raw=None, cost=None)
DOUBT = replace(SILENT, state=State.IN_DOUBT, job_id=None, cost=10)


def read(*lines: bytes) -> list[list[str]]:
    """Read lines of CSV as a strict reader does."""
    text = b"".join(lines).decode("utf-8")
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def test_every_value_stands_in_its_column() -> None:
    """Header and line agree; what needs quotes has them, and lines end as RFC 4180 says."""
    header, line = csv_header(), csv_line(FAILED, "USD")
    ((*names,), values) = read(header, line)
    assert header.endswith(b"message\r\n")
    assert line.endswith(b'"a ""broken"" picture, twice"\r\n')
    assert dict(zip(names, values, strict=True)) == {
        "row_id": "sku-7",
        "line": "8",
        "job_id": "j-7",
        "request_id": "req-7",
        "submitted": "2027-01-15T08:00:00.000Z",
        "cost": "0.00136",
        "currency": "USD",
        "refund": "unconfirmed",
        "refund_raw": "pending",
        "outcome": "failed",
        "error_kind": "rejected",
        "error_code": "E-7",
        "message": 'a "broken" picture, twice',
    }


def test_json_says_the_same() -> None:
    """The same names; numbers are numbers, and what is not known is null."""
    told = json.loads(json_line(FAILED, "USD"))
    assert tuple(told) == COLUMNS
    assert (told["cost"], told["line"], told["currency"]) == (0.00136, 8, "USD")
    told = json.loads(json_line(replace(DOUBT, cost=None, error=None), "USD"))
    empty = {"job_id", "cost", "currency", "refund", "refund_raw"}
    assert {name for name, value in told.items() if value is None} == empty | {
        *("error_kind", "error_code", "message")
    }


@pytest.mark.parametrize("cost", [0, 1, 10, 1_000_000_000, 999_999_999_999])
def test_an_amount_has_all_its_digits(cost: int) -> None:
    """A price of a thousand-millionth is a plain decimal number, and nothing is rounded."""
    (values,) = read(csv_line(replace(FAILED, cost=cost), None))
    whole, _, decimals = values[5].partition(".")
    assert int(whole) * 10**9 + int(decimals.ljust(9, "0")) == cost
    assert values[6] == ""


@pytest.mark.parametrize(
    ("charge", "outcome"),
    [
        (FAILED, "failed"),
        (replace(FAILED, state=State.EXHAUSTED), "exhausted"),
        (DOUBT, "in_doubt"),
        (replace(DOUBT, state=State.SUCCEEDED, is_given_up=True), "in_doubt"),
        (replace(DOUBT, state=State.FAILED), "in_doubt"),  # closed by a person who knew no more
        (replace(FAILED, state=State.SUCCEEDED, is_given_up=True), "given_up"),
        (replace(FAILED, state=State.ACCEPTED, is_given_up=True), "given_up"),
    ],
)
def test_the_outcome_is_that_of_the_job(charge: Charge, outcome: str) -> None:
    """A row that went on and succeeded does not make its first job look like a success."""
    assert json.loads(json_line(charge, None))["outcome"] == outcome


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+49 170", "'+49 170"),
        ("-4f1c", "'-4f1c"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1+1", "'  =1+1"),
        ("\tx", "'\tx"),
        ("＝1+1", "'＝1+1"),  # noqa: RUF001 - the wide form is meant
        ("'quoted'", "''quoted'"),
        ("019c1e2f", "019c1e2f"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_no_cell_computes(text: str, shown: str) -> None:
    """A spreadsheet takes every cell for text; what is harmless stays as it is."""
    assert cell(text) == shown


@given(st.text())
def test_what_a_guard_added_can_be_taken_away(text: str) -> None:
    """One apostrophe at the beginning is always ours."""
    shown = cell(text)
    assert shown.removeprefix("'") == text
    assert shown.lstrip()[:1] not in tuple("=+-@＝＋－＠")  # noqa: RUF001 - the wide forms are meant


@given(
    *(st.text() for _ in range(3)),
    st.text(st.characters(exclude_categories=["Cc", "Cs"])),
    st.text(st.characters(exclude_categories=["Cc", "Cs"])),
)
def test_whatever_anybody_wrote_is_one_line(
    raw: str, message: str, request_id: str, row_id: str, job_id: str
) -> None:
    """A stranger's text neither breaks the table nor the terminal; ids come back exactly."""
    error = RowError(ErrorKind.REJECTED, message, code=raw)
    hostile = replace(
        FAILED,
        row_id=row_id,
        job_id=job_id,
        request_id=request_id,
        refund_raw=raw,
        error=error,
    )
    line = csv_line(hostile, "USD")
    (values,) = read(line)
    assert len(values) == len(COLUMNS)
    assert (values[0].removeprefix("'"), values[2].removeprefix("'")) == (row_id, job_id)
    assert all(text.isprintable() for text in (values[3], values[8], values[11], values[12]))
    assert line.count(b"\n") == 1


@pytest.mark.parametrize(
    ("charge", "looked_at"),
    [
        (FAILED, True),
        (SILENT, True),
        (DOUBT, True),
        (BACK, False),
        (replace(FAILED, refund=Refund.ALREADY_DONE), False),
        (replace(FAILED, cost=0), True),  # what was quoted says nothing of what was charged
    ],
)
def test_only_confirmed_money_needs_no_person(charge: Charge, looked_at: bool) -> None:
    """Whatever the API did not say is back must be looked at, silence and doubt too."""
    assert must_be_looked_at(charge) == looked_at


def test_the_sums_tell_each_part() -> None:
    """All, then what is back, what is not, what nobody knows; and of how many no price is known."""
    sums = Sums()
    assert sums.text("USD") == "0 jobs without a result"
    sums.add(BACK)
    assert sums.text("USD") == ("1 job without a result (0.00136 USD): 1 refunded (0.00136 USD)")
    for charge in (FAILED, FAILED, SILENT, DOUBT):
        sums.add(charge)

    assert sums.text("USD") == (
        "5 jobs without a result (0.00408001 USD): 1 refunded (0.00136 USD), "
        "2 unconfirmed (0.00272 USD), 1 without a word about the money, "
        "1 in doubt (0.00000001 USD); no price known of 1"
    )
    assert [word in sums.text(None) for word in STANDINGS] == [True] * 4
