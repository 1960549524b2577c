"""Money on whole runs: prices before submits, a cap that nothing exceeds, and what rows cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from batcher.core.errors import Lost, NotSent, UsageError
from batcher.core.exchange import Request, Response, Transport
from batcher.core.model import Stop, StopReason
from batcher.core.money import nanos
from batcher.engine.run import Run
from tests.engine.harness import FLUX, Night, Scripted, prompt

pytestmark = pytest.mark.virtual

INTERRUPT = Stop(StopReason.INTERRUPTED, "signal")
PRICE = 0.00136  # of a picture of 512 pixels a side
TOO_MANY = b'{"message":"Too Many Attempts."}'

Rule = Callable[[Request], Response | Exception | None]


def deapi(folder: Path, faults: str = "", **settings: Any) -> Night:
    """Return a night with an API that quotes prices."""
    return Night(folder, provider="deapi", params=FLUX, faults=faults, settings=settings)


def is_question(request: Request) -> bool:
    """Whether a request asks for a price."""
    return request.path.endswith("/price")


class Asked:
    """A transport that notes what leaves, and answers some of it by a rule."""

    def __init__(self, inner: Transport, rule: Rule = lambda _request: None) -> None:
        self.prices: list[float] = []  # when they were asked for
        self.submits: list[float] = []
        self._inner = inner
        self._rule = rule

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Answer by the rule, or pass on."""
        if is_question(request):
            self.prices.append(anyio.current_time())
        elif request.method == "POST":
            self.submits.append(anyio.current_time())

        await anyio.sleep(0.01)
        answer = self._rule(request)
        if isinstance(answer, Exception):
            raise answer

        return answer or await self._inner.send(request, timeout_s=timeout_s)


def watched(night: Night, rule: Rule = lambda _request: None) -> Asked:
    """Put a watching transport before the night's own."""
    night.transport = asked = Asked(night.transport, rule)
    return asked


def only_prices(answer: Callable[[int], Response | Exception | None]) -> Rule:
    """Return a rule for price questions: their number decides."""
    count = 0

    def rule(request: Request) -> Response | Exception | None:
        nonlocal count
        if not is_question(request):
            return None

        count += 1
        return answer(count)

    return rule


# ASKING


async def test_rows_that_cost_the_same_are_asked_for_once(tmp_path: Path) -> None:
    """Two hundred rows of two sizes are two questions, though all of them ask at once."""
    night = deapi(tmp_path, quote=True)
    asked = watched(night)
    night.write_rows([prompt(n, 512 if n % 2 else 768) for n in range(200)])
    await night.process()

    assert len(asked.prices) == 2
    assert night.counts() == {"succeeded": 200}
    costs = {r["row"]["width"]: r["cost"] for r in night.records("succeeded")}
    assert costs == {512: PRICE, 768: pytest.approx(PRICE * 2.25)}
    assert night.counters()["cost"] == night.simulation.ledger.charged_nanos


async def test_a_price_that_was_raised_is_found_out(tmp_path: Path) -> None:
    """A night long the cap is held to what jobs cost now, not to what they cost at its start."""
    night = deapi(tmp_path, max_cost=1.0, rate="1/m", in_flight=1)
    asked = watched(night)
    night.write_rows([prompt(n) for n in range(120)])

    async def dearer(run: Run) -> None:
        await anyio.sleep(1_800)
        night.simulation.plan = type(night.simulation.plan)(price_usd=0.1)

    stop = await night.process(dearer)

    assert stop is not None
    assert stop.reason is StopReason.BUDGET
    assert night.simulation.ledger.charged_nanos <= nanos(1.0 + 15 * 0.1)
    assert len(asked.prices) <= 1 + 7_200 / 900


async def test_nobody_is_asked_unless_the_user_wants_to_know(tmp_path: Path) -> None:
    """A price costs a request of a scarce budget: without a reason none is asked for."""
    night = deapi(tmp_path)
    asked = watched(night)
    night.write_rows([prompt(n) for n in range(5)])
    await night.process()

    assert asked.prices == []
    assert {r["cost"] for r in night.records("succeeded")} == {None}


