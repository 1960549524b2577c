"""A lane: what is due leaves its heap with a permit, through the gate, into a free worker."""

from __future__ import annotations

from collections.abc import Coroutine
from itertools import pairwise
from random import Random
from typing import Any

import anyio
import pytest

from batcher.core.pacing.gate import Gate
from batcher.engine.lanes.lane import WRITING_MAX, Lane
from batcher.engine.lanes.ports import Rest

pytestmark = pytest.mark.virtual


class Free:
    """A pace without a limit."""

    async def permits(self, wanted: int) -> int:
        """Grant everything."""
        return wanted


class OnePerSecond:
    """A pace of one a second."""

    def __init__(self) -> None:
        self._next = 0.0

    async def permits(self, wanted: int) -> int:
        """Grant one, a second after the last."""
        await anyio.sleep(max(0.0, self._next - anyio.current_time()))
        self._next = anyio.current_time() + 1.0
        return 1


class Worker:
    """Work that takes a second and notes when it began, and how many were at it."""

    def __init__(self, takes_s: float = 1.0) -> None:
        self.began: list[tuple[str, float]] = []
        self.busy = self.busiest = 0
        self._takes_s = takes_s

    async def __call__(self, item: str) -> None:
        """Do one item."""
        self.began.append((item, anyio.current_time()))
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        await anyio.sleep(self._takes_s)
        self.busy -= 1


def make_lane(places: int = 4, pace: object = None, gate: Gate | None = None) -> Lane[str]:
    """Return a lane that only its places and what is given limit."""
    return Lane(
        "test",
        places=places,
        pace=pace or Free(),  # type: ignore[arg-type]  # two fakes with one shape
        gate=gate or Gate(Random(1)),
    )


async def serve(lane: Lane[str], work: Worker, for_s: float) -> None:
    """Run the lane for so many virtual seconds."""
    with anyio.move_on_after(for_s):
        await lane.run(work)


async def test_items_start_when_they_are_due_and_in_order() -> None:
    """An item never starts before its time, and the earliest goes first."""
    lane, work = make_lane(), Worker()
    begin = anyio.current_time()
    lane.add("late", begin + 5.0)
    lane.add("soon", begin + 2.0)
    lane.add("now", begin)
    await serve(lane, work, 10.0)

    assert [item for item, _ in work.began] == ["now", "soon", "late"]
    assert [round(at - begin, 3) for _, at in work.began] == [0.0, 2.0, 5.0]


async def test_no_more_than_its_places_are_open_at_once() -> None:
    """The number of places bounds the requests that are open."""
    lane, work = make_lane(places=3), Worker()
    for number in range(20):
        lane.add(str(number), 0.0)

    await serve(lane, work, 30.0)

    assert len(work.began) == 20
    assert work.busiest == 3


async def test_nothing_starts_without_a_permit() -> None:
    """The pace bounds the starts, however many workers are free."""
    lane, work = make_lane(places=8, pace=OnePerSecond()), Worker(takes_s=0.1)
    for number in range(10):
        lane.add(str(number), 0.0)

    await serve(lane, work, 30.0)

    starts = [at for _, at in work.began]
    assert len(starts) == 10
    assert min(b - a for a, b in pairwise(starts)) >= 0.999


async def test_a_closed_gate_holds_everything_and_then_lets_one_probe() -> None:
    """While closed nothing starts; then one at a time until one goes well; then more and more."""
    gate = Gate(Random(1))
    lane = make_lane(gate=gate)
    begin = anyio.current_time()
    gate.close_until(begin + 10.0, "throttled")
    began: list[float] = []
    busy: list[int] = []

    async def work(item: str) -> None:
        began.append(anyio.current_time() - begin)
        busy.append(lane.places.open)
        await anyio.sleep(1.0)
        if len(began) == 3:
            gate.succeeded()
        elif len(began) < 3:
            gate.idle()

    for number in range(20):
        lane.add(str(number), 0.0)

    with anyio.move_on_after(60.0):
        await lane.run(work)

    assert [round(at) for at in began[:4]] == [10, 11, 12, 13]
    assert busy[:4] == [1, 1, 1, 1]
    assert all(many <= 2 for many, at in zip(busy, began, strict=True) if at < 14.2)
    assert max(busy) == 4
    assert len(began) == 20


async def test_a_shut_lane_starts_nothing_but_lets_the_open_ones_end() -> None:
    """Shutting is for good, cuts nothing short, and what waits can be taken out."""
    lane, work = make_lane(places=2), Worker()
    for number in range(5):
        lane.add(str(number), 0.0)

    async with anyio.create_task_group() as group:
        group.start_soon(lane.run, work)
        await anyio.sleep(0.5)
        lane.shut()
        await lane.wait_idle()
        group.cancel_scope.cancel()

    assert len(work.began) == 2
    assert work.busy == 0
    assert lane.drain() == ["2", "3", "4"]


async def test_items_added_while_it_runs_are_taken_up() -> None:
    """An item that comes while everybody rests wakes a worker."""
    lane, work = make_lane(), Worker()
    begin = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(lane.run, work)
        await anyio.sleep(3.0)
        lane.add("first", begin + 3.0)
        await anyio.sleep(3.0)
        lane.add("second", begin)
        await anyio.sleep(3.0)
        group.cancel_scope.cancel()

    assert [(item, round(at - begin)) for item, at in work.began] == [("first", 3), ("second", 6)]


