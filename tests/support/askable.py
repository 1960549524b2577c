"""An API that can be asked again: Removit's dialect with a key, a list of jobs, or both.

Neither of the two APIs has either, so the simulator can be told to (`idempotent=`, `listing=`), and
this is the dialect of such an API. The key and the mark travel in headers.
"""

from __future__ import annotations

from typing import Any

from batcher.core.exchange import Request, Response
from batcher.core.model import ErrorKind
from batcher.core.verdict import JobsPage, JobsVerdict, ListedJob, Unreadable
from batcher.providers import answers, reading
from batcher.providers.answers import Said, row_error
from batcher.providers.base import Idempotency, Listing, Provider
from batcher.providers.marks import in_header


class PlainList:
    """The list as the simulator has it."""

    pause_s = 0.1

    def __init__(self, settle_s: float) -> None:
        self.settle_s = settle_s

    def mark(self, request: Request, mark: str) -> Request:
        """Put the mark into a header."""
        return in_header("Client-Reference")(request, mark)

    def page(self, cursor: str | None, since: float) -> Request:
        """Ask for a page; this API cannot leave out what is old."""
        return Request("GET", "/jobs" if cursor is None else f"/jobs?cursor={cursor}")

    def read_page(self, response: Response) -> JobsVerdict:
        """Believe a page that is whole."""
        body = reading.json_object(response.body)
        if response.status != 200:
            return answers.question_verdict(response, Said())

        if not isinstance(body.get("data"), list) or "next" not in body:
            return Unreadable(row_error(ErrorKind.PROTOCOL, response, Said()))

        jobs = tuple(ListedJob(job["id"], job["client_reference"]) for job in body["data"])
        return JobsPage(jobs, body["next"])


class AskableDialect:
    """A dialect with what it is given, over another one."""

    def __init__(
        self, inner: Provider, honoured_s: float | None = None, settle_s: float | None = None
    ) -> None:
        key = in_header("Idempotency-Key")
        self.idempotency = None if honoured_s is None else Idempotency(key, honoured_s)
        self.listing: Listing | None = None if settle_s is None else PlainList(settle_s)
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