async def test_a_stated_price_is_taken_as_it_is(tmp_path: Path) -> None:
    """`--cost-per-job` asks nobody, and works with an API that quotes nothing."""
    for provider, params, rows in (
        ("deapi", FLUX, [prompt(n) for n in range(9)]),
        ("removit", {}, [{"file_url": f"https://x.example/{n}"} for n in range(9)]),
    ):
        folder = tmp_path / provider
        folder.mkdir()
        night = Night(folder, provider=provider, params=params)
        night.settings = {"max_cost": 0.05, "cost_per_job": 0.01}
        asked = watched(night)
        night.write_rows(rows)
        stop = await night.process()

        assert asked.prices == []
        assert stop is not None
        assert stop.reason is StopReason.BUDGET
        assert {r["cost"] for r in night.records("succeeded")} == {0.01}
        assert len(night.simulation.ledger.jobs) == 5


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_cost": 5.0}, "--max-cost: Removit quotes no prices; .* --cost-per-job"),
        ({"quote": True}, "--quote: Removit quotes no prices; .* --cost-per-job"),
        ({"max_cost": 5.0, "cost_per_job": float("inf")}, "--cost-per-job inf"),
        ({"max_cost": 5.0, "cost_per_job": -0.5}, "--cost-per-job -0.5"),
    ],
)
async def test_a_cap_that_cannot_be_kept_is_refused_at_the_start(
    settings: dict[str, Any], told: str, tmp_path: Path
) -> None:
    """Without any price a cap on money would be a promise that nobody can keep."""
    night = Night(tmp_path, settings=settings)
    night.write_urls(1)
    with pytest.raises(UsageError, match=told):
        await night.process()

    assert night.simulation.ledger.counts()["submits"] == 0


