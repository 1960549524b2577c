"""One submit on its way: from the request to what is known of the job.

Rule: the absence of an answer is a verdict too. Only a failure that proves that nothing left is not
a doubt; and only one that was not our own machine's says anything of the API.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from batcher.core.errors import Lost, NotSent
from batcher.core.exchange import Request
from batcher.core.model import ErrorKind, RowError, Ticket
from batcher.core.verdict import Accepted, Doubt, Later, SubmitVerdict
from batcher.engine.context import Context
from batcher.engine.lanes.headroom import Headroom


@dataclass(frozen=True, slots=True)
class Stuck:
    """Nothing left, for a reason of this machine: an unreadable file, no more descriptors."""

    error: RowError


async def answer_of(
    context: Context, room: Headroom, ticket: Ticket, request: Request
) -> SubmitVerdict | Stuck:
    """Send a submit once and say what became of it."""
    context.recorder.count("submit_requests")
    try:
        response = await context.transport.send(
            request, timeout_s=context.settings.submit_timeout_s
        )
    except NotSent as failure:
        error = RowError(ErrorKind.CONNECTION, failure.reason, retriable=True)
        return Stuck(error) if failure.local else Later(error)
    except Lost as failure:
        return Doubt(unknown(failure.reason))

    room.note(context.provider.windows(response))
    verdict = context.provider.read_submit(response)
    if not isinstance(verdict, Accepted):
        context.log_answer("submit", ticket, response, verdict.error)

    if isinstance(verdict, Later) and verdict.resubmission:
        return _advised(context, verdict)

    return verdict


def _advised(context: Context, verdict: Later) -> SubmitVerdict:
    """Return what the API's advice to submit again means: it is no proof that no job was made.

    It is followed unless the user holds such rows, or there is a safer way to do the same.
    """
    message, kind = verdict.error.message, ErrorKind.UNKNOWN_OUTCOME
    if context.settings.on_500 == "hold":
        message = f"{message}; held by --on-500 hold"
    elif context.marks.idempotency is None:
        return verdict

    return Doubt(replace(verdict.error, kind=kind, message=message, retriable=False))


def unknown(reason: str) -> RowError:
    """Return the error of a row whose job may exist without anybody knowing it."""
    message = f"{reason}; a job may exist and may have been charged"
    return RowError(ErrorKind.UNKNOWN_OUTCOME, message, retriable=False)
