"""Credits: what the account holds is told, and waited for without a storm of submits."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from batcher.core.exchange import Request, Response, Transport
from batcher.core.model import Stop, StopReason
from batcher.engine.run import Run
from tests.engine.harness import FLUX, Night, prompt

pytestmark = pytest.mark.virtual

HOUR_S = 3_600.0
INTERRUPT = Stop(StopReason.INTERRUPTED, "signal")
BROKE = Response(422, b'{"message":"Not enough balance.","errors":{"balance":["no"]}}')
UNFIT = Response(422, b'{"message":"no","errors":{"width":["no"]}}')


class Watched:
    """A transport that notes when submits and looks at the balance left."""

    def __init__(self, inner: Transport, broke: Callable[[], bool] = lambda: False) -> None:
        self.submits: list[float] = []
        self.looks: list[float] = []
        self._inner = inner
        self._broke = broke

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Note, and pass on unless the account is broke."""
        await anyio.sleep(0.05)
        if request.path.endswith("/balance"):
            self.looks.append(anyio.current_time())
        elif request.method == "POST":
            self.submits.append(anyio.current_time())
            if self._broke():
                return BROKE

        return await self._inner.send(request, timeout_s=timeout_s)


def deapi(folder: Path, faults: str, *, rows: int = 20, **settings: Any) -> Night:
    """Return a night with an account whose balance can be read."""
    night = Night(folder, provider="deapi", params=FLUX, faults=faults, settings=settings)
    night.write_rows([prompt(n) for n in range(rows)])
    return night


def watch(night: Night, broke: Callable[[], bool] = lambda: False) -> Watched:
    """Put a watching transport before the night's own."""
    night.transport = watched = Watched(night.transport, broke)
    return watched


def after(seconds: float, action: Callable[[], object]) -> Callable[[Run], Any]:
    """Return a task that does something after a while."""

    async def task(run: Run) -> None:
        await anyio.sleep(seconds)
        action()

    return task


# AT THE START


async def test_the_balance_is_told_once_and_kept(tmp_path: Path) -> None:
    """A run that has something to submit reads it once: an event, a fact, no notice."""
    night = deapi(tmp_path, "balance_usd=12.5")
    watched = watch(night)
    await night.process()

    assert len(watched.looks) == 1
    told = [values for _, name, values in night.log.seen if name == "account.balance"]
    assert told == [{"balance": 12.5, "currency": "USD"}]
    with night.books() as (journal, _):
        assert journal.fact("balance") == "12.5"

    assert "account.low" not in night.log.names()


async def test_a_run_with_nothing_to_do_asks_nothing(tmp_path: Path) -> None:
    """The same command again on a finished run makes no request, not even a free one."""
    night = deapi(tmp_path, "")
    await night.process()
    watched = watch(night)
    await night.process()

    assert watched.looks == watched.submits == []


async def test_a_low_balance_is_told_before_the_api_refuses(tmp_path: Path) -> None:
    """With less than the API wants, the person learns it at the start, with both numbers."""
    night = deapi(tmp_path, "balance_usd=0.3")
    await night.process()

    told = [values["message"] for _, name, values in night.log.seen if name == "account.low"]
    assert told == ["the account holds 0.3 USD; with less than 0.49 the API takes no job"]


@pytest.mark.parametrize("faults", ["role=api", "question_error=1", "question_garbled=1"])
async def test_a_balance_that_cannot_be_read_is_no_trouble(faults: str, tmp_path: Path) -> None:
    """A key that may not ask still submits; nothing is told and nothing waits."""
    night = deapi(tmp_path, faults)

    assert await night.process() is None
    assert night.counts() == {"succeeded": 20}
    assert "account.balance" not in night.log.names()


# USED UP


async def test_a_halt_says_what_the_account_holds(tmp_path: Path) -> None:
    """Without --wait-for-credits the run stops, and the message has the number to act on."""
    night = deapi(tmp_path, "balance_usd=0.495,price_usd=0.001")
    stop = await night.process()

    assert stop is not None
    assert stop.reason is StopReason.OUT_OF_CREDITS
    assert stop.message.endswith("the account holds 0.489 USD")
    assert night.counters()["succeeded"] == 6
    assert night.counters()["pending"] == 14


async def test_the_wait_looks_at_the_balance_and_submits_nothing(tmp_path: Path) -> None:
    """Looks grow to a quarter of an hour; nobody tries before the money is there."""
    night = deapi(tmp_path, "balance_usd=0.4,duration=5", wait_for_credits=True)
    watched = watch(night)
    stop = await night.process(after(3 * HOUR_S, lambda: night.simulation.top_up_usd(5.0)))

    assert stop is None
    assert night.counts() == {"succeeded": 20}
    before = [at for at in watched.submits if at < watched.submits[0] + 2.9 * HOUR_S]
    assert len(before) <= 16  # those that were open when the first refusal came
    assert before[-1] - before[0] < 5
    back = next(at for at in watched.submits if at > before[-1])
    looks = [at for at in watched.looks if before[-1] < at < back]
    pauses = [b - a for a, b in pairwise(looks)]
    assert 20 < pauses[0] < 90
    assert max(pauses) <= 901
    assert min(pauses[-5:]) >= 400
    assert back - (watched.submits[0] + 3 * HOUR_S) < 901
    assert night.log.names("warning").count("credits.waiting") == 1
    assert night.log.names("warning").count("credits.back") == 1


