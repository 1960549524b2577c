"""Places: no more requests are open than may be, and what is prepared is sent soon after."""

from __future__ import annotations

from pathlib import Path
from random import Random

import anyio
import pytest

from batcher.core.errors import Lost
from batcher.core.exchange import Request, Response, Transport
from batcher.core.model import Stop, StopReason
from batcher.core.pacing.gate import Gate
from batcher.core.pacing.suspicion import TRIALS
from batcher.core.stats import TAKEN_BACK, submits_of
from batcher.engine.lanes.lane import Lane
from batcher.engine.lanes.places import AHEAD_MAX
from batcher.engine.run import Run
from tests.engine.askable import AskableNight
from tests.engine.harness import Night
from tests.engine.test_lane import Free

pytestmark = pytest.mark.virtual

WRITE_S = 0.01
PLACES = 4


class Prepared:
    """Work that waits for the disk, and then sends what takes so long to be answered."""

    def __init__(self, lane: Lane[str], answer_s: float, sends: int = 10_000) -> None:
        self.lane = lane
        self.prepared = self.most_prepared = self.sent = self.open = self.most_open = 0
        self._answer_s = answer_s
        self._sends = sends

    async def __call__(self, item: str) -> None:
        """Do one item; after so many sends nothing is answered any more."""
        await anyio.sleep(WRITE_S)
        self.prepared += 1
        self.most_prepared = max(self.most_prepared, self.prepared)
        try:
            await self.lane.places.take(item)
        finally:
            self.prepared -= 1

        self.open += 1
        self.sent += 1
        self.most_open = max(self.most_open, self.open)
        await anyio.sleep(self._answer_s if self.sent <= self._sends else 1e6)
        self.open -= 1


def make_lane(items: int) -> Lane[str]:
    """Return a lane whose work prepares, with so many items that are due."""
    lane: Lane[str] = Lane("test", places=PLACES, pace=Free(), gate=Gate(Random(1)), prepares=True)
    for number in range(items):
        lane.add(str(number), 0.0)

    return lane


async def serve(lane: Lane[str], work: Prepared, for_s: float) -> None:
    """Run the lane for so many virtual seconds."""
    with anyio.move_on_after(for_s):
        await lane.run(work)


async def test_no_more_are_open_than_there_are_places() -> None:
    """However many have been prepared, each waits for its place, and has it until its answer."""
    lane = make_lane(items=500)
    work = Prepared(lane, answer_s=0.001)
    await serve(lane, work, 60.0)

    assert work.sent == 500
    assert work.most_open == PLACES
    assert (lane.taken, lane.busy, lane.places.open) == (0, 0, 0)


async def test_quick_answers_do_not_wait_for_the_disk() -> None:
    """What is sent during one write has been prepared before: the places are used all the time."""
    lane = make_lane(items=2_000)
    work = Prepared(lane, answer_s=0.005)
    await serve(lane, work, 1.0)

    alone = 1.0 / (WRITE_S + 0.005) * PLACES  # sends, if a place were taken for the write too
    assert work.sent > 2 * alone
    assert 0 < work.most_prepared <= AHEAD_MAX


async def test_nothing_is_prepared_long_before_it_is_sent() -> None:
    """With slow answers no more is taken than there are places: a crash would make doubts of it."""
    lane = make_lane(items=200)
    work = Prepared(lane, answer_s=3.0)
    await serve(lane, work, 20.0)

    assert work.sent >= 4 * PLACES
    assert lane.taken <= PLACES
    assert work.most_prepared <= PLACES


async def test_at_a_low_rate_nothing_is_ahead() -> None:
    """Answers may be quick: what waits together for a disk that stalls would leave together."""
    lane = make_lane(items=0)
    work = Prepared(lane, answer_s=0.001)
    async with anyio.create_task_group() as group:
        group.start_soon(lane.run, work)
        for number in range(200):
            lane.add(str(number), 0.0)
            await anyio.sleep(0.025)

        assert work.sent > 190
        assert lane.places.items_max(anyio.current_time()) == PLACES
        group.cancel_scope.cancel()


async def test_who_waits_for_a_place_and_is_cancelled_leaves_nothing_behind() -> None:
    """A queue of the dead would take the places of the living."""
    lane = make_lane(items=500)
    work = Prepared(lane, answer_s=0.001, sends=200)
    async with anyio.create_task_group() as group:
        group.start_soon(lane.run, work)
        await anyio.sleep(30.0)
        assert lane.places.is_awaited
        group.cancel_scope.cancel()

    assert not lane.places.is_awaited
    assert (lane.taken, lane.busy, lane.places.open, work.prepared) == (0, 0, 0, 0)


