"""The jobs of a run that were paid for, or may have been, without a result to show for it.

Rule: one line for each attempt, made of what the journal says and nothing else, in flat memory. CSV
is for people with a spreadsheet and is guarded for them; JSON is for programs and is exact.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import orjson

from batcher.core.journal import Charge
from batcher.core.lifecycle import State
from batcher.core.model import Refund, iso
from batcher.core.money import amount, amount_text
from batcher.report.money import money_text
from batcher.report.text import count_text, plain

COLUMNS: Final = (
    *("row_id", "line", "job_id", "request_id", "submitted", "cost", "currency"),
    *("refund", "refund_raw", "outcome", "error_kind", "error_code", "message"),
)
GIVEN_UP: Final = "given_up"  # as an outcome: the row was submitted again since
TEXT_CHARS_MAX: Final = 1_000
STANDINGS: Final = ("refunded", "unconfirmed", "without a word about the money", "in doubt")
GIVEN_BACK: Final = (Refund.DONE, Refund.ALREADY_DONE)

# A spreadsheet computes a cell that begins so; the wide forms are taken for the others in places.
# https://owasp.org/www-community/attacks/CSV_Injection
_COMPUTED: Final = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - the wide forms are meant
_MARK: Final = "'"  # before a cell: text and nothing else
_FOREIGN: Final = ("request_id", "refund_raw", "error_code", "message")  # a stranger's words


def must_be_looked_at(charge: Charge) -> bool:
    """Whether the API did not say that the money came back."""
    return charge.refund not in GIVEN_BACK


def values_of(charge: Charge, currency: str | None) -> dict[str, Any]:
    """Return one attempt as the values of `COLUMNS`; what is not known is None."""
    error = charge.error
    return {
        "row_id": charge.row_id,
        "line": charge.line,
        "job_id": charge.job_id,
        "request_id": charge.request_id,
        "submitted": iso(charge.submitted_at),
        "cost": None if charge.cost is None else amount(charge.cost),
        "currency": None if charge.cost is None else currency,
        "refund": charge.refund,
        "refund_raw": charge.refund_raw,
        "outcome": _outcome(charge),
        "error_kind": None if error is None else error.kind,
        "error_code": None if error is None else error.code,
        "message": None if error is None else error.message,
    }


def _outcome(charge: Charge) -> str:
    """Return what became of the attempt; its row may have gone on."""
    if charge.job_id is None:
        return State.IN_DOUBT

    return GIVEN_UP if charge.is_given_up else charge.state


def json_line(charge: Charge, currency: str | None) -> bytes:
    """Return one attempt as a JSON object, without the newline."""
    return orjson.dumps(values_of(charge, currency))


def csv_header() -> bytes:
    """Return the names of the columns as a line."""
    return _line(COLUMNS)


def csv_line(charge: Charge, currency: str | None) -> bytes:
    """Return one attempt as a line of CSV (RFC 4180), with its CRLF."""
    values = values_of(charge, currency)
    values |= {name: plain(values[name], TEXT_CHARS_MAX) for name in _FOREIGN if values[name]}
    if charge.cost is not None:
        values["cost"] = amount_text(charge.cost)  # every digit, never 1e-05

    return _line([cell("" if value is None else str(value)) for value in values.values()])


def cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet computes.

    What begins with = + - @ gets an apostrophe in front, and so does what begins with one: who
    takes one away from every cell that begins with it has all texts back. Ids are no exception: a
    spreadsheet makes an error or a number of `-4f1c`, and then the job cannot be asked for.
    """
    begins = {text[:1], text.lstrip()[:1]}
    return f"{_MARK}{text}" if begins & _COMPUTED or text.startswith(_MARK) else text


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


class Sums:
    """What the attempts come to that were listed."""

    def __init__(self) -> None:
        self._jobs: Counter[str] = Counter()
        self._cost: Counter[str] = Counter()
        self._unpriced = 0

    def add(self, charge: Charge) -> None:
        """Count one attempt."""
        word = _standing(charge)
        self._jobs[word] += 1
        self._cost[word] += charge.cost or 0
        self._unpriced += charge.cost is None

    def text(self, currency: str | None) -> str:
        """Return the sums as one line: all, each part that there is, and what is not known."""
        parts = ", ".join(
            f"{count_text(self._jobs[word])} {word}{_worth(self._cost[word], currency)}"
            for word in STANDINGS
            if self._jobs[word]
        )
        jobs, cost = self._jobs.total(), self._cost.total()
        unpriced = f"; no price known of {count_text(self._unpriced)}" if self._unpriced else ""
        return (
            f"{count_text(jobs)} {'job' if jobs == 1 else 'jobs'} without a result"
            f"{_worth(cost, currency)}{': ' if parts else ''}{parts}{unpriced}"
        )


def _standing(charge: Charge) -> str:
    """Return how it stands with the money of one attempt: one of `STANDINGS`."""
    if charge.job_id is None:
        return "in doubt"

    if charge.refund is None:
        return "without a word about the money"

    return "refunded" if charge.refund in GIVEN_BACK else "unconfirmed"


def _worth(cost: int, currency: str | None) -> str:
    return f" ({money_text(cost, currency)})" if cost else ""
