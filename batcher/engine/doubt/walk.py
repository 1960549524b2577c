"""One walk through the API's list of jobs, from its first page to its last.

Rule: a walk is whole or it is not. A page that cannot be read, and a list that is longer than so
many pages, leave it incomplete: what it found is true all the same, what it did not find is not.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

import anyio

from batcher.core.backoff import Backoff
from batcher.core.errors import TransportError
from batcher.core.model import ErrorKind, RowError
from batcher.core.verdict import JobsPage, JobsVerdict, Later, Unreadable
from batcher.engine.context import Context
from batcher.providers.base import Listing

PAGES_MAX = 1_000
TRIES_MAX = 4  # of one page
WAIT_S_MAX = 120.0  # a list that asks to wait for longer is left alone
RETRY = Backoff(first_s=1.0, factor=2.0, cap_s=30.0)


@dataclass(slots=True)
class Found:
    """What a walk saw of the marks that were looked for."""

    jobs: dict[str, str] = field(default_factory=dict)  # mark -> job id
    others: dict[str, str] = field(default_factory=dict)  # mark -> a second job under it
    error: RowError | None = None  # why the walk is not whole

    @property
    def is_whole(self) -> bool:
        """Whether a mark that was not found is not in the list."""
        return self.error is None


class Walker:
    """Walks, one page after the other and one walk at a time."""

    def __init__(self, context: Context, listing: Listing) -> None:
        self._context = context
        self._listing = listing

    async def walk(self, marks: Container[str], since: float) -> Found:
        """Look for *marks* among the jobs since that time, in epoch seconds."""
        found = Found()
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            page = await self._page(cursor, since)
            if not isinstance(page, JobsPage):
                found.error = page.error
                return found

            for job in page.jobs:
                if job.mark is not None and job.mark in marks:
                    first = found.jobs.setdefault(job.mark, job.job_id)
                    if first != job.job_id:
                        found.others[job.mark] = job.job_id

            cursor = page.next_cursor
            if cursor is None:
                return found

            await anyio.sleep(self._listing.pause_s)

        found.error = RowError(ErrorKind.PROTOCOL, f"the list has more than {PAGES_MAX:,} pages")
        return found

    async def _page(self, cursor: str | None, since: float) -> JobsVerdict:
        """Read one page, again if it fails."""
        tries = 0
        while True:
            verdict = await self._ask(cursor, since)
            tries += 1
            if isinstance(verdict, JobsPage) or tries >= TRIES_MAX:
                return verdict

            asked_s = verdict.retry_after_s or 0.0 if isinstance(verdict, Later) else 0.0
            if asked_s > WAIT_S_MAX:
                return verdict

            pause_s = RETRY.delay_s(tries, self._context.rng)
            await anyio.sleep(max(pause_s, asked_s, self._listing.pause_s))

    async def _ask(self, cursor: str | None, since: float) -> JobsVerdict:
        context = self._context
        context.recorder.count("list_requests")
        try:
            response = await context.transport.send(
                self._listing.page(cursor, since), timeout_s=context.settings.status_timeout_s
            )
        except TransportError as failure:
            return Unreadable(RowError(ErrorKind.CONNECTION, failure.reason, retriable=True))

        return self._listing.read_page(response)
