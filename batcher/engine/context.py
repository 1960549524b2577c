"""What all steps of a run share, and the one way in which a row gets its outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Unpack

from batcher.core.exchange import Response, Transport
from batcher.core.journal import Finish
from batcher.core.lifecycle import Move
from batcher.core.log import Log
from batcher.core.model import ErrorKind, RowError, Ticket
from batcher.core.record import Known, outcome_record
from batcher.core.settings import Frozen, Settings
from batcher.core.stats import ErrorView
from batcher.engine.budget import FailureLimit, JobBudget
from batcher.engine.claims import Claims
from batcher.engine.clock import Clock
from batcher.engine.control import Control
from batcher.engine.keyring import Keyring
from batcher.engine.notices import Notices
from batcher.engine.prices import Prices
from batcher.engine.record import OUTCOME_OF, Recorder
from batcher.engine.slots import Slots
from batcher.providers.base import Provider

LOG_BODY_BYTES = 8_192

# Counters of the journal that the engine keeps.
NO_JOB = "submits_without_job"  # submits of which it is proved that they made no job
REJECTED = "rejected"  # rows that could not be used: they failed, but say nothing of the API


@dataclass(slots=True)
class Context:
    """The parts of one run that every step works with."""

    frozen: Frozen
    settings: Settings
    provider: Provider
    transport: Transport
    recorder: Recorder
    control: Control
    slots: Slots
    jobs: JobBudget
    failures: FailureLimit
    clock: Clock
    rng: Random
    log: Log
    notices: Notices
    keyring: Keyring
    prices: Prices
    claims: Claims
    latest: RowError | None = None  # the last error that was met
    errors: dict[ErrorKind, ErrorView] = field(default_factory=dict)

    async def end(self, ticket: Ticket, move: Move, **known: Unpack[Known]) -> None:
        """Give a row in flight its outcome; then its slot is free for another one."""
        await self.finish(ticket, move, **known)
        self.slots.release()

    async def finish(self, ticket: Ticket, move: Move, **known: Unpack[Known]) -> None:
        """Give a row its outcome: one record, one move, one log line."""
        at, outcome = self.clock.wall(), OUTCOME_OF[move]
        error, result = known.get("error"), known.get("result")
        record = outcome_record(ticket, outcome, provider=self.frozen.provider, at=at, **known)
        kept = result.kept() if result is not None and error is not None else None
        await self.recorder.commit(
            Finish(ticket.row.n, at, move, record, error, known.get("refund"), result=kept)
        )
        self.log.info(
            "row.finished",
            id=ticket.row.id,
            line=ticket.row.line,
            outcome=outcome,
            job_id=ticket.job_id,
            kind=None if error is None else error.kind,
            message=None if error is None else error.message,
            reads=ticket.reads,
        )
        if error is not None:
            self.tally(error)

        if move is Move.REJECT:
            self.recorder.count(REJECTED)

        self.failures.note(outcome, error)

    def tally(self, error: RowError) -> None:
        """Count an error of this process by its kind, and keep the last example."""
        self.latest = error
        seen = self.errors.get(error.kind)
        self.errors[error.kind] = ErrorView(1 if seen is None else seen.count + 1, error.message)

    def log_answer(self, step: str, ticket: Ticket, response: Response, error: RowError) -> None:
        """Log a whole error answer, as both APIs advise (redacted and cut by the log)."""
        self.log.warning(
            "answer.error",
            step=step,
            id=ticket.row.id,
            job_id=ticket.job_id,
            kind=error.kind,
            http_status=response.status,
            request_id=error.request_id,
            body=response.body[:LOG_BODY_BYTES].decode("utf-8", "replace"),
        )