async def test_the_money_opens_the_lane_for_one_row_first(tmp_path: Path) -> None:
    """A balance that rose is a hint: one row finds out whether it is enough, then all go."""
    night = deapi(tmp_path, "balance_usd=0.4,latency=10", wait_for_credits=True)
    watched = watch(night)
    await night.process(after(HOUR_S, lambda: night.simulation.top_up_usd(5.0)))

    first, second = [at for at in watched.submits if at > watched.submits[0] + HOUR_S / 2][:2]
    assert second - first >= 10


async def test_an_answer_from_before_the_refusal_is_no_sign_of_money(tmp_path: Path) -> None:
    """One submit was refused while another was open, and that is accepted: no credits are back."""
    refusals = iter([True])
    night = deapi(tmp_path, "balance_usd=0.4,latency=0.1", wait_for_credits=True)
    inner = night.transport

    class OneByOne:
        async def send(self, request: Request, *, timeout_s: float) -> Response:
            if request.method == "POST" and next(refusals, False):
                await anyio.sleep(0.5)
                return BROKE

            if request.method == "POST":
                await anyio.sleep(3)

            return await inner.send(request, timeout_s=timeout_s)

    night.transport = OneByOne()
    told: list[str] = []

    async def top_up(run: Run) -> None:
        await anyio.sleep(2)
        night.simulation.top_up_usd(0.2)  # the open one may still be made
        await anyio.sleep(2)
        assert len(night.simulation.ledger.jobs) == 1
        told.extend(night.log.names("warning"))

    await night.process(top_up, connections=4)

    assert "credits.waiting" in told
    assert "credits.back" not in told
    assert night.log.names("warning").count("credits.back") == 1


async def test_a_rise_that_is_not_enough_costs_one_try_each(tmp_path: Path) -> None:
    """The balance grows and the API still refuses: one row a try, and the waits go on."""
    until = anyio.current_time() + 2.5 * HOUR_S
    night = deapi(tmp_path, "balance_usd=1", wait_for_credits=True)
    watched = watch(night, lambda: anyio.current_time() < until)

    async def drip(run: Run) -> None:
        for _ in range(5):
            await anyio.sleep(HOUR_S / 2)
            night.simulation.top_up_usd(0.01)

    assert await night.process(drip) is None
    begin = watched.submits[0]
    tries = [at for at in watched.submits if begin + 60 < at < until]
    assert len(tries) <= 5 + 6  # one for each rise, and the blind ones
    assert min(b - a for a, b in pairwise(tries)) >= 30
    assert night.counts() == {"succeeded": 20}
    assert night.log.names("warning").count("credits.waiting") == 1


async def test_money_that_came_before_the_first_look_is_found(tmp_path: Path) -> None:
    """The balance is high and never rises: after a long wait one row tries all the same."""
    until = anyio.current_time() + 60
    night = deapi(tmp_path, "balance_usd=50", wait_for_credits=True)
    watched = watch(night, lambda: anyio.current_time() < until)

    assert await night.process() is None
    begin = watched.submits[0]
    assert not [at for at in watched.submits if begin + 5 < at < begin + 295]
    assert night.counts() == {"succeeded": 20}


async def test_a_balance_below_the_least_is_never_tried_against(tmp_path: Path) -> None:
    """What is sure to be refused is not sent, however long it takes."""
    night = deapi(tmp_path, "balance_usd=0.4", wait_for_credits=True)
    watched = watch(night)

    async def drip(run: Run) -> None:
        for _ in range(4):
            await anyio.sleep(HOUR_S / 2)
            night.simulation.top_up_usd(0.01)

        run.control.interrupt(INTERRUPT)

    await night.process(drip)

    assert watched.submits[-1] - watched.submits[0] < 5


