"""What all steps of a run share, and the one way in which a row gets its outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Unpack

from batcher.core.events import Finish
from batcher.core.exchange import Response, Transport
from batcher.core.lifecycle import Move
from batcher.core.log import Log
from batcher.core.model import ErrorKind, RowError, Ticket
from batcher.core.money import job_cost
from batcher.core.record import Known, outcome_record
from batcher.core.settings import Frozen, Settings
from batcher.core.stats import ErrorView
from batcher.core.stays import Stays
from batcher.engine.books.record import OUTCOME_OF, Recorder
from batcher.engine.clock import Clock
from batcher.engine.control import Control
from batcher.engine.doubt.marks import Marks
from batcher.engine.keyring import ACCOUNT, Keyring, with_mark
from batcher.engine.money.budget import REJECTED, FailureLimit, JobBudget
from batcher.engine.notices import Notices
from batcher.engine.slots import Slots
from batcher.engine.webhooks.claims import Claims
from batcher.providers.base import Provider

LOG_BODY_BYTES = 8_192


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
    claims: Claims
    marks: Marks
    key_turn: int = 0  # of the key that was last told of
    latest: RowError | None = None  # the last error that was met
    low_room: str = ""  # how little room there is on a disk, while nothing new is begun for that
    errors: dict[ErrorKind, ErrorView] = field(default_factory=dict)
    stays: Stays = field(default_factory=Stays)  # of jobs with this process

    async def end(self, ticket: Ticket, move: Move, **known: Unpack[Known]) -> None:
        """Give a row in flight its outcome; then its slot is free for another one."""
        await self.finish(ticket, move, **known)
        if ticket.job_id is not None:
            self.stays.note(ticket.born, self.clock.now())

        self.slots.release()

    async def finish(self, ticket: Ticket, move: Move, **known: Unpack[Known]) -> None:
        """Give a row its outcome: one record, one move, one log line."""
        at, outcome = self.clock.wall(), OUTCOME_OF[move]
        error, result, refund = known.get("error"), known.get("result"), known.get("refund")
        record = outcome_record(ticket, outcome, provider=self.frozen.provider, at=at, **known)
        cost = known.get("cost")
        charged = job_cost(result.cost if cost is None and result is not None else cost)
        await self.recorder.commit(
            Finish(
                ticket.row.n,
                at,
                move,
                record,
                error,
                refund,
                result=result.kept() if result is not None and error is not None else None,
                refund_raw=known.get("refund_raw"),
                cost=charged,
            )
        )
        self.claims.forget(ticket)
        if ticket.job_id is not None:
            self.jobs.settle(ticket.cost, charged, refund)

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

        if error is not None and error.kind is ErrorKind.INVALID_ROW:
            self.recorder.count(REJECTED)

        self.failures.note(outcome, error)

    async def renew_key(self, turn: int) -> bool:
        """Return whether a request that was refused under *turn* of the key may be sent again.

        Raises `StorageError` if the journal cannot note that the account goes by another key now.
        """
        keyring = self.keyring
        if not await keyring.renew(turn):
            return False

        if self.key_turn != keyring.turn:
            self.key_turn = keyring.turn
            text = f"the key in {keyring.key.source} was replaced; going on with the new one"
            self.notices.tell("key.replaced", text)
            mark = keyring.key.fingerprint(self.frozen.base_url)
            await self.recorder.ask(
                lambda journal: journal.note({ACCOUNT: with_mark(journal.fact(ACCOUNT), mark)})
            )

        return True

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
