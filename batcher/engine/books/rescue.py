"""Rescue: job ids that were answered when the journal could take nothing any more.

Rule: a job id is money. What cannot be committed is written beside the journal, and if that fails
too, it is told with the error that ends the run. The next start takes such a line over by itself,
because the journal can judge it: it names the attempt (row, generation and the very instant of its
intent), which no other run and no other attempt has; that attempt must still be open or in doubt;
and a job has one row. It is what the run would have committed itself. Every other line is left in
the file and told.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from batcher.core.errors import StorageError
from batcher.core.events import Accept, Event
from batcher.core.journal import Journal
from batcher.core.log import Log
from batcher.core.model import Ticket
from batcher.engine.books.decide import Rewritable
from batcher.engine.doubt.adoption import Claim, Stand, claim, judge

NOTE = "the API answered with it while the journal failed"  # the evidence that is kept


class RescueFile(Protocol):
    """Where lines are kept for the next start. Every method blocks and raises `OSError`."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    def append(self, lines: bytes) -> None:
        """Add whole lines durably."""
        ...

    def lines(self) -> list[bytes]:
        """Return the lines, whole or torn; none if there is no file."""
        ...

    def remove(self) -> None:
        """Remove the file durably."""
        ...


class Rescued(msgspec.Struct, frozen=True, kw_only=True):
    """One job that the journal does not know. `batcher doubt adopt --from` reads it too."""

    id: str
    line: int
    job_id: str
    generation: int
    intent_at: float  # epoch seconds, exactly as the journal has it
    at: float  # epoch seconds: when the job was accepted
    request_id: str | None = None


class Rescue:
    """Keeps job ids for the next start. Without a *file* they are told at the end."""

    def __init__(self, file: RescueFile | None, log: Log) -> None:
        self._file = file
        self._log = log
        self._kept = 0
        self._untold: list[bytes] = []  # lines that could not be written anywhere

    def line_of(self, event: Event, ticket: Ticket | None) -> bytes:
        """Return what is to be kept of an event that the journal did not take; mostly nothing."""
        if not isinstance(event, Accept) or ticket is None or ticket.submitted_at is None:
            return b""

        found = Rescued(
            id=ticket.row.id,
            line=ticket.row.line,
            job_id=event.job_id,
            generation=ticket.generation,
            intent_at=ticket.submitted_at,
            at=event.at,
            request_id=event.request_id,
        )
        self._log.error("job.rescued", id=found.id, line=found.line, job_id=found.job_id)
        return msgspec.json.encode(found) + b"\n"

    def keep(self, lines: Iterable[bytes]) -> None:
        """Write lines down, or remember them for the end. Blocks; raises nothing."""
        lines = [line for line in lines if line]
        if not lines:
            return

        try:
            if self._file is None:
                raise OSError("there is no file for them")

            self._file.append(b"".join(lines))
            self._kept += len(lines)
        except OSError as failure:
            self._log.error("rescue.failed", message=str(failure))
            self._untold += lines

    def explain(self, error: BaseException) -> BaseException:
        """Return *error* with notes that say where the job ids are."""
        path = "rescue.jsonl" if self._file is None else self._file.path
        if self._kept:
            error.add_note(
                f"{_jobs(self._kept)} answered meanwhile: in {path}; `batcher resume` takes over "
                "what is in it"
            )

        if self._untold:
            lines = b"".join(self._untold).decode()
            error.add_note(
                f"{_jobs(len(self._untold))} answered meanwhile, and could not be written down. "
                f"Save these lines as {path} before you resume:\n{lines.rstrip()}"
            )

        return error


def take_over(
    journal: Journal, outcomes: Rewritable, file: RescueFile, *, at: float
) -> list[tuple[str, str]]:
    """Give rows the jobs that an earlier process rescued; return what to tell: event and text.

    The file is removed once the journal has every job in it; else all of it stays, and is gone
    through again at the next start. May be repeated after a crash at any point. Raises
    `StorageError`.
    """
    adopted, left = 0, []
    try:
        lines = [line for line in file.lines() if line.strip()]
        for line in lines:
            why, is_new = _take(journal, outcomes, line, at)
            adopted += is_new
            left += [why] if why else []

        if lines and not left:
            file.remove()
    except OSError as error:
        raise StorageError(f"{file.path}: {error.strerror}") from error

    told = []
    if adopted:
        told.append(
            (
                "rescue.adopted",
                f"{_jobs(adopted)} rescued when the journal failed, and followed now",
            )
        )

    if left:
        more = f", and {len(left) - 1} more" if len(left) > 1 else ""
        text = f"{file.path} holds what the journal cannot take over: {left[0]}{more}"
        told.append(("rescue.left", text))

    return told


def _take(journal: Journal, outcomes: Rewritable, line: bytes, at: float) -> tuple[str, bool]:
    """Take one line over; return why it cannot be, and whether it was news."""
    try:
        told = msgspec.json.decode(line, type=Rescued)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "a line that cannot be read", False

    held = journal.find(told.id)
    if held is None:
        return f"row {told.id!r}: the journal does not know it", False

    claimed = Claim(held.ticket.row.n, told.generation, told.job_id, NOTE)
    stand, _ = judge(journal, claimed)
    if stand is Stand.KNOWN:
        return "", False

    job = f"row {told.id!r}, job {told.job_id}"
    if stand not in (Stand.OPEN, Stand.DOUBTED) or held.attempts[-1].intent_at != told.intent_at:
        return f"{job}: not of the submit whose answer is missing", False

    if stand is Stand.OPEN:
        mine = all(journal.apply([Accept(claimed.n, told.at, told.job_id, told.request_id)]))
    else:
        mine = claim(journal, outcomes, [claimed], at=at)[0] is not None

    return ("" if mine else f"{job}: it is another row's"), mine


def _jobs(count: int) -> str:
    return "1 job was" if count == 1 else f"{count} jobs were"
