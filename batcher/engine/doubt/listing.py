"""The list: rows in doubt whose jobs the API's own list of jobs shows, or shows not to exist.

Rule: a job in the list is its row's, at once. A job that is not in it does not exist, if the list
was read whole, twice, and the row had settled before: the submit is over (its time-out has passed,
or its process is dead), and `settle_s` more. Anything less proves nothing, and the row stays held.

One walk serves all rows in doubt, of this process and of earlier ones: they stand in the journal,
so that waiting costs no slot and no memory, and a later process goes on where this one ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import anyio

from batcher.core.journal import Journal
from batcher.core.lifecycle import State
from batcher.core.model import Ticket
from batcher.engine.context import Context
from batcher.engine.doubt.adopter import Adopter
from batcher.engine.doubt.adoption import Claim
from batcher.engine.doubt.ages import Ages
from batcher.engine.doubt.resend import Resent
from batcher.engine.doubt.walk import Found, Walker
from batcher.providers.base import Listing

WALK_EVERY_S = 20.0  # from the end of one walk to the next
END_WAIT_S = 300.0  # at the end of a run, for rows that have not settled
ROWS_MAX = 10_000  # rows that one walk looks for, and that are known to be beyond its help
ABSENCES = 2  # so many whole walks must miss a job: a list may be read from a copy that lags
LATE_S = 60.0  # from an intent's time until its submit has left, at the most
SINCE_S = 86_400.0  # clocks differ, and time zones are mistaken
PAGE_ROWS = 500


@dataclass(slots=True)
class Sought:
    """A row in doubt, as a walk looks for its job."""

    n: int
    row_id: str
    generation: int
    at: float  # of its intent, in epoch seconds
    settles_s: float  # in so many seconds an absence counts; 0 = now
    may_retry: bool  # it has attempts left


class Lister:
    """Asks the list."""

    def __init__(
        self,
        context: Context,
        listing: Listing,
        adopter: Adopter,
        resent: Resent,
    ) -> None:
        self._context = context
        self._listing = listing
        self._adopter = adopter
        self._resent = resent
        self._walker = Walker(context, listing)
        self._ages = Ages(context.clock)
        self._began = context.clock.now()
        self._missed: dict[int, int] = {}  # row -> whole walks that did not find its job
        self._beyond: set[int] = set()  # rows of which the list has said all it can
        self._over_at: dict[int, float] = {}  # row -> when its submit ended, in this process
        self._not_before = 0.0  # the event loop's time of the next walk at the earliest
        self._due = 0.0  # the event loop's time of the next walk; infinite: there is nothing to ask
        self._open = anyio.Event()
        self._bell = anyio.Event()
        self._turned = anyio.Event()

    def note(self, ticket: Ticket) -> None:
        """Note that there is another row in doubt: its submit is over."""
        now = self._context.clock.now()
        if len(self._over_at) < ROWS_MAX:
            self._over_at[ticket.row.n] = now

        self._due = min(self._due, now)
        self._bell.set()

    def begin(self) -> None:
        """Let the first walk begin: which rows are sent again in its place is decided."""
        self._open.set()

    async def run(self) -> None:
        """Walk whenever there is something to be learned, until cancelled."""
        await self._open.wait()
        while True:
            self._bell = anyio.Event()
            self._due = self._context.clock.now() + await self._turn()
            self._turned.set()
            self._turned = anyio.Event()
            with anyio.move_on_after(self._due - self._context.clock.now()):
                await self._bell.wait()

    async def wait_at_end(self) -> None:
        """Wait, though nothing else is to be done, while the list may still tell of rows.

        Ends when a row is in flight again, or all is said, or the time is up.
        """
        until = self._context.clock.now() + END_WAIT_S
        with anyio.move_on_after(END_WAIT_S):
            while self._due <= until and not self._context.slots.used:
                await self._turned.wait()

    # --- One turn ----------------------------------------------------------------------------

    async def _turn(self) -> float:
        """Look for rows in doubt, ask for them, and return in how long to do so again."""
        sought = await self._sought()
        settles_s = min((one.settles_s for one in sought.values()), default=inf)
        wait_s = max(settles_s, self._not_before - self._context.clock.now())
        if wait_s > 0:
            return wait_s

        found = await self._walker.walk(sought, min(one.at for one in sought.values()) - SINCE_S)
        self._tell(found, sought)
        await self._take_out(found, sought)
        self._not_before = self._context.clock.now() + WALK_EVERY_S
        return WALK_EVERY_S

    async def _sought(self) -> dict[str, Sought]:
        """Return rows in doubt by their marks."""
        marks, wanted, known = self._context.marks, self._is_sought, frozenset(self._over_at)
        tickets = await self._context.recorder.ask(lambda journal: _in_doubt(journal, wanted))
        sought = [self._as_sought(ticket) for ticket in tickets]
        numbers = {one.n for one in sought}
        self._missed = {n: self._missed.get(n, 0) for n in numbers}
        gone = known - numbers  # not those that came into doubt meanwhile
        self._over_at = {n: at for n, at in self._over_at.items() if n not in gone}
        return {marks.of_attempt(one.n, one.generation): one for one in sought}

    def _is_sought(self, ticket: Ticket) -> bool:
        n = ticket.row.n
        is_busy = n in self._beyond or n in self._resent.rows
        return not is_busy and self._context.marks.is_listed(ticket)

    def _as_sought(self, ticket: Ticket) -> Sought:
        assert ticket.submitted_at is not None  # noqa: S101  # `is_listed` has looked
        over_s = self._over_s(ticket.row.n, ticket.submitted_at)
        return Sought(
            ticket.row.n,
            ticket.row.id,
            ticket.generation,
            ticket.submitted_at,
            max(0.0, self._listing.settle_s - over_s),
            ticket.spent + 1 < self._context.settings.max_attempts,
        )

    def _over_s(self, n: int, at: float) -> float:
        """Return for how long the submit of row *n* is over at least, whose intent was at *at*.

        An earlier process's ended with it. Where submits are sent again, all of them have to rest.
        """
        context, now = self._context, self._context.clock.now()
        over_s = self._ages.least_s(at) - LATE_S - context.settings.submit_timeout_s
        if n in self._over_at:  # first: with a clock that was set back our own look like earlier
            over_s = max(over_s, now - self._over_at[n])
        elif at < self._ages.began_at:
            over_s = max(over_s, now - self._began)

        if context.marks.idempotency is not None:
            resent_at = self._resent.last_at
            over_s = min(over_s, now - (self._began if resent_at is None else resent_at))

        return over_s

    async def _take_out(self, found: Found, sought: dict[str, Sought]) -> None:
        """Let rows leave their doubt whose jobs were found, or are proved not to exist."""
        claims = [claim for mark, one in sought.items() if (claim := self._claim(mark, one, found))]
        answers = await self._adopter.take_out(claims) if claims else []
        for claim, is_taken in zip(claims, answers, strict=True):
            self._context.log.info(
                "doubt.listed" if claim.job_id is not None else "doubt.not_listed",
                n=claim.n,
                job_id=claim.job_id,
                is_taken=is_taken,
            )
            if is_taken is False and len(self._beyond) < ROWS_MAX:  # the job is another row's
                self._beyond.add(claim.n)

    def _claim(self, mark: str, one: Sought, found: Found) -> Claim | None:
        """Return what the list says of one row, if it says anything."""
        job_id = found.jobs.get(mark)
        if job_id is not None:
            return Claim(
                one.n, one.generation, job_id, f"the list has job {job_id} for this submit"
            )

        if not found.is_whole or one.settles_s > 0 or one.n in self._resent.rows:
            return None

        self._missed[one.n] += 1
        if self._missed[one.n] < ABSENCES:
            return None

        if not one.may_retry:  # a person may still let it go on
            self._beyond.add(one.n)
            return None

        note = f"the list has no job for this submit, read whole {ABSENCES} times after it settled"
        return Claim(one.n, one.generation, None, note)

    def _tell(self, found: Found, sought: dict[str, Sought]) -> None:
        """Report what a person should know of a walk."""
        for mark, job_id in found.others.items():
            self._context.log.warning(
                "doubt.second_job", id=sought[mark].row_id, job_id=found.jobs[mark], other=job_id
            )

        if found.error is not None:
            text = f"the list of jobs could not be read whole: {found.error.message}"
            self._context.notices.tell("doubt.list", text, once="doubt.list")


def _in_doubt(journal: Journal, wanted: Callable[[Ticket], bool]) -> list[Ticket]:
    """Return rows in doubt, as many as one walk looks for."""
    tickets: list[Ticket] = []
    after = 0
    while len(tickets) < ROWS_MAX and (page := journal.held(State.IN_DOUBT, after, PAGE_ROWS)):
        tickets += [held.ticket for held in page if wanted(held.ticket)]
        after = page[-1].ticket.row.n

    return tickets[:ROWS_MAX]
