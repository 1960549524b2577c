"""Webhooks: the claims of a run whose API calls. `claims.py` is what the engine sees of it.

Rule: a call can do three things, and nothing else. It makes one read due that would come anyway; it
names the job of a submit that was not answered; it takes a row out of doubt. What became of a job
is never read from a call.

Theory of operation
-------------------
A call is proved by its signature, with a secret that only the API and we know, for one attempt of
one row. For a job that is followed it is a hint, and done with at once. Everything else goes to one
task, which takes one step after the other: so no call falls between two steps of a row.

"200" tells the API that it need not call again. So it is said when what the call told is durable,
or of no further use. A job that is named while its submit is still open is kept as a fact of the
journal until then: if the process dies, the next one finds it beside the intent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf

import anyio

from batcher.adapters.webhooks import Answer
from batcher.core.model import RowError, Ticket
from batcher.core.settings import JOB_ID_CHARS_MAX
from batcher.core.verdict import BadCall, JobEvent
from batcher.engine.clock import Clock
from batcher.engine.webhooks.addresses import Addresses
from batcher.engine.webhooks.attempts import WORDS_MAX, Attempts, Followed, Held
from batcher.engine.webhooks.claims import Claims, Ways
from batcher.engine.webhooks.registrar import Call, Registrar
from batcher.engine.webhooks.reports import CallReports
from batcher.providers.base import Callback, Callbacks

SILENT_JOBS = 20  # that end without one call: then calls are not relied on
CALLS_MAX = 1_000  # that wait for their turn
PLACE_S = 5.0  # until then a call must have found its place, or the API is to call again
RECHECK_S = 0.05  # until a call is placed again that came while its attempt was being answered


class WebhookClaims(Claims):
    """The claims of one run. At most *held_max* tickets wait for a call, each *wait_s* long."""

    def __init__(
        self,
        callbacks: Callbacks,
        addresses: Addresses,
        attempts: Attempts,
        reports: CallReports,
        clock: Clock,
        *,
        wait_s: float,
        held_max: int,
    ) -> None:
        self._callbacks = callbacks
        self._addresses = addresses
        self._attempts = attempts
        self._reports = reports
        self._clock = clock
        self._wait_s = wait_s
        self._held_max = held_max
        self._calls: list[Call] = []  # for the registrar
        self._late: list[Followed] = []  # to be looked at as soon as they are queued
        self._silent = 0  # jobs that ended uncalled since the last call
        self._bell = anyio.Event()
        self._ways: Ways | None = None
        self._ended = False

    # --- What the engine says ----------------------------------------------------------------

    @property
    def calls(self) -> bool:
        """Whether calls come, as far as jobs that ended show."""
        return self._silent < SILENT_JOBS

    def callback(self, n: int, generation: int) -> Callback | None:
        """Return where the API is to call for one attempt."""
        return self._addresses.of(n, generation)

    def expect(self, ticket: Ticket) -> None:
        """Note that a submit is about to leave."""
        self._attempts.expect(ticket)

    def settled(self, ticket: Ticket) -> str | None:
        """Note that the answer came; return the job that a call named before it."""
        return self._attempts.answered(ticket)

    def hold(self, ticket: Ticket, error: RowError) -> bool:
        """Wait for a call, unless too many wait: a row can be taken out of doubt again, too."""
        self._attempts.close(ticket.row.n)
        is_named = self._attempts.named_of(ticket) is not None
        if self._ended or not (is_named or len(self._attempts.held) < self._held_max):
            return False

        self._attempts.hold(Held(ticket, error, self._clock.now() + self._wait_s))
        self._bell.set()
        return True

    def follow(self, ticket: Ticket) -> None:
        """Note that a job is polled; a call that came before it was queued counts now."""
        job, named = self._attempts.follow(ticket)
        if named not in (None, ticket.job_id):
            self._reports.other_job(ticket.row.id, ticket.job_id, named)

        if job.missed:
            self._late.append(job)
            self._bell.set()

    def forget(self, ticket: Ticket) -> None:
        """Note that a row has its outcome."""
        job = self._attempts.forget(ticket)
        if job is not None and job.is_ours and not job.is_called:
            self._silent += 1
            if self._silent == SILENT_JOBS:
                self._reports.silent(SILENT_JOBS)

    # --- What the API says -------------------------------------------------------------------

    async def take(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Look at a call: its path, its headers by lower-case names and its raw body."""
        try:
            call = self._proved(path, headers, body)
        except Exception as error:
            self._reports.failed(error)
            return Answer.BUSY

        if isinstance(call, Answer):
            return call

        if self._hint(call):
            return Answer.TAKEN

        if self._ended or len(self._calls) >= CALLS_MAX:
            return Answer.BUSY

        self._calls.append(call)
        self._bell.set()
        await call.done.wait()
        return call.answer

    def _proved(self, path: str, headers: Mapping[str, str], body: bytes) -> Call | Answer:
        """Return the call, or the answer to what is not proved to be one."""
        address = self._addresses.read(path)
        if address is None:
            self._reports.no_address()
            return Answer.UNKNOWN

        now = self._clock.wall()
        verdict = self._callbacks.read(headers, body, secret=address.secret, now=now)
        if isinstance(verdict, BadCall):
            self._reports.unproved(address.n, verdict.reason)
            return Answer.UNPROVED

        self._silent = 0
        call = Call(address.n, address.generation, verdict, self._clock.now() + PLACE_S)
        if 0 < len(verdict.job_id) <= JOB_ID_CHARS_MAX:
            return call

        self._reports.foreign(call.n, call.generation, verdict)
        return Answer.TAKEN

    def _hint(self, call: Call) -> bool:
        """Make the poll of a followed job due; False if the job is not followed.

        Once for each word of the API: a call that is repeated does not cost another read.
        """
        job = self._attempts.followed(call.n, call.generation)
        if job is None:
            return False

        event = call.event
        job.is_called = True
        if job.ticket.job_id != event.job_id:
            self._reports.other_job(job.ticket.row.id, job.ticket.job_id, event.job_id)
        elif event.is_end and event.word not in job.words and len(job.words) < WORDS_MAX:
            job.words.add(event.word)
            self._late.append(job)
            self._look_at_late()

        return True

    def _look_at_late(self) -> None:
        """Make polls due; who is being polled just now is looked at again after that."""
        while self._ways is not None and self._late:
            job = self._late.pop()
            job.missed = not self._ways.hasten(job.ticket)

    # --- What follows from it ----------------------------------------------------------------

    async def run(self, ways: Ways) -> None:
        """Serve until cancelled; what is still held then is in doubt."""
        self._ways = ways
        self._calls += self._leftovers()
        registrar = Registrar(self._attempts, self._reports, self._clock, ways)
        try:
            while True:
                self._bell = anyio.Event()
                self._look_at_late()
                await registrar.place([call for call in self._calls if not self._is_hint(call)])
                await registrar.expire(self._clock.now())
                self._calls = [call for call in self._calls if not call.done.is_set()]
                with anyio.move_on_after(self._idle_s()):
                    await self._bell.wait()
        finally:
            self._ended = True
            for call in self._calls:
                call.end(Answer.BUSY)

            await registrar.expire(inf)

    def _leftovers(self) -> Iterator[Call]:
        """Yield again what an earlier process was told, for rows that have gone on since."""
        until = self._clock.now() + PLACE_S
        for n, generation, job_id in self._attempts.leftovers():
            yield Call(n, generation, JobEvent(job_id, "", "to an earlier process"), until)

    def _is_hint(self, call: Call) -> bool:
        """Whether a call that had to wait is for a job that is followed by now."""
        if not self._hint(call):
            return False

        call.end(Answer.TAKEN)
        return True

    def _idle_s(self) -> float:
        """Return for how long only the bell brings something to do."""
        until = min((held.until for held in self._attempts.held.values()), default=inf)
        return min(RECHECK_S if self._calls else inf, max(0.0, until - self._clock.now()))
