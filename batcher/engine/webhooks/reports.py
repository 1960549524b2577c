"""What is told of the API's calls: to the log, and to a person where a person must know.

Rule: whoever finds the address can call, so nothing here grows with the number of calls: lines are
counted, and each kind of notice is given once.
"""

from __future__ import annotations

from batcher.core.journal import Held
from batcher.core.log import Log
from batcher.core.verdict import JobEvent
from batcher.engine.notices import Notices

LINES_MAX = 1_000  # of the log, for each kind
STRANGERS_MAX = 10  # the same, for calls of which nothing is proved
TEXT_CHARS_MAX = 200  # of what a call says of itself


class CallReports:
    """Tells of calls."""

    def __init__(self, log: Log, notices: Notices) -> None:
        self._log = log
        self._notices = notices
        self._lines: dict[str, int] = {}

    def no_address(self) -> None:
        """A call came to an address that was never given out."""
        if self._may_tell("webhook.no_address", STRANGERS_MAX):
            self._log.warning("webhook.no_address")

    def unproved(self, n: int, reason: str) -> None:
        """A call came to one of our addresses, and nothing shows that it is the API's."""
        if self._may_tell("webhook.unproved", STRANGERS_MAX):
            self._log.warning("webhook.unproved", n=n, reason=reason)

        text = (
            f"a call to a webhook address was refused: {reason}. If it goes on, look at the clock"
        )
        text += " of this machine, and whether a proxy changes what it passes on"
        self._notices.tell("webhook.unproved_notice", text, once="webhook.unproved")

    def failed(self, error: Exception) -> None:
        """A call could not be looked at: a bug."""
        if self._may_tell("webhook.failed", STRANGERS_MAX):
            self._log.error("webhook.failed", error=type(error).__name__)

    def claimed(self, row_id: str, job_id: str) -> None:
        """A row whose submit was not answered has its job by a call."""
        self._log.info("webhook.claimed", id=row_id, job_id=job_id)

    def taken_already(self, row_id: str, job_id: str) -> None:
        """A call named a job for a row that is another row's."""
        if self._may_tell("webhook.taken_already"):
            self._log.warning("webhook.taken_already", id=row_id, job_id=job_id)

    def other_job(self, row_id: str, job_id: str | None, other: str | None) -> None:
        """One submit made two jobs, by what the API says."""
        if self._may_tell("webhook.other_job"):
            self._log.warning("webhook.other_job", id=row_id, job_id=job_id, other_job_id=other)

    def stray(self, held: Held, generation: int, event: JobEvent) -> None:
        """A job was made that no row has: evidence for a talk with the vendor's support."""
        if not self._may_tell(f"webhook.stray {event.job_id}", 1):
            return

        row_id = held.ticket.row.id
        tried = next((a for a in held.attempts if a.generation == generation), None)
        self._log.warning(
            "webhook.stray_job",
            id=row_id,
            job_id=event.job_id,
            generation=generation,
            delivery=evidence(event),
            submitted_at=None if tried is None else tried.intent_at,
            verdict=None if tried is None else tried.verdict,
            state=held.state,
        )
        text = (
            f"job {event.job_id} was made by submit {generation} of row {row_id!r}, which has gone "
            "on without it: it may have been charged for nothing; log.jsonl has the evidence "
            "(webhook.stray_job)"
        )
        self._notices.tell("webhook.stray_notice", text, once=f"stray {event.job_id}")

    def foreign(self, n: int, generation: int, event: JobEvent) -> None:
        """A call that is ours by its signature, for an attempt that the journal does not know."""
        if self._may_tell("webhook.foreign"):
            self._log.warning("webhook.foreign", n=n, generation=generation, job_id=event.job_id)

    def silent(self, jobs: int) -> None:
        """So many jobs ended, and no call came for any of them."""
        text = (
            f"{jobs} jobs ended and the API called for none of them: does --webhook-url lead to "
            "--webhook-listen? Jobs are polled at the usual pace until a call comes"
        )
        self._notices.tell("webhook.silent", text, once="webhook.silent")

    def _may_tell(self, kind: str, lines_max: int = LINES_MAX) -> bool:
        told = self._lines.get(kind, 0)
        if told >= lines_max or len(self._lines) > 2 * LINES_MAX:
            return False

        self._lines[kind] = told + 1
        return True


def evidence(event: JobEvent) -> str:
    """Return what names one delivery."""
    return event.delivery_id[:TEXT_CHARS_MAX]
