"""What the engine tells claims, and what it does with what they say: submits and polls."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from batcher.core.errors import NotSent
from batcher.core.exchange import Request, Response, Transport
from batcher.core.model import RowError, Stop, StopReason, Ticket
from batcher.core.secret import Secret
from batcher.engine.doubt.adoption import Claim
from batcher.engine.run import Run
from batcher.engine.webhooks.claims import Claims, Ways
from batcher.providers.base import Callback
from tests.engine.harness import FLUX, Death, Night, prompt

pytestmark = pytest.mark.virtual


class Told(Claims):
    """Claims that note what they are told, and answer as a test says."""

    def __init__(
        self,
        *,
        called: bool = False,
        holds: bool = False,
        named: Callable[[Ticket], str | None] = lambda _ticket: None,
    ) -> None:
        self.said: list[tuple[str, int, int]] = []  # what, row, generation
        self.held: list[tuple[Ticket, RowError]] = []
        self.followed: dict[int, Ticket] = {}
        self.ways: Ways | None = None
        self._called = called
        self._holds = holds
        self._named = named

    @property
    def calls(self) -> bool:
        """As the test says."""
        return self._called

    def callback(self, n: int, generation: int) -> Callback | None:
        """Note it, and give every attempt its own address."""
        self.said.append(("callback", n, generation))
        return None if not self._called else Callback(f"https://x.example/{n}/{generation}", KEY)

    def expect(self, ticket: Ticket) -> None:
        """Note it."""
        self.said.append(("expect", ticket.row.n, ticket.generation))

    def settled(self, ticket: Ticket) -> str | None:
        """Note it, and name a job if the test does."""
        self.said.append(("settled", ticket.row.n, ticket.generation))
        return self._named(ticket)

    def hold(self, ticket: Ticket, error: RowError) -> bool:
        """Note it, and keep the ticket if the test says so."""
        self.said.append(("hold", ticket.row.n, ticket.generation))
        if self._holds:
            self.held.append((ticket, error))

        return self._holds

    def follow(self, ticket: Ticket) -> None:
        """Note it."""
        self.said.append(("follow", ticket.row.n, ticket.generation))
        self.followed[ticket.row.n] = ticket

    def forget(self, ticket: Ticket) -> None:
        """Note it."""
        self.said.append(("forget", ticket.row.n, ticket.generation))

    async def run(self, ways: Ways) -> None:
        """Take the ways."""
        self.ways = ways
        await anyio.sleep_forever()


KEY = Secret("s" * 40, "a test")


def deapi(folder: Path, claims: Told, faults: str = "", rows: int = 1, **settings: Any) -> Night:
    """Return a night with an API that may call."""
    night = Night(folder, provider="deapi", params=FLUX, faults=faults, settings=settings)
    night.more = {"claims": claims}
    night.write_rows([prompt(n) for n in range(rows)])
    return night


# SUBMITS


async def test_every_step_of_a_submit_is_told_in_order(tmp_path: Path) -> None:
    """An address for the attempt to be, the intent, the answer, the poll, the end."""
    claims = Told()
    night = deapi(tmp_path, claims, "duration=3")
    await night.process()

    steps = list(dict.fromkeys(what for what, _, _ in claims.said))
    assert steps == ["callback", "expect", "settled", "follow", "forget"]
    assert claims.said[-1] == ("forget", 1, 1)
    assert {(n, generation) for _, n, generation in claims.said} == {(1, 1)}


async def test_an_attempt_is_expected_only_once_its_intent_is_durable(tmp_path: Path) -> None:
    """A process that dies before that has sent nothing: nobody waits for a call."""
    claims = Told()
    night = deapi(tmp_path, claims, rows=5)
    for at_write in range(1, 6):
        claims.said.clear()
        await night.doomed_process(Death(at_write=at_write))
        with night.books() as (journal, _):
            submitted = journal.counters()["submits"]

        assert len([1 for what, _, _ in claims.said if what == "expect"]) <= submitted


async def test_each_attempt_has_an_address_of_its_own(tmp_path: Path) -> None:
    """The address is in the request; another attempt of the row gets another one."""
    claims = Told(called=True)
    night = deapi(tmp_path, claims, "503=0.7")
    sent: list[str] = []

    class Watched:
        inner: Transport = night.transport

        async def send(self, request: Request, *, timeout_s: float) -> Response:
            if request.method == "POST":
                sent.append(orjson.loads(request.json or b"{}")["webhook_url"])

            return await self.inner.send(request, timeout_s=timeout_s)

    night.transport = Watched()
    await night.process(max_attempts=20)

    assert len(sent) > 1
    assert sent == [f"https://x.example/1/{n}" for n in range(1, len(sent) + 1)]


async def test_every_answer_but_a_doubt_is_settled(tmp_path: Path) -> None:
    """A 429 or a 503 needs no claim; a lost answer is offered to be held, else it is a doubt."""
    claims = Told()
    night = deapi(tmp_path, claims, "429=0.3,503=0.3,drop_after=0.5,retry_after_s=1", rows=20)
    await night.process(max_attempts=20)

    expected = [(n, g) for what, n, g in claims.said if what == "expect"]
    settled = {(n, g) for what, n, g in claims.said if what == "settled"}
    offered = {(n, g) for what, n, g in claims.said if what == "hold"}
    assert settled.isdisjoint(offered)
    assert settled | offered == set(expected)
    assert len(offered) == night.counts()["in_doubt"] > 0


async def test_a_claimed_job_is_accepted_and_collected(tmp_path: Path) -> None:
    """The answer was lost; the call names the job; the row succeeds and was paid once."""
    claims = Told(holds=True)
    night = deapi(tmp_path, claims, "drop_after=1,duration=30", rows=3, max_jobs=3)

    async def call(run: Run) -> None:
        await anyio.sleep(20)
        assert run.snapshot().in_flight == 3
        assert claims.ways is not None
        jobs = list(night.simulation.ledger.jobs)
        for (ticket, _), job_id in zip(claims.held, jobs, strict=True):
            await claims.ways.accept(ticket, job_id)

    assert await night.process(call) is None
    assert night.counts() == {"succeeded": 3}
    night.assert_no_row_paid_twice()
    night.assert_books_agree()


async def test_an_unclaimed_job_is_in_doubt(tmp_path: Path) -> None:
    """Nobody called: the row is held in doubt, with the reason of the lost answer."""
    claims = Told(holds=True)
    night = deapi(tmp_path, claims, "drop_after=1", rows=2)

    async def expire(run: Run) -> None:
        await anyio.sleep(120)
        assert claims.ways is not None
        for ticket, error in claims.held:
            await claims.ways.doubt(ticket, error)

    await night.process(expire)

    assert night.counts() == {"in_doubt": 2}
    assert {r["error"]["kind"] for r in night.records("in_doubt")} == {"unknown_outcome"}
    night.assert_books_agree()


async def test_a_budget_waits_for_what_is_held(tmp_path: Path) -> None:
    """A submit that waits for its call is open: what it reserved is neither spent nor free."""
    claims = Told(holds=True)
    night = deapi(tmp_path, claims, "drop_after=1", rows=9, max_cost=0.003)

    async def expire(run: Run) -> None:
        await anyio.sleep(100)
        assert run.control.stop is None
        assert len(claims.held) == 2
        assert claims.ways is not None
        for ticket, error in claims.held:
            await claims.ways.doubt(ticket, error)

    stop = await night.process(expire)

    assert stop is not None
    assert stop.reason is StopReason.BUDGET
    assert len(night.simulation.ledger.jobs) == 2


@pytest.mark.parametrize("answer", ["503", "error_before"])
async def test_a_job_that_a_call_named_is_not_submitted_again(answer: str, tmp_path: Path) -> None:
    """The API refuses for now, and yet a call came for this very attempt: there is a job."""
    made: list[str] = []
    claims = Told(named=lambda _ticket: made[0] if made else None)
    night = deapi(tmp_path, claims)
    inner = night.transport

    class Liar:
        async def send(self, request: Request, *, timeout_s: float) -> Response:
            real = await inner.send(request, timeout_s=timeout_s)
            if request.method != "POST":
                return real

            made.append(orjson.loads(real.body)["data"]["request_id"])
            return Response(503 if answer == "503" else 500, b'{"message":"Server Error"}')

    night.transport = Liar()
    await night.process()

    assert night.counts() == {"succeeded": 1}
    assert len(made) == 1


@pytest.mark.parametrize("is_named", [False, True])
async def test_a_run_that_is_cut_off_holds_nothing_for_a_claim(
    is_named: bool, tmp_path: Path
) -> None:
    """The process ends: what a call has named is accepted, all else is in doubt at once."""
    named: list[str] = []
    claims = Told(holds=True, named=lambda _ticket: named[0] if named else None)
    night = deapi(tmp_path, claims, "hang=1")

    async def end(run: Run) -> None:
        await anyio.sleep(5)
        if is_named:
            named.extend(night.simulation.ledger.jobs)

        run.control.abort(Stop(StopReason.INTERRUPTED, "signal"))

    await night.process(end)

    counters = night.counters()
    assert (counters["accepted"], counters["in_doubt"]) == ((1, 0) if is_named else (0, 1))


# POLLS


def reads(night: Night) -> list[float]:
    """Return when status reads arrived, from the first submit on."""
    ledger = night.simulation.ledger
    return [at - ledger.submits_at[0] for at in ledger.reads_at]


async def test_with_calls_polling_is_late_and_slow(tmp_path: Path) -> None:
    """It is the safety net: a first look after minutes, long pauses, yet before the deadline."""
    night = deapi(tmp_path, Told(called=True), "stuck=1", job_timeout_s=3_600.0)
    await night.process()

    looks = reads(night)
    pauses = [b - a for a, b in pairwise(looks)]
    assert 80 <= looks[0] <= 160
    assert max(pauses) <= 601
    assert len(looks) <= 14
    assert any(3_599 <= at <= 3_601 for at in looks)
    assert night.counts() == {"exhausted": 1}


async def test_a_call_makes_the_poll_due_now(tmp_path: Path) -> None:
    """The job is read at once, and if it is not done to the reader, soon again."""
    claims = Told(called=True)
    night = deapi(tmp_path, claims, "duration=25")

    async def call(run: Run) -> None:
        await anyio.sleep(20)
        assert claims.ways is not None
        assert claims.ways.hasten(claims.followed[1])
        await anyio.sleep(0.01)
        assert run.snapshot().counters  # the read is out, or back
        assert len(night.simulation.ledger.reads_at) == 1

    await night.process(call)

    looks = reads(night)
    assert looks[0] == pytest.approx(20, abs=0.5)
    assert looks[-1] < 60
    assert night.counts() == {"succeeded": 1}


async def test_a_job_that_is_not_waiting_cannot_be_hastened(tmp_path: Path) -> None:
    """While it is being read the call is told so, and can come back."""
    claims = Told(called=True)
    night = deapi(tmp_path, claims, "duration=100,latency=10")

    async def call(run: Run) -> None:
        await anyio.sleep(20)
        assert claims.ways is not None
        assert claims.ways.hasten(claims.followed[1])
        await anyio.sleep(1)
        assert not claims.ways.hasten(claims.followed[1])

    await night.process(call)


async def test_a_job_whose_time_is_up_is_not_waited_for_by_calls(tmp_path: Path) -> None:
    """The API is gone, and nobody will call: the last looks are spaced as without webhooks."""
    night = deapi(tmp_path, Told(called=True), "stuck=1", rows=3, job_timeout_s=60.0)
    inner, begin = night.transport, anyio.current_time()

    class Gone:
        async def send(self, request: Request, *, timeout_s: float) -> Response:
            if anyio.current_time() > begin + 30:
                raise NotSent("refused")

            return await inner.send(request, timeout_s=timeout_s)

    night.transport = Gone()
    await night.process()

    assert night.counts() == {"exhausted": 3}
    assert anyio.current_time() - begin < 240


async def test_jobs_of_an_earlier_process_are_looked_at_once(tmp_path: Path) -> None:
    """Its calls may have come while nobody listened."""
    night = deapi(tmp_path, Told(called=True), "duration=30", rows=3)
    await night.doomed_process(Death(at_s=10.0))
    await anyio.sleep(100)
    before = anyio.current_time()
    await night.process()

    assert anyio.current_time() - before < 5
    assert night.counts() == {"succeeded": 3}


async def test_a_row_out_of_doubt_is_polled(tmp_path: Path) -> None:
    """A late call gave a row in doubt its job: it is followed as any, from now on."""
    claims = Told()
    night = deapi(tmp_path, claims, "drop_after=1,duration=5")
    await night.process()
    (job_id,) = night.simulation.ledger.jobs
    night.write_rows([prompt(0), prompt(1)])
    night.simulation.plan = type(night.simulation.plan).parse("duration=60")

    async def adopt(run: Run) -> None:
        await anyio.sleep(1)
        ways = claims.ways
        assert ways is not None

        assert await ways.take_out([Claim(1, 1, job_id, "a call")]) == [True]

    assert await night.process(adopt) is None
    assert night.counts() == {"succeeded": 2}