@pytest.mark.parametrize(
    ("provider", "faults"), [("removit", "credits=0"), ("deapi", "credits=0,role=api")]
)
async def test_without_a_balance_one_row_tries_after_long_growing_waits(
    provider: str, faults: str, tmp_path: Path
) -> None:
    """Nothing free to ask: one single submit, then a longer wait, and never more than one."""
    night = Night(tmp_path, provider=provider, faults=faults, settings={"wait_for_credits": True})
    if provider == "deapi":
        night.params = FLUX
        night.write_rows([prompt(n) for n in range(20)])
    else:
        night.write_urls(20)

    watched = watch(night)
    stop = await night.process(after(4 * HOUR_S, lambda: night.simulation.top_up(100)))

    assert stop is None
    begin = watched.submits[0]
    tries = [at - begin for at in watched.submits if 5 < at - begin < 4 * HOUR_S]
    gaps = [b - a for a, b in zip([0.0, *tries], tries, strict=False)]
    assert 300 <= gaps[0] <= 601
    assert gaps[-1] >= 1_800
    assert len(gaps) <= 9
    assert len(watched.looks) <= 4 + 2 * len(gaps)  # a key that may not ask is not asked on and on
    assert night.counts() == {"succeeded": 20}


async def test_the_time_that_the_api_names_is_waited_for(tmp_path: Path) -> None:
    """A key's spending limit starts anew: one row tries then, and not before."""
    faults = "key_limit=3,key_limit_resets_s=1500"
    night = deapi(tmp_path, faults, rows=5, wait_for_credits=True)
    watched = watch(night)
    assert await night.process(connections=2) is None

    begin = watched.submits[0]
    tries = [at - begin for at in watched.submits if at - begin > 5]
    assert any(1_499 <= at <= 1_503 for at in tries)
    assert night.counts() == {"succeeded": 5}


async def test_a_halt_says_when_the_api_goes_on(tmp_path: Path) -> None:
    """Without the wait the time that the API named is in the stop, for whoever starts it again."""
    night = deapi(tmp_path, "key_limit=3,key_limit_resets_s=1500", rows=5)
    begin = night.clock.wall()
    stop = await night.process()

    assert stop is not None
    assert stop.resume_at is not None
    assert stop.resume_at - begin == pytest.approx(1_500, abs=5)


async def test_a_row_that_is_never_taken_is_no_sign_of_money(tmp_path: Path) -> None:
    """What tries for all is refused for its own fields: the next one tries alone too."""
    night = deapi(tmp_path, "role=api", rows=60, wait_for_credits=True)
    inner, begin, later = night.transport, anyio.current_time(), iter([UNFIT, UNFIT])

    class Refusing:
        open = 0
        crowd = 0  # the most submits that were open at once, after the first refusals

        async def send(self, request: Request, *, timeout_s: float) -> Response:
            if request.method != "POST":
                return await inner.send(request, timeout_s=timeout_s)

            is_later = anyio.current_time() > begin + 60
            self.open += 1
            self.crowd = max(self.crowd, self.open if is_later else 0)
            await anyio.sleep(0.5)
            self.open -= 1
            return next(later, BROKE) if is_later else BROKE

    async def end(run: Run) -> None:
        await anyio.sleep(2 * HOUR_S)
        run.control.interrupt(INTERRUPT)

    night.transport = refusing = Refusing()
    await night.process(end)

    assert night.counts() == {"failed": 2}
    assert refusing.crowd == 1


async def test_no_row_tries_while_the_first_look_still_hangs(tmp_path: Path) -> None:
    """The credits end while the balance is asked for the first time, slowly, and again."""
    night = deapi(tmp_path, "", wait_for_credits=True)
    begin = anyio.current_time()
    watched = watch(night, lambda: anyio.current_time() < begin + HOUR_S / 2)
    inner = watched._inner

    class Slow:
        async def send(self, request: Request, *, timeout_s: float) -> Response:
            if request.path.endswith("/balance"):
                await anyio.sleep(29)
                return Response(500, b"")

            return await inner.send(request, timeout_s=timeout_s)

    watched._inner = Slow()
    await night.process()

    assert night.counts() == {"succeeded": 20}
    assert not [at for at in watched.submits if begin + 5 < at < begin + 300]


@pytest.mark.parametrize(
    ("faults", "what"),
    [
        ("balance_usd=0.4,duration=5", "looks again in about 1 min"),
        ("balance_usd=0.4,duration=5,role=api", "lets one row try in about "),
    ],
)
async def test_the_wait_says_when_it_does_what_next(faults: str, what: str, tmp_path: Path) -> None:
    """Once, with the API's own words; and the view has it for as long as it waits."""
    night = deapi(tmp_path, faults, wait_for_credits=True)
    bindings: list[str] = []

    async def look(run: Run) -> None:
        run.watch(lambda shot: bindings.append(shot.binding))
        await anyio.sleep(HOUR_S / 3)
        night.simulation.top_up_usd(5.0)

    await night.process(look)
    seen = night.log.seen
    told = [str(values["message"]) for _, name, values in seen if name == "credits.waiting"]

    assert len(told) == 1
    assert told[0].startswith(f"the credits are used up; the run waits, and {what}")
    waits = [text for text in bindings if text.startswith("the credits are used up; asks again in")]
    assert len(waits) > 600