async def test_questions_keep_the_published_pace(tmp_path: Path) -> None:
    """A hundred sizes are asked for at no more than 50 a minute, and no row waits for another."""
    night = deapi(tmp_path, quote=True)
    night.params = {**FLUX, "tier": "basic"}
    asked = watched(night)
    night.write_rows([prompt(n, 256 + 128 * (n % 3)) for n in range(60)])
    night.write_rows(
        [{**prompt(n), "steps": 1 + n % 10, "width": 256 + n // 10 * 128} for n in range(60)]
    )
    await night.process()

    assert len(asked.prices) == 60
    assert max(sum(at <= t < at + 60 for t in asked.prices) for at in asked.prices) <= 51
    assert asked.submits[0] < asked.prices[3]  # the first rows did not wait for the last prices


async def test_a_row_without_a_price_takes_no_permit_of_the_submit_lane(tmp_path: Path) -> None:
    """At one submit a minute a slow question costs its own time and nobody's turn."""
    night = deapi(tmp_path, quote=True)

    class Slow:
        inner = night.transport

        async def send(self, request: Request, *, timeout_s: float) -> Response:
            if is_question(request) and b'"width":768' in (request.json or b""):
                await anyio.sleep(25.0)

            return await self.inner.send(request, timeout_s=timeout_s)

    night.transport = Slow()
    asked = watched(night)
    night.write_rows([prompt(0, 768), prompt(1), prompt(2)])
    begin = anyio.current_time()
    await night.process(rate="1/m")

    assert [round((at - begin) / 60) for at in asked.submits] == [0, 1, 2]


# NO PRICE


async def test_a_row_that_the_api_will_not_price_is_not_submitted_under_a_cap(
    tmp_path: Path,
) -> None:
    """It ends with the API's own words; nothing was sent, and rows like it are not asked again."""
    night = deapi(tmp_path, max_cost=1.0)
    asked = watched(night)
    night.write_rows([{**prompt(n), "model": "Nonesuch"} for n in range(30)])
    await night.process(in_flight=3)

    assert night.counts() == {"failed": 30}
    error = night.records("failed")[0]["error"]
    assert error["kind"] == "invalid_request"
    assert error["http_status"] == 422
    assert asked.submits == []
    assert len(asked.prices) == 1
    assert night.counters()["failed"] == 30


async def test_failures_by_price_count_the_same_in_every_process(tmp_path: Path) -> None:
    """A row that is refused a price says something of the API: `--max-failures` counts it."""
    night = deapi(tmp_path, max_cost=1.0, max_failures="5")
    night.write_rows([{**prompt(n), "model": "Nonesuch"} for n in range(4)])
    assert await night.process() is None

    night.write_rows([{**prompt(n), "model": "Nonesuch"} for n in range(6)])
    stop = await night.process()
    assert stop is not None
    assert stop.reason is StopReason.FAILURE_LIMIT


async def test_without_a_cap_the_same_row_is_left_to_the_api(tmp_path: Path) -> None:
    """Whoever only wants to know prices loses nothing by one that cannot be had."""
    night = deapi(tmp_path, quote=True)
    asked = watched(night)
    night.write_rows([{**prompt(0), "model": "Nonesuch"}, prompt(1)])
    await night.process()

    assert len(asked.submits) == 2
    assert night.counts() == {"failed": 1, "succeeded": 1}


SILENCE = [
    pytest.param(Response(500, b'{"message":"Server Error"}'), id="500"),
    pytest.param(Response(200, b'{"data":{"price":"free"}}'), id="unreadable"),
    pytest.param(Response(200, b'{"data":{"price":1e300}}'), id="absurd"),
    pytest.param(Lost("reset"), id="lost"),
    pytest.param(NotSent("refused"), id="not sent"),
]


@pytest.mark.parametrize("answer", SILENCE)
async def test_prices_that_cannot_be_had_stop_a_run_with_a_cap(
    answer: Response | Exception, tmp_path: Path
) -> None:
    """After a few tries, spaced, everything stays pending: an unknown price is no price."""
    night = deapi(tmp_path, max_cost=1.0)
    asked = watched(night, only_prices(lambda _count: answer))
    night.write_rows([prompt(n, 256 + 128 * n) for n in range(8)])
    stop = await night.process()

    assert stop is not None
    assert stop.reason is StopReason.UNAVAILABLE
    assert "without them --max-cost cannot be kept" in stop.message
    assert asked.submits == []
    assert night.counters()["pending"] == 8
    assert 5 <= len(asked.prices) <= 10
    assert asked.prices[-1] - asked.prices[0] > 5.0


@pytest.mark.parametrize("answer", SILENCE)
async def test_prices_that_cannot_be_had_hold_nobody_up_otherwise(
    answer: Response | Exception, tmp_path: Path
) -> None:
    """With `--quote` alone the rows go on, without a price."""
    night = deapi(tmp_path, quote=True)
    watched(night, only_prices(lambda _count: answer))
    night.write_rows([prompt(n, 256 + 128 * (n % 8)) for n in range(40)])
    begin = anyio.current_time()
    await night.process()

    assert night.counts() == {"succeeded": 40}
    assert {r["cost"] for r in night.records("succeeded")} == {None}
    assert anyio.current_time() - begin < 60


async def test_a_short_trouble_with_prices_is_waited_out(tmp_path: Path) -> None:
    """Four questions without an answer, then one: the run goes on, under its cap."""
    night = deapi(tmp_path, max_cost=1.0)
    watched(night, only_prices(lambda count: Lost("reset") if count <= 4 else None))
    night.write_rows([prompt(n) for n in range(10)])

    assert await night.process() is None
    assert night.counts() == {"succeeded": 10}


async def test_troubles_that_are_not_in_a_row_do_not_add_up(tmp_path: Path) -> None:
    """Every second question fails, all night: that is no reason to stop."""
    night = deapi(tmp_path, max_cost=1.0)
    watched(night, only_prices(lambda count: Lost("reset") if count % 2 else None))
    night.write_rows([{**prompt(n, 256 + 128 * (n % 8)), "steps": 1 + n // 8} for n in range(16)])

    assert await night.process() is None
    assert night.counts() == {"succeeded": 16}


async def test_a_minute_limit_of_prices_is_waited_for_under_a_cap(tmp_path: Path) -> None:
    """A 429 closes the questions' lane and no other, spends nothing, and is over in its time."""
    night = deapi(tmp_path, max_cost=1.0)
    throttled = Response(429, TOO_MANY, {"retry-after": "60"})
    asked = watched(night, only_prices(lambda count: throttled if count == 1 else None))
    night.write_rows([prompt(n) for n in range(5)])

    assert await night.process() is None
    assert asked.prices[1] - asked.prices[0] >= 60
    assert night.counters()["throttled"] == 1


async def test_a_days_limit_of_prices_ends_a_run_with_a_cap(tmp_path: Path) -> None:
    """It cannot go on before tomorrow, and says when."""
    night = deapi(tmp_path, max_cost=1.0)
    headers = {"retry-after": "40000", "x-ratelimit-type": "daily"}
    watched(night, only_prices(lambda _count: Response(429, TOO_MANY, headers)))
    night.write_rows([prompt(n) for n in range(5)])
    stop = await night.process()

    assert stop is not None
    assert stop.reason is StopReason.THROTTLED
    assert stop.resume_at is not None
    assert 40_000 - 5 < stop.resume_at - night.clock.wall() < 45_000
    assert night.counters()["pending"] == 5


async def test_a_days_limit_of_prices_is_no_matter_without_a_cap(tmp_path: Path) -> None:
    """Rows whose prices are only wanted go on at once without them."""
    night = deapi(tmp_path, quote=True)
    headers = {"retry-after": "40000", "x-ratelimit-type": "daily"}
    asked = watched(night, only_prices(lambda _count: Response(429, TOO_MANY, headers)))
    night.write_rows([prompt(n, 256 + 128 * (n % 8)) for n in range(40)])
    begin = anyio.current_time()

    assert await night.process() is None
    assert anyio.current_time() - begin < 60
    assert len(asked.prices) <= 4


async def test_a_halt_leaves_rows_pending_that_wait_for_their_price(tmp_path: Path) -> None:
    """Nobody hangs on a question: the slots come back and the run ends."""
    night = deapi(tmp_path, max_cost=1.0)
    watched(night, only_prices(lambda _count: Response(429, TOO_MANY, {"retry-after": "600"})))
    night.write_rows([prompt(n, 256 + 128 * (n % 3)) for n in range(12)])

    async def halt(run: Run) -> None:
        await anyio.sleep(30)
        run.control.interrupt(INTERRUPT)

    await night.process(halt)

    assert night.counters()["pending"] == 12


# THE CAP


async def test_the_cap_is_a_hard_stop_with_its_numbers(tmp_path: Path) -> None:
    """The job that would exceed it is not made; the message says what it costs and what is left."""
    night = deapi(tmp_path, max_cost=0.01)
    night.write_rows([prompt(n) for n in range(30)])
    stop = await night.process()

    assert stop is not None
    assert stop.reason is StopReason.BUDGET
    assert stop.message == (
        "the next job costs 0.00136 USD, and 0.00952 of --max-cost 0.01 are spent; "
        "resume with a larger amount"
    )
    assert night.simulation.ledger.charged_nanos == nanos(0.00952)
    night.assert_books_agree()

    assert await night.process() is not None
    assert night.simulation.ledger.charged_nanos == nanos(0.00952)

    assert await night.process(max_cost=1.0) is None
    assert night.counts() == {"succeeded": 30}


async def test_open_submits_are_reserved_for(tmp_path: Path) -> None:
    """Many submits leave at once: together they stay under the cap, and use it up."""
    night = deapi(tmp_path, "latency=5,503=0.3", max_cost=0.01, rate="100000/s", max_attempts=50)
    night.write_rows([prompt(n) for n in range(60)])
    await night.process(connections=64)

    assert night.simulation.ledger.charged_nanos == nanos(0.00952)
    night.assert_books_agree()


async def test_refunds_come_back_into_the_budget(tmp_path: Path) -> None:
    """A failed job that was refunded is not spent; the next one may be made for its money."""
    night = deapi(tmp_path, "rejected=1", max_cost=0.01)
    night.write_rows([prompt(n) for n in range(40)])
    stop = await night.process(in_flight=5)

    assert stop is None
    assert night.simulation.ledger.counts()["jobs"] == 40
    assert night.simulation.ledger.charged_nanos == night.simulation.ledger.refunded_nanos
    night.assert_books_agree()


async def test_an_unconfirmed_refund_is_spent(tmp_path: Path) -> None:
    """Only what the API says it gave back is counted as back."""
    night = deapi(tmp_path, "rejected=1,refund_unconfirmed=1", max_cost=0.01)
    night.write_rows([prompt(n) for n in range(40)])
    stop = await night.process(in_flight=5)

    assert stop is not None
    assert stop.reason is StopReason.BUDGET
    assert night.simulation.ledger.counts()["jobs"] == 7
    night.assert_books_agree()


class Settling:
    """A transport whose status answers say what a job that came to its end was charged."""

    def __init__(self, inner: Transport, amount: float) -> None:
        self._inner = inner
        self._amount = amount

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Pass on, with the amount."""
        answer = await self._inner.send(request, timeout_s=timeout_s)
        body = orjson.loads(answer.body)
        if request.method == "GET" and body["data"].get("status") in ("done", "error"):
            body["data"]["price"] = {"amount": self._amount, "is_estimated": False}
            return Response(200, orjson.dumps(body), answer.headers, answer.received_at)

        return answer


async def test_what_was_charged_corrects_what_was_quoted(tmp_path: Path) -> None:
    """An API that settles afterwards says another amount: it is the row's cost, and counts."""
    night = deapi(tmp_path, max_cost=0.1)
    night.transport = Settling(night.transport, 0.02)
    night.write_rows([prompt(n) for n in range(40)])
    stop = await night.process(in_flight=1)

    assert stop is not None
    assert stop.reason is StopReason.BUDGET
    assert {r["cost"] for r in night.records("succeeded")} == {0.02}
    assert len(night.simulation.ledger.jobs) == 5
    assert night.counters()["cost"] == nanos(0.1)
    night.assert_books_agree()


@pytest.mark.parametrize("charged", [None, 0.0, 0.02])
async def test_a_job_that_is_run_again_is_paid_with_its_refund(
    charged: float | None, tmp_path: Path
) -> None:
    """The money of one job is enough for three tries of it, whatever the API says they cost."""
    night = deapi(tmp_path, "rejected=1,retryable=1", max_cost=0.002, max_attempts=3)
    if charged is not None:
        night.transport = Settling(night.transport, charged)

    night.write_rows([prompt(0)])

    assert await night.process() is None
    assert len(night.simulation.ledger.jobs) == 3
    cost = nanos(PRICE if charged is None else charged)
    counters = night.counters()
    assert (counters["cost"], counters["cost_refunded"]) == (3 * cost, 3 * cost)
    night.assert_books_agree()
    with night.books() as (journal, _):
        assert {charge.refund_raw for charge in journal.charges(0, 9)} == {"true"}


async def test_what_is_in_doubt_counts_as_spent(tmp_path: Path) -> None:
    """A lost answer may have been charged: its record says what, and the cap holds with it."""
    night = deapi(tmp_path, "drop_after=1", max_cost=0.01)
    night.write_rows([prompt(n) for n in range(40)])
    await night.process()
    await night.process()

    assert night.simulation.ledger.counts()["jobs"] == 7
    assert {r["cost"] for r in night.records("in_doubt")} == {PRICE}
    assert night.counters()["cost_in_doubt"] == nanos(0.00952)


async def test_a_row_that_made_no_job_cost_nothing(tmp_path: Path) -> None:
    """A refused or exhausted row had a price, and no job that it was paid for."""
    night = deapi(tmp_path, "503=1", quote=True, max_attempts=1)
    night.write_rows([prompt(0)])
    await night.process()
    assert [r["cost"] for r in night.records("exhausted")] == [None]

    refused = Response(422, b'{"message":"no","errors":{"prompt":["no"]}}')
    other = tmp_path / "other"
    other.mkdir()
    night = deapi(other, quote=True)
    night.write_rows([prompt(0)])
    price = await night.transport.send(
        Request(
            "POST", "/api/v2/images/generations/price", json=orjson.dumps({**FLUX, **prompt(0)})
        ),
        timeout_s=1.0,
    )
    night.transport = Scripted([price, price, refused], night.transport)
    await night.process()
    assert [r["cost"] for r in night.records("failed")] == [None]


@pytest.mark.parametrize("limit", [{"max_cost": 0.01}, {"max_jobs": 7, "quote": True}])
async def test_what_is_sent_again_by_advice_stays_in_the_budget(
    limit: dict[str, Any], tmp_path: Path
) -> None:
    """A 500 proves nothing: each of them made a job here, and no process goes beyond the cap."""
    night = deapi(tmp_path, "error_after=1", **limit)
    night.write_rows([prompt(n) for n in range(40)])
    for _ in range(2):
        stop = await night.process()

        assert stop is not None
        assert stop.reason is StopReason.BUDGET
        assert night.simulation.ledger.charged_nanos == nanos(0.00952)
        night.assert_books_agree()
