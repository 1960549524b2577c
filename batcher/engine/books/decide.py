"""A person's decisions: taking rows out of exhausted.jsonl and in_doubt.jsonl again.

Rule: a decision is journaled together with the mark that its file must be rewritten; the file is
then rewritten atomically from itself, keeping what the journal says. So a crash at any point leaves
a mark, and the next start finishes the work (`finish_rewrites`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from batcher.core.errors import UsageError
from batcher.core.events import Decide, Finish
from batcher.core.journal import Held, Journal
from batcher.core.lifecycle import Move, State
from batcher.core.model import ErrorKind, RowError
from batcher.core.record import outcome_record

PAGE_ROWS = 500
SUFFIX = ".jsonl"  # of an outcome file: each is named for its outcome
JOB_OVER = frozenset({ErrorKind.REJECTED, ErrorKind.NOT_FOUND})  # polling it is no use


class Rewritable(Protocol):
    """Outcome files that can be rewritten."""

    def append(self, lines: Sequence[tuple[State, bytes]]) -> dict[str, int]:
        """Append lines durably; return the new length of each file that was touched."""
        ...

    def rebuild(self, name: str, keep: Callable[[dict[str, Any]], bool]) -> int:
        """Rewrite a file atomically with the records to *keep*; return its length."""
        ...


def retry(journal: Journal, outcomes: Rewritable, *, kind: ErrorKind | None, at: float) -> int:
    """Take exhausted rows up again, all or one kind; return how many.

    A row whose job exists is looked at again, one whose files are missing fetches them again, and
    only one that has no job (or whose job is over) is submitted again.
    """
    chosen = [
        Decide(held.ticket.row.n, at, _second_try(held), note="retry")
        for held in _all_held(journal, State.EXHAUSTED)
        if kind is None or (held.error is not None and held.error.kind is kind)
    ]
    _take_out(journal, outcomes, State.EXHAUSTED, chosen)
    return len(chosen)


def adopt(
    journal: Journal, outcomes: Rewritable, row_id: str, job_id: str, *, note: str, at: float
) -> None:
    """Give a row in doubt the job that a person found for it."""
    row = _in_doubt(journal, row_id)
    decision = Decide(row.ticket.row.n, at, Move.ADOPT, job_id, note)
    if not _take_out(journal, outcomes, State.IN_DOUBT, [decision]):
        raise UsageError(f"job {job_id} belongs to another row already; a job has one row")


def resubmit(
    journal: Journal, outcomes: Rewritable, row_ids: Sequence[str] | None, *, note: str, at: float
) -> int:
    """Let rows in doubt be submitted again (None = all); return how many."""
    rows = _chosen(journal, row_ids)
    decisions = [Decide(held.ticket.row.n, at, Move.RESUBMIT, note=note) for held in rows]
    _take_out(journal, outcomes, State.IN_DOUBT, decisions)
    return len(decisions)


def give_up(  # a decision names its rows, its record's provider, its why and when
    journal: Journal,
    outcomes: Rewritable,
    row_ids: Sequence[str] | None,
    *,
    provider: str,
    note: str,
    at: float,
) -> int:
    """Close rows in doubt as failed (None = all); return how many.

    Their records leave in_doubt.jsonl before they enter failed.jsonl: a row has one at the most.
    """
    rows = _chosen(journal, row_ids)
    if not rows:
        return 0

    name = _file(State.IN_DOUBT)
    leaving = {(held.ticket.row.id, held.ticket.row.line) for held in rows}
    journal.mark_rebuild([], [name])
    length = outcomes.rebuild(name, lambda record: _key(record) not in leaving)
    ends = [_closed(held, provider, note, at) for held in rows]
    lengths = outcomes.append([(State.FAILED, end.record) for end in ends])
    journal.apply(ends, {**lengths, name: length})
    return len(ends)


def finish_rewrites(journal: Journal, outcomes: Rewritable, provider: str, at: float) -> None:
    """Rewrite every file that a crash left marked, from itself and from the journal."""
    for name, length in journal.outputs().items():
        if length is None:
            _restore(journal, outcomes, State(name.removesuffix(SUFFIX)), provider, at)


def _second_try(held: Held) -> Move:
    if held.has_result:
        return Move.REFETCH

    over = held.error is not None and held.error.kind in JOB_OVER
    return Move.RETRY if held.ticket.job_id is None or over else Move.REPOLL


def _take_out(
    journal: Journal, outcomes: Rewritable, state: State, decisions: Sequence[Decide]
) -> bool:
    """Move rows out of *state* and their records out of its file; False if a job was taken."""
    if not decisions:
        return True

    answers = journal.mark_rebuild(decisions, [_file(state)])
    _rewrite(journal, outcomes, state)
    return all(answers)


def _rewrite(journal: Journal, outcomes: Rewritable, state: State) -> None:
    """Keep the records of rows that the journal still has in *state*."""

    def is_current(record: Mapping[str, Any]) -> bool:
        held = journal.find(str(record.get("id")))
        return held is not None and held.state is state

    name = _file(state)
    journal.apply([], {name: outcomes.rebuild(name, is_current)})


def _restore(
    journal: Journal, outcomes: Rewritable, state: State, provider: str, at: float
) -> None:
    """Rewrite a file, and write those records again that a crash took between two files."""
    found: set[tuple[object, object]] = set()

    def is_current(record: Mapping[str, Any]) -> bool:
        held = journal.find(str(record.get("id")))
        if held is None or held.state is not state:
            return False

        found.add(_key(record))
        return True

    name = _file(state)
    lengths = {name: outcomes.rebuild(name, is_current)}
    lines = [
        (state, outcome_record(held.ticket, state, provider=provider, at=at, error=held.error))
        for held in _all_held(journal, state)
        if (held.ticket.row.id, held.ticket.row.line) not in found
    ]
    if lines:
        lengths |= outcomes.append(lines)

    journal.apply([], lengths)  # only now is the file whole, and its mark gone


def _file(state: State) -> str:
    return f"{state}{SUFFIX}"


def _key(record: Mapping[str, Any]) -> tuple[object, object]:
    return record.get("id"), record.get("line")


def _closed(held: Held, provider: str, note: str, at: float) -> Finish:
    message = f"closed by a person: {note}" if note else "closed by a person"
    error = RowError(ErrorKind.UNKNOWN_OUTCOME, message)
    record = outcome_record(held.ticket, State.FAILED, provider=provider, at=at, error=error)
    return Finish(held.ticket.row.n, at, Move.GIVE_UP, record, error)


def _chosen(journal: Journal, row_ids: Sequence[str] | None) -> list[Held]:
    if row_ids is None:
        return list(_all_held(journal, State.IN_DOUBT))

    return [_in_doubt(journal, row_id) for row_id in dict.fromkeys(row_ids)]


def _in_doubt(journal: Journal, row_id: str) -> Held:
    held = journal.find(row_id)
    if held is None:
        raise UsageError(f"no row has the id {row_id!r}; `batcher doubt list` shows those in doubt")

    if held.state is not State.IN_DOUBT:
        raise UsageError(
            f"row {row_id!r} is {held.state}, not in doubt: there is nothing to decide"
        )

    return held


def _all_held(journal: Journal, state: State) -> Iterator[Held]:
    after = 0
    while page := journal.held(state, after, PAGE_ROWS):
        yield from page
        after = page[-1].ticket.row.n