async def test_places_are_had_in_the_order_in_which_they_were_asked_for() -> None:
    """Who was ready first sends first; nobody starves."""
    lane = make_lane(items=0)
    places, had = lane.places, []
    places.most = 1

    async def ask(name: str) -> None:
        await places.take(name)
        had.append(name)

    async with anyio.create_task_group() as group:
        for name in ("a", "b", "c", "d"):
            group.start_soon(ask, name)
            await anyio.sleep(0.1)

        for name in ("a", "b", "c"):
            places.free(name, 0.0)
            await anyio.sleep(0.1)

    assert had == ["a", "b", "c", "d"]


class Limited:
    """An API that takes *most* submits, then refuses all for half a minute, and counts those."""

    def __init__(self, inner: Transport, most: int) -> None:
        self._inner = inner
        self._most = most
        self._opens_at = 0.0
        self.refused = 0

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Answer after two milliseconds."""
        if request.method == "GET":
            return await self._inner.send(request, timeout_s=timeout_s)

        await anyio.sleep(0.002)
        self._most -= 1
        if self._most == 0:
            self._opens_at = anyio.current_time() + 30.0

        if anyio.current_time() < self._opens_at:
            self.refused += 1
            return Response(429, b'{"error":"rate_limit_exceeded"}', {"retry-after": "30"})

        return await self._inner.send(request, timeout_s=timeout_s)


async def test_what_was_prepared_does_not_leave_through_a_gate_that_closed(tmp_path: Path) -> None:
    """A 429 holds those too whose intents are written: they are taken back, and nothing is spent.

    So it costs two refusals more than requests are open, and a crash meanwhile makes no doubts.
    """
    settings = {"connections": 2 * PLACES, "in_flight": 600, "rate": "20000/s"}
    night = Night(tmp_path, settings=settings)
    api = night.transport = Limited(night.transport, most=300)
    night.write_urls(600)
    assert await night.process() is None

    assert night.counts() == {"succeeded": 600}
    assert api.refused <= PLACES + TRIALS  # which show that the first was no stray one
    counters = night.counters()
    assert 0 < counters[TAKEN_BACK] <= AHEAD_MAX
    assert submits_of(counters) == counters["submit_requests"] == 600 + api.refused
    night.assert_no_row_paid_twice()


class Losing:
    """A quick API: the answer to every second first submit is lost; from the *most*-th on 429."""

    def __init__(self, inner: Transport, most: int) -> None:
        self._inner = inner
        self._most = most
        self._opens_at = 0.0
        self._seen: set[str] = set()
        self.sent = self.refused = 0

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Answer after two milliseconds."""
        if request.method == "GET":
            return await self._inner.send(request, timeout_s=timeout_s)

        key = dict(request.headers)["Idempotency-Key"]
        again = key in self._seen
        self._seen.add(key)
        self.sent += 1
        mine = self.sent
        await anyio.sleep(0.002)
        if mine == self._most:
            self._opens_at = anyio.current_time() + 30.0

        if anyio.current_time() < self._opens_at:
            self.refused += 1
            return Response(429, b"{}", {"retry-after": "30"})

        if not again and mine % 2:
            raise Lost("cut")

        return await self._inner.send(request, timeout_s=timeout_s)


def losing(folder: Path, most: int) -> tuple[AskableNight, Losing]:
    """Return a night with it."""
    night = AskableNight(folder, faults="duration=5,idempotent=3600", honoured_s=3_600.0)
    night.settings = {"connections": PLACES, "in_flight": 600, "rate": "20000/s"}
    night.write_urls(600)
    api = Losing(night.transport, most)
    night.transport = api
    return night, api


async def test_what_is_sent_again_does_not_leave_through_a_gate_that_closed(
    tmp_path: Path,
) -> None:
    """It has waited for its place, and meanwhile a limit was met."""
    night, api = losing(tmp_path, most=620)
    assert await night.process() is None

    assert night.counts() == {"succeeded": 600}
    assert api.refused <= PLACES + TRIALS


async def test_nothing_is_sent_again_after_a_signal(tmp_path: Path) -> None:
    """What waits for a place has not left."""
    night, api = losing(tmp_path, most=0)
    sent = 0

    async def interrupt(run: Run) -> None:
        nonlocal sent
        while api.sent < 640:  # noqa: ASYNC110  # virtual time
            await anyio.sleep(0.001)

        run.control.interrupt(Stop(StopReason.INTERRUPTED, "signal"))
        sent = api.sent
        await anyio.sleep_forever()

    await night.process(interrupt)

    assert api.sent == sent
    await night.process()
    night.assert_no_row_paid_twice()
    night.assert_every_paid_job_is_known()
