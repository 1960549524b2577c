"""Adoption: a row in doubt gets the job that the API says it made for it, or its freedom.

Rule: the journal judges. A job has one row and an attempt has one job, and only the row's last
attempt counts: a job of an earlier one is a job that was paid for and has no row. That is told,
because nothing here can mend it. With proof that the attempt made no job the row is pending again.

Rows leave in_doubt.jsonl as a person's decision takes them out (`decide.py`): the moves are
journaled together with the mark that the file must be rewritten, and a crash leaves the mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from batcher.adapters.outcomes import outcome_file
from batcher.core.events import Decide, Withdraw
from batcher.core.journal import Held, Journal
from batcher.core.lifecycle import Move, State
from batcher.core.model import ErrorKind, RowError, Ticket
from batcher.engine.books.decide import Rewritable
from batcher.engine.money.budget import DUPLICATES, NO_JOB


@dataclass(frozen=True, slots=True)
class Claim:
    """What the API said: one attempt of one row made this job, or it made none.

    A row can also leave its doubt without either, by the user's choice to risk a second job.
    """

    n: int
    generation: int
    job_id: str | None  # None: it is proved that there is none
    note: str  # the evidence
    is_risk: bool = False  # nothing is proved


class Stand(Enum):
    """How a claim stands against the journal."""

    KNOWN = "known"  # the row has this job, or had it
    DOUBTED = "doubted"  # the row is in doubt by this very attempt
    OPEN = "open"  # the attempt is being answered at this moment
    OTHER = "other"  # the attempt has another job: it made two
    STRAY = "stray"  # the row went on without the job
    FOREIGN = "foreign"  # there is no such attempt


def judge(journal: Journal, told: Claim) -> tuple[Stand, Held | None]:
    """Return how a claim stands, and its row."""
    held = journal.at(told.n)
    if held is None or told.generation > held.ticket.generation:
        return Stand.FOREIGN, held

    if told.job_id in _jobs(journal, held):
        return Stand.KNOWN, held

    if told.generation < held.ticket.generation:
        return Stand.STRAY, held

    return _of_last(held), held


def _of_last(held: Held) -> Stand:
    """Return how a job stands that the row's last attempt made and that it does not have."""
    if held.state is State.IN_DOUBT:
        return Stand.DOUBTED

    if held.state is State.INTENT:
        return Stand.OPEN

    return Stand.STRAY if held.ticket.job_id is None else Stand.OTHER


def _jobs(journal: Journal, held: Held) -> set[str | None]:
    """Return the jobs that a row has and had."""
    past = {charge.job_id for charge in journal.charges_of(held.ticket.row.n)}
    return (past | {held.ticket.job_id}) - {None}


def is_doubted(journal: Journal, told: Claim) -> bool:
    """Whether the row is in doubt by the very attempt that a claim is about."""
    return judge(journal, told)[0] is Stand.DOUBTED


def claim(
    journal: Journal, outcomes: Rewritable, claims: Sequence[Claim], *, at: float
) -> list[Ticket | None]:
    """Give rows in doubt the jobs that are claimed for them, one claim a row.

    Returns a ticket to follow for each (where no job was made: to submit), or None: the row is not
    in doubt by that attempt, or the job is another row's. May be repeated, so that what a full disk
    cut short is finished.
    """
    doubted = [told for told in claims if is_doubted(journal, told)]
    name = outcome_file(State.IN_DOUBT)
    if doubted:
        decisions = [_decision(told, at) for told in doubted]
        journal.mark_rebuild(decisions, [name], _counters(doubted))

    taken = [_taken(journal.at(told.n), told) for told in claims]
    if journal.outputs().get(name, 0) is None:
        leaving = {(ticket.row.id, ticket.row.line) for ticket in taken if ticket is not None}
        length = outcomes.rebuild(
            name, lambda record: (record.get("id"), record.get("line")) not in leaving
        )
        journal.apply([], {name: length})

    return taken


def _counters(claims: Sequence[Claim]) -> dict[str, int]:
    """Return what the claims add to the run's counters; durable with them, or not at all."""
    freed = [told for told in claims if told.job_id is None]
    risks = sum(told.is_risk for told in freed)
    added = {DUPLICATES: risks, NO_JOB: len(freed) - risks}
    return {name: amount for name, amount in added.items() if amount}


def _decision(told: Claim, at: float) -> Decide | Withdraw:
    """Return how the row leaves its doubt. Without a job its submit was a try like any other."""
    if told.is_risk:
        return Decide(told.n, at, Move.RESUBMIT, note=told.note)

    if told.job_id is not None:
        return Decide(told.n, at, Move.ADOPT, told.job_id, told.note)

    error = RowError(ErrorKind.CONNECTION, told.note, retriable=True)
    return Withdraw(told.n, at, spent=True, error=error)


def _taken(held: Held | None, told: Claim) -> Ticket | None:
    """Return the ticket of a row that stands as it was claimed."""
    freed = State.ACCEPTED if told.job_id is not None else State.PENDING
    if held is None or held.state is not freed:
        return None

    ticket = held.ticket
    mine = (ticket.generation, ticket.job_id) == (told.generation, told.job_id)
    return ticket if mine else None
