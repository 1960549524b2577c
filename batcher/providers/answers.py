"""What an answer means when a dialect knows nothing better: the tables that all APIs share.

Rule: a dialect states its differences first and ends in one of these functions. Both lean to the
side that costs nothing: only an answer that proves that no job was made allows another submit, and
only the API's own word makes a job failed.

`core.verdict` prints the table for submits; beside it stands one rule: an answer that names a job
id, but under a status code that denies the job, is a doubt and says the id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from batcher.core.exchange import Response
from batcher.core.model import ErrorKind, RowError, StopReason
from batcher.core.verdict import (
    Accepted,
    Doubt,
    Halt,
    Later,
    Missing,
    Pending,
    Refused,
    StatusVerdict,
    SubmitVerdict,
    Unreadable,
)
from batcher.providers.reading import (
    clean,
    is_page,
    readable,
    request_id_of,
)
from batcher.providers.waiting import retry_after_s

HALTS = {
    401: (ErrorKind.UNAUTHORIZED, StopReason.UNAUTHORIZED),
    402: (ErrorKind.OUT_OF_CREDITS, StopReason.OUT_OF_CREDITS),
    403: (ErrorKind.FORBIDDEN, StopReason.FORBIDDEN),
}
LATER = {
    408: ErrorKind.TIMEOUT,
    425: ErrorKind.UNAVAILABLE,
    503: ErrorKind.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer's body says of a failure, in the API's own words and already cleaned."""

    message: str = ""
    code: str | None = None
    fields: Mapping[str, list[str]] | None = None
    request_id: str | None = None

    @property
    def text(self) -> str:
        """The message with the per-field messages behind it, as one line; may be empty."""
        parts = [f"{name}: {' '.join(lines)}" for name, lines in (self.fields or {}).items()]
        new = [part for part in parts if part.partition(": ")[2] not in self.message]
        return clean(" - ".join([self.message or self.code or "", *new]).removeprefix(" - "))


def row_error(kind: ErrorKind, response: Response, said: Said, message: str = "") -> RowError:
    """Return the error of an answer; a clean *message* takes the place of what the API said."""
    return RowError(
        kind=kind,
        message=message or said.text or readable(response),
        http_status=response.status,
        code=said.code,
        fields=said.fields,
        retriable=kind not in (ErrorKind.INVALID_REQUEST, ErrorKind.UNKNOWN_OUTCOME),
        request_id=said.request_id or request_id_of(response),
    )


def halt(
    response: Response,
    said: Said,
    status: int,
    message: str = "",
    resume_at: float | None = None,
) -> Halt:
    """Return the halt that the table has for *status*, whatever the answer's own status is."""
    kind, reason = HALTS[status]
    return Halt(row_error(kind, response, said, message), reason, resume_at)


def throttled(response: Response, said: Said) -> Later:
    """Return what a 429 means: the lane closes for everyone and no attempt is spent."""
    error = row_error(ErrorKind.THROTTLED, response, said)
    return Later(error, retry_after_s(response), throttled=True)


def doubt(response: Response, said: Said, why: str) -> Doubt:
    """Return a doubt that says *why*, with the API's own words behind it."""
    heard = said.text or readable(response)
    error = row_error(ErrorKind.UNKNOWN_OUTCOME, response, said, f"{why}: {heard}")
    return Doubt(error)


def accepted(response: Response, job_id: str | None) -> Accepted | None:
    """Return that a job was made, as nearly every answer says: a 2xx that names it."""
    if job_id is None or not 200 <= response.status < 300:
        return None

    return Accepted(job_id, request_id_of(response))


def submit_verdict(response: Response, said: Said, job_id: str | None) -> SubmitVerdict:
    """Say what an answer to a submit means; *job_id* is what stands where the API puts it."""
    status = response.status
    if made := accepted(response, job_id):
        return made

    if 200 <= status < 300:
        return doubt(response, said, f"HTTP {status} without a readable job id")

    if job_id is not None:
        return doubt(response, said, f"HTTP {status}, but the answer names job {job_id}")

    if 300 <= status < 500 or status in LATER:
        return _refusal(response, said)

    return doubt(response, said, f"HTTP {status} does not say whether a job was made")


def _refusal(response: Response, said: Said) -> SubmitVerdict:
    """Say what a 3xx, a 4xx or a 503 on a submit means: none of them made a job."""
    status = response.status
    if status in HALTS:
        return halt(response, said, status)

    if status == 429:
        return throttled(response, said)

    if status in LATER:
        return Later(row_error(LATER[status], response, said), retry_after_s(response))

    message = _redirect(response) if status < 400 else ""
    return Refused(row_error(ErrorKind.INVALID_REQUEST, response, said, message))


def status_verdict(response: Response, said: Said) -> StatusVerdict:
    """Say what an answer to a status read means whose body did not tell the job's state."""
    status = response.status
    if status == 202:
        return Pending(retry_after_s=retry_after_s(response))

    if status in (401, 403):
        return halt(response, said, status)

    # A page under a 404 is a gateway's or a wrong address's: it knows nothing about any job.
    if status in (404, 410) and not is_page(response):
        return Missing(row_error(ErrorKind.NOT_FOUND, response, said))

    return question_verdict(response, said)


def question_verdict(response: Response, said: Said, message: str = "") -> Later | Unreadable:
    """Say what an answer means that does not answer a question which costs nothing.

    Only a 429, and a 503 that says how long, ask for a pause; all else is no news, and never proof
    of anything. A *message* takes the place of what the API said.
    """
    status = response.status
    if status == 429:
        return throttled(response, said)

    wait_s = retry_after_s(response) if status == 503 else None
    kind = HALTS[status][0] if status in HALTS else _trouble(status)
    text = message or (_redirect(response) if 300 <= status < 400 else "")
    error = row_error(kind, response, said, text)
    return Unreadable(error) if wait_s is None else Later(error, wait_s)


def _trouble(status: int) -> ErrorKind:
    """Tell a server's own trouble from an answer that makes no sense."""
    waits = status in (408, 425) or status >= 500
    return ErrorKind.UNAVAILABLE if waits else ErrorKind.PROTOCOL


def _redirect(response: Response) -> str:
    """Name a redirect for what it is: it is never followed, a key would travel along."""
    target = clean(response.headers.get("location", "")) or "nowhere"
    return f"HTTP {response.status}, a redirect to {target}: check the base URL"
