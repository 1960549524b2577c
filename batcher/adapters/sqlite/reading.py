"""What the journal says: rows to be followed, held rows with their evidence, sums.

Rule: nothing here writes, so that the same questions serve the run that owns the journal and a
`batcher status` beside it. It does not open files and knows no transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from batcher.adapters.sqlite import ledger
from batcher.adapters.sqlite import statements as sql
from batcher.adapters.sqlite.failures import Damaged
from batcher.core.journal import Attempt, Charge, Held
from batcher.core.lifecycle import State
from batcher.core.model import ErrorKind, Refund, Result, Row, RowError, Ticket

T = TypeVar("T")

# Kept by the journal itself, in the transaction that changes what they count.
OWN_COUNTERS = (
    *(str(state) for state in State),
    "rows",
    "jobs_accepted",
    "submits",
    *ledger.COUNTERS,
)


def epoch(db: sqlite3.Connection) -> int:
    """Return the epoch of the run's present owner; 0 = never claimed."""
    (number,) = db.execute(sql.EPOCH).fetchone()
    return int(number)


def ticket(db: sqlite3.Connection, n: int) -> Ticket:
    """Return one row as a ticket."""
    return _ticket(db.execute(sql.TICKET, (n,)).fetchone())


def tickets(db: sqlite3.Connection, statement: str, *parameters: int) -> list[Ticket]:
    """Return the rows that one of the ticket statements selects."""
    return [_ticket(values) for values in db.execute(statement, parameters)]


def held(db: sqlite3.Connection, state: State, after: int, limit: int) -> list[Held]:
    """Return rows in *state* with their attempts, by number."""
    return [_held(db, v) for v in db.execute(sql.HELD, (state.value, after, limit)).fetchall()]


def find(db: sqlite3.Connection, row_id: str) -> Held | None:
    """Return the row with this id; of repeated ids the one that counts."""
    values = db.execute(sql.FOUND, (row_id,)).fetchone()
    return None if values is None else _held(db, values)


def at(db: sqlite3.Connection, n: int) -> Held | None:
    """Return the row with this number."""
    values = db.execute(sql.TICKET, (n,)).fetchone()
    return None if values is None else _held(db, values)


def charges(db: sqlite3.Connection, after: int, limit: int) -> list[Charge]:
    """Return attempts without a result to show for their money, by row."""
    return [_charge(values) for values in db.execute(sql.CHARGES, (after, limit))]


def charges_of(db: sqlite3.Connection, n: int) -> list[Charge]:
    """Return those of one row, the oldest first."""
    return [_charge(values) for values in db.execute(sql.CHARGES_OF, (n,))]


def counters(db: sqlite3.Connection) -> dict[str, int]:
    """Return every counter; the journal's own are always among them."""
    return dict.fromkeys(OWN_COUNTERS, 0) | dict(db.execute(sql.COUNTERS).fetchall())


def owner(db: sqlite3.Connection, job_id: str) -> int | None:
    """Return the number of the row that has, or gave up, a job, or None."""
    found = db.execute(sql.JOB_OWNERS, (orjson.dumps([job_id]).decode(),)).fetchone()
    return None if found is None else int(found[1])


def outputs(db: sqlite3.Connection) -> dict[str, int | None]:
    """Return each outcome file's committed length; None = it must be rebuilt."""
    return dict(db.execute(sql.OUTPUTS).fetchall())


def submits_since(db: sqlite3.Connection, at: float) -> list[float]:
    """Return the intent times from *at* on, ascending. Reads the whole ledger: once per start."""
    return [intent_at for (intent_at,) in db.execute(sql.SUBMITS_SINCE, (at,))]


def fact(db: sqlite3.Connection, key: str) -> str | None:
    """Return a fact about the run, or None."""
    found = db.execute(sql.FACT, (key,)).fetchone()
    return None if found is None else str(found[0])


def encoded_error(error: RowError | None) -> str | None:
    """Return an error as the text that the row's `error` column holds."""
    return None if error is None else orjson.dumps(error.as_json()).decode()


def _decoded_error(text: str | None) -> RowError | None:
    """Undo `encoded_error`."""
    if text is None:
        return None

    return _decoded(text, lambda value: RowError(**value | {"kind": ErrorKind(value["kind"])}))


def _decoded(text: str | bytes, build: Callable[[Any], T]) -> T:
    """Return what was built of kept JSON; raise `Damaged` if it is not as it was written."""
    try:
        return build(orjson.loads(text))
    except (AttributeError, KeyError, TypeError, ValueError) as failure:
        raise Damaged("unreadable text") from failure


def _held(db: sqlite3.Connection, values: tuple[Any, ...]) -> Held:
    """Build a held row from a ticket's columns and its part of the ledger."""
    row = _ticket(values)
    attempts = (Attempt(*columns) for columns in db.execute(sql.ATTEMPTS, (row.row.n,)))
    return Held(
        ticket=row,
        state=State(values[-1]),
        error=row.last_error,
        attempts=tuple(attempts),
        has_result=row.result is not None,
    )


def _ticket(values: tuple[Any, ...]) -> Ticket:
    """Build a ticket from its columns (`statements.TICKET`)."""
    n, row_id, line, body, base, generation, spent, job_id = values[:8]
    submitted_at, accepted_at, done_seen_at, result, error, cost, _ = values[8:]
    return Ticket(
        row=Row(n, row_id, line, body, base),
        generation=generation,
        submits=generation,  # every submit of the row is a generation of it
        spent=spent,
        job_id=job_id,
        submitted_at=submitted_at,
        accepted_at=accepted_at,
        done_seen_at=done_seen_at,
        result=None if result is None else _decoded(result, Result.from_json),
        last_error=_decoded_error(error),
        cost=cost,
    )


def _charge(values: tuple[Any, ...]) -> Charge:
    """Build a charge from its columns (`statements.CHARGES`)."""
    n, row_id, line, generation, state, job_id, request_id, submitted_at, cost = values[:9]
    refund, refund_raw, is_given_up, job_error, row_error, *answer = values[9:]
    if job_id is None and (is_given_up or state != State.IN_DOUBT):
        error = _answer_error(request_id, *answer)  # the row's own is about something later
    else:
        error = _decoded_error(job_error if is_given_up else row_error)

    return Charge(
        n=n,
        row_id=row_id,
        line=line,
        generation=generation,
        state=State(state),
        job_id=job_id,
        request_id=request_id,
        submitted_at=submitted_at,
        cost=cost,
        refund=None if refund is None else Refund(refund),
        refund_raw=refund_raw,
        is_given_up=bool(is_given_up),
        error=error,
    )


def _answer_error(
    request_id: str | None, kind: str | None, message: str | None, http_status: int | None
) -> RowError | None:
    """Return what the ledger keeps of an answer that said nothing of a job."""
    if kind is None:
        return None

    return RowError(ErrorKind(kind), message or "", http_status, request_id=request_id)