async def test_who_is_held_for_long_is_told() -> None:
    """The owner of a lane learns for how long the gate holds it, and decides."""
    told: list[float] = []
    gate = Gate(Random(1))
    lane: Lane[str] = Lane("test", places=1, pace=Free(), gate=gate, held=told.append)
    gate.close_until(anyio.current_time() + 500.0, "throttled")
    lane.add("waits", 0.0)
    await serve(lane, Worker(), 1.0)

    assert told
    assert told[0] == pytest.approx(500.0, abs=0.01)


async def test_what_an_answer_means_holds_nobody_up() -> None:
    """While it is written down the next request starts, also if it became due a moment later."""
    lane = make_lane(places=2)
    began: dict[str, float] = {}

    async def work(item: str) -> Coroutine[Any, Any, None]:
        began[item] = anyio.current_time()
        await anyio.sleep(1.0 if item == "a" else 50.0)
        return anyio.sleep(20.0)  # such as a full disk

    start = anyio.current_time()
    lane.add("a", start)
    lane.add("b", start + 0.995)
    lane.add("c", start + 1.003)
    with anyio.move_on_after(10.0):
        await lane.run(work)

    assert began["c"] - start < 1.02


@pytest.mark.parametrize("nth", range(1, 9))
async def test_an_answer_that_closes_the_gate_lets_nothing_more_start(nth: int) -> None:
    """What an answer means comes before what may start because it has come."""
    gate = Gate(Random(1))
    lane = make_lane(places=2, gate=gate)
    begun: list[str] = []
    seen: list[int] = []  # what had begun when the gate was closed, and at the end

    async def act(item: str) -> None:
        if item == str(nth):
            gate.close_until(anyio.current_time() + 100.0, "throttled")
            seen.append(len(begun))

    async def work(item: str) -> Coroutine[Any, Any, None]:
        begun.append(item)
        await anyio.sleep(0.001 * (1 + len(begun) % 2))
        return act(item)

    for number in range(20):
        lane.add(str(number), 0.0)

    with anyio.move_on_after(50.0):
        await lane.run(work)

    assert [len(begun)] == seen


@pytest.mark.parametrize("earlier", [[], ["earlier"]], ids=["to the newly hired", "to who rests"])
async def test_what_was_handed_out_is_begun_even_by_who_is_cancelled(earlier: list[str]) -> None:
    """No item is lost between the hand that gives and the one that takes."""
    lane, work = make_lane(places=2), Worker()
    async with anyio.create_task_group() as group:
        group.start_soon(lane.run, work)
        for item in earlier:
            lane.add(item, 0.0)

        await anyio.sleep(2.0)
        lane.add("handed", 0.0)
        while lane.waiting:
            await anyio.lowlevel.checkpoint()

        assert [item for item, _ in work.began] == earlier
        group.cancel_scope.cancel()

    assert [item for item, _ in work.began] == [*earlier, "handed"]
    assert (lane.busy, lane.taken, lane.places.open) == (0, 0, 0)


async def test_what_waits_for_the_disk_holds_up_no_request() -> None:
    """Few places are used all the time, however long it takes to write down what was answered."""
    lane, sent = make_lane(places=2), 0

    async def written() -> None:
        await anyio.sleep(1.0)

    async def work(_item: str) -> Rest:
        nonlocal sent
        sent += 1
        await anyio.sleep(0.02)
        return written()

    for number in range(1_000):
        lane.add(str(number), 0.0)

    with anyio.move_on_after(0.99):
        await lane.run(work)

    assert 90 <= sent <= 100


async def test_what_waits_for_the_disk_is_bounded() -> None:
    """A disk that hangs stops the requests: nobody knows what else to do with their answers."""
    lane, sent = make_lane(places=2), 0

    async def work(_item: str) -> Rest:
        nonlocal sent
        sent += 1
        return anyio.sleep_forever()

    for number in range(1_000):
        lane.add(str(number), 0.0)

    with anyio.move_on_after(100.0):
        await lane.run(work)

    assert sent == 2 + WRITING_MAX


async def test_no_more_are_hired_than_are_needed() -> None:
    """Who is done takes the next item: a lane that is hardly used has one worker."""
    lane = make_lane(places=8)
    workers: set[anyio.TaskInfo] = set()

    async def work(_item: str) -> None:
        workers.add(anyio.get_current_task())

    async with anyio.create_task_group() as group:
        group.start_soon(lane.run, work)
        for number in range(20):
            lane.add(str(number), 0.0)
            await anyio.sleep(1.0)

        group.cancel_scope.cancel()

    assert len(workers) == 1


async def test_a_cap_counts_what_was_handed_out() -> None:
    """Of many who become free at once only as many start as the day has left."""

    class Day:
        left = 3

        def wait_s(self) -> float:
            return 0.0 if self.left else 1e6

        def spend(self) -> None:
            self.left -= 1

    work, day = Worker(), Day()
    lane: Lane[str] = Lane("test", places=8, pace=Free(), gate=Gate(Random(1)), cap=day)
    for number in range(8):
        lane.add(str(number), 0.0)

    await serve(lane, work, 10.0)

    assert len(work.began) == 3
