"""Nights on which several things go wrong at once: budgets over crashes, disks, bugs, storms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from batcher.core.errors import Lost, NotSent, StorageError
from batcher.core.exchange import Response
from batcher.core.model import Stop, StopReason
from batcher.core.stats import Snapshot
from batcher.engine.books import decide
from batcher.engine.run import Run
from tests.engine.harness import FLUX, Death, Mortal, Night, Scripted, prompt, row

pytestmark = pytest.mark.virtual

INTERRUPT = Stop(StopReason.INTERRUPTED, "signal")


def interrupted_after(seconds: float) -> Callable[[Run], Any]:
    """Return a task that interrupts the run."""

    async def interrupt(run: Run) -> None:
        await anyio.sleep(seconds)
        run.control.interrupt(INTERRUPT)

    return interrupt


# BUDGETS


async def test_the_job_budget_counts_what_a_crash_left_open(tmp_path: Path) -> None:
    """An intent without an answer may have made a job: it counts, also in the next process."""
    night = Night(tmp_path, faults="hang=1", settings={"max_jobs": 10})
    night.write_urls(100)
    await night.doomed_process(Death(at_s=5.0), submit_timeout_s=600.0, connections=64)
    night.simulation.plan = type(night.simulation.plan)()
    await night.process()

    assert len(night.simulation.ledger.jobs) <= 10


async def test_the_job_budget_counts_what_is_resubmitted(tmp_path: Path) -> None:
    """A row that is paid twice by choice takes two jobs of the budget, over all processes."""
    settings = {"max_jobs": 20, "on_doubt": "resubmit", "max_duplicates": 15}
    night = Night(tmp_path, faults="drop_after=0.5", settings=settings)
    night.write_urls(100)
    for _ in range(4):
        await night.process(in_flight=5, connections=2)

    assert len(night.simulation.ledger.jobs) <= 20


@pytest.mark.parametrize("faults", ["latency=1", "latency=1,503=0.4"])
async def test_the_job_budget_is_used_up_to_the_last_job(faults: str, tmp_path: Path) -> None:
    """A submit that is still open may give its job back: only then is the budget spent."""
    night = Night(tmp_path, faults=faults, settings={"max_jobs": 10, "rate": "100000/s"})
    night.write_urls(100)
    stop = await night.process(connections=64)

    assert stop is not None
    assert stop.reason is StopReason.BUDGET
    assert len(night.simulation.ledger.jobs) == 10


async def test_reruns_are_bounded_over_restarts(tmp_path: Path) -> None:
    """A job that fails again and again is run `--max-attempts` times, however often we restart."""
    faults = "duration=10,rejected=1,retryable=1"
    night = Night(tmp_path, provider="deapi", params=FLUX, faults=faults)
    night.write_rows([prompt(0)])
    for _ in range(8):
        await night.process(interrupted_after(22.0), max_attempts=3)

    assert len(night.simulation.ledger.jobs) <= 3


async def test_bad_rows_do_not_count_as_failures_on_resume(tmp_path: Path) -> None:
    """`--max-failures` speaks of the API: rows that were never sent are free in every process."""
    night = Night(tmp_path, faults="credits=5", settings={"max_failures": "5"})
    night.write_rows([*({"id": f"bad{n}"} for n in range(10)), *(row(n) for n in range(30))])
    await night.process()
    night.simulation.top_up(100)
    night.transport = Scripted([Response(422, b'{"error":"bad"}')], night.transport)

    assert await night.process() is None


# RESUMING


@pytest.mark.parametrize("in_flight", [10, 1_000])
async def test_a_resumed_job_that_is_run_again_is_not_fed_twice(
    in_flight: int, tmp_path: Path
) -> None:
    """It is pending in the journal and in flight at once: the manifest must not bring it again."""
    faults = "duration=30,rejected=1,retryable=1"
    night = Night(tmp_path, provider="deapi", params=FLUX, faults=faults)
    night.write_rows([prompt(n) for n in range(30)])
    await night.process(interrupted_after(8.0), in_flight=30)
    assert night.counters()["accepted"] == 30
    await anyio.sleep(60)
    night.simulation.plan = type(night.simulation.plan)()
    night.write_rows([prompt(n) for n in (*range(1_000, 2_010), *range(30))])
    stop = await night.process(in_flight=in_flight, rate="10/s")

    assert stop is None
    assert night.counts() == {"succeeded": 1_040}


async def test_a_job_is_looked_at_before_its_time_is_up(tmp_path: Path) -> None:
    """A night later the first reads are throttled: that says nothing of the jobs."""
    night = Night(tmp_path, faults="duration=100")
    night.write_urls(5)
    await night.process(interrupted_after(10.0))
    await anyio.sleep(8 * 3600)
    throttled = Response(429, b"{}", {"retry-after": "5"})
    night.transport = Scripted([throttled, throttled, throttled], night.transport)
    await night.process()

    assert night.counts() == {"succeeded": 5}


async def test_a_smaller_limit_is_no_vanished_row(tmp_path: Path) -> None:
    """`--limit` looks at the first rows only; the rest has not gone anywhere."""
    night = Night(tmp_path, faults="credits=2")
    night.write_urls(20)
    await night.process()
    night.simulation.top_up(100)
    await night.process(limit=5)

    assert "rows.vanished" not in night.log.names("warning")


# STORMS


async def test_waiting_for_credits_is_no_outage(tmp_path: Path) -> None:
    """A 402 is an answer: one lost answer hours ago does not make the API unavailable."""
    night = Night(tmp_path, faults="credits=0", settings={"wait_for_credits": True})
    night.transport = Scripted([Lost("reset")], night.transport)
    night.write_urls(5)

    async def top_up(run: Run) -> None:
        await anyio.sleep(6 * 3600)
        night.simulation.top_up(100)

    assert await night.process(top_up, connections=2) is None
    assert night.counts() == {"in_doubt": 1, "succeeded": 4}


async def test_a_throttle_without_an_end_ends_the_run(tmp_path: Path) -> None:
    """A 429 for ever that never says how long: the waits grow until one is too long."""
    night = Night(tmp_path, faults="throttle=1,bare_429=1")
    night.write_urls(5)
    begin = anyio.current_time()
    stop = await night.process()

    assert stop is not None
    assert stop.reason is StopReason.THROTTLED
    assert anyio.current_time() - begin < 2 * 3600
    assert night.counters()["pending"] == 5


async def test_a_job_is_not_read_before_the_api_asks_for(tmp_path: Path) -> None:
    """Retry-After on a status answer is the earliest time for the next look."""
    night = Night(tmp_path, faults="duration=20")
    inner, reads = night.transport, []

    class Patient:
        async def send(self, request: Any, *, timeout_s: float) -> Response:
            answer = await inner.send(request, timeout_s=timeout_s)
            if request.method == "POST":
                return answer

            reads.append(anyio.current_time())
            headers = {**answer.headers, "retry-after": "60"}
            return Response(answer.status, answer.body, headers, answer.received_at)

    night.transport = Patient()
    night.write_urls(1)
    await night.process()

    assert len(reads) == 2
    assert reads[1] - reads[0] >= 60


async def test_no_answer_keeps_a_job_beyond_its_time(tmp_path: Path) -> None:
    """A Retry-After of a month on a status answer does not hold the run for a month."""
    night = Night(tmp_path, faults="stuck=1")
    inner = night.transport

    class Lazy:
        async def send(self, request: Any, *, timeout_s: float) -> Response:
            answer = await inner.send(request, timeout_s=timeout_s)
            headers = {**answer.headers, "retry-after": str(30 * 86_400)}
            return Response(answer.status, answer.body, headers, answer.received_at)

    night.transport = Lazy()
    night.write_urls(1)
    begin = anyio.current_time()
    await night.process()

    assert night.counts() == {"exhausted": 1}
    assert anyio.current_time() - begin < 1_000


async def test_a_job_is_looked_at_after_an_outage(tmp_path: Path) -> None:
    """One lost read right after its time was up is no look: the job was done all along."""
    night = Night(tmp_path, faults="duration=50", settings={"job_timeout_s": 100.0})
    inner = night.transport
    down_from, down_to = anyio.current_time() + 20.0, anyio.current_time() + 105.0

    class Down:
        async def send(self, request: Any, *, timeout_s: float) -> Response:
            if request.method == "GET" and down_from < anyio.current_time() < down_to:
                raise Lost("reset")

            return await inner.send(request, timeout_s=timeout_s)

    night.transport = Down()
    night.write_urls(1)
    await night.process()

    assert night.counts() == {"succeeded": 1}


# THIS MACHINE


class Local:
    """A transport that this machine holds up for some rows, or for a while."""

    def __init__(self, inner: Any, is_held_up: Callable[[Any], bool]) -> None:
        self._inner = inner
        self._is_held_up = is_held_up
        self.tries = 0

    async def send(self, request: Any, *, timeout_s: float) -> Response:
        """Raise what the real transport raises, or pass on."""
        if request.method == "POST" and self._is_held_up(request):
            self.tries += 1
            raise NotSent("too many open files", local=True)

        return await self._inner.send(request, timeout_s=timeout_s)  # type: ignore[no-any-return]


async def test_trouble_of_this_machine_spends_no_attempt(tmp_path: Path) -> None:
    """No descriptors for two seconds: nobody else is to blame, and every row gets its turn."""
    night = Night(tmp_path, settings={"max_attempts": 5, "rate": "20/s"})
    until = anyio.current_time() + 2.0
    night.transport = Local(night.transport, lambda _request: anyio.current_time() < until)
    night.write_urls(60)
    await night.process()

    assert night.counts() == {"succeeded": 60}
    with night.books() as (journal, _):
        spent = [journal.find(f"sku-{n}") for n in range(60)]
        assert {held.ticket.spent for held in spent if held is not None} == {0}

    assert night.log.names("warning").count("submit.stuck") == 1


async def test_a_file_that_was_spoiled_since_the_check_is_not_sent(tmp_path: Path) -> None:
    """Emptied while its row waited: refused as the check would, before anything can be paid."""
    images = [tmp_path / f"{n}.png" for n in range(3)]
    for image in images:
        image.write_bytes(b"an image")

    night = Night(tmp_path, settings={"rate": "1/s"})
    night.write_rows([{"id": image.stem, "file": str(image)} for image in images])

    async def spoil(_: Run) -> None:
        await anyio.sleep(1.5)
        images[2].write_bytes(b"")

    await night.process(spoil)

    assert night.counts() == {"succeeded": 2, "failed": 1}
    assert night.records("failed")[0]["error"]["message"] == "file: 2.png is empty"
    assert night.simulation.ledger.counts()["submits"] == 2


async def test_a_file_that_cannot_be_opened_ends_its_row_and_slows_nobody(tmp_path: Path) -> None:
    """Twelve such rows are no outage: the lane stays open, and each of them is tried and ends."""
    night = Night(tmp_path, settings={"max_attempts": 3})
    bad = {f"https://shop.example/{n}.jpg".encode() for n in range(12)}
    local = Local(night.transport, lambda request: any(url in request.json for url in bad))
    night.transport = local
    night.write_urls(40)
    closed: list[float] = []

    async def watch(run: Run) -> None:
        run.watch(lambda shot: closed.extend(lane.closed_s or 0.0 for lane in shot.lanes))

    await night.process(watch)

    assert night.counts() == {"exhausted": 12, "succeeded": 28}
    assert local.tries == 36
    assert set(closed) == {0.0}


# DISKS AND BUGS


class FullFor:
    """A journal whose disk is full for a while."""

    def __init__(self, inner: Any, from_s: float, to_s: float) -> None:
        self._inner = inner
        self._from = anyio.current_time() + from_s
        self._to = anyio.current_time() + to_s

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in ("apply", "admit", "note"):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._from <= anyio.current_time() < self._to:
                full = StorageError("no space left on device")
                full.disk_full = True
                raise full

            return method(*args, **kwargs)

        return call


@pytest.mark.parametrize("from_s", [0.0, 20.0], ids=["at the start", "in the middle"])
@pytest.mark.parametrize("status_rate", ["100/s", "100/s,100000/d"])
async def test_a_full_disk_is_waited_for_on_every_path(
    status_rate: str, from_s: float, tmp_path: Path
) -> None:
    """Admission, moves and the day's counts all wait for room; nothing is lost or doubted."""
    night = Night(tmp_path, faults="latency=1,duration=5")
    night.write_urls(600)
    with night.books() as (journal, outcomes):
        full = FullFor(journal, from_s, from_s + 60)
        parts = night.parts(full, outcomes, {"rate": "20/s", "status_rate": status_rate})
        stop = await Run(parts).execute()

    assert stop is None
    assert night.counts() == {"succeeded": 600}
    assert night.log.names().count("disk.full") >= 1


async def test_a_disk_that_is_full_now_and_then_loses_no_line(tmp_path: Path) -> None:
    """Full at seeded writes, whatever was to be written: each row has its one record at the end."""
    night = Night(tmp_path, faults="latency=0.3,duration=2", settings={"rate": "50/s"})
    night.write_urls(200)

    class FullNowAndThen:
        def __init__(self, inner: Any) -> None:
            self._inner = inner
            self._rng = Random(5)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def apply(self, *args: Any) -> Any:
            if self._rng.random() < 0.3:
                full = StorageError("no space left on device")
                full.disk_full = True
                raise full

            return self._inner.apply(*args)

    with night.books() as (journal, outcomes):
        await Run(night.parts(FullNowAndThen(journal), outcomes)).execute()

    assert night.counts() == {"succeeded": 200}
    night.assert_every_paid_job_is_known()


async def test_a_bug_in_reading_answers_puts_no_submit_in_doubt(tmp_path: Path) -> None:
    """The run ends with the bug, after the submits that were open have been answered."""
    night = Night(tmp_path, faults="latency=3,duration=5", settings={"rate": "10/s"})
    night.write_urls(100)
    with night.books() as (journal, outcomes):
        parts = night.parts(journal, outcomes, {"connections": 64})
        real, seen = parts.provider.read_status, []

        def faulty(response: Response) -> Any:
            seen.append(response)
            if len(seen) == 5:
                raise KeyError("a bug")

            return real(response)

        parts.provider.read_status = faulty  # type: ignore[method-assign]  # the bug
        with pytest.raises(KeyError, match="a bug"):
            await Run(parts).execute()

    counters = night.counters()
    assert counters["in_doubt"] == counters["intent"] == 0
    assert counters["jobs_accepted"] == len(night.simulation.ledger.jobs)


async def test_an_observer_that_fails_costs_nothing(tmp_path: Path) -> None:
    """A broken view is not shown another snapshot, and the run goes on."""
    night = Night(tmp_path, faults="latency=1,duration=5", settings={"rate": "10/s"})
    night.write_urls(60)

    def broken(shot: Snapshot) -> None:
        raise ValueError("I/O operation on closed file")

    async def during(run: Run) -> None:
        run.watch(broken)

    assert await night.process(during) is None
    assert night.counts() == {"succeeded": 60}
    assert night.log.names("error") == ["observer.failed"]


async def test_a_bug_in_the_journal_does_not_hang_the_run(tmp_path: Path) -> None:
    """Whoever waits for the journal hears of its end, whatever kind of error it was."""
    night = Night(tmp_path, faults="latency=1,duration=5", settings={"rate": "20/s"})
    night.write_urls(100)

    class Buggy:
        calls = 0

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def apply(self, *args: Any) -> Any:
            Buggy.calls += 1
            if Buggy.calls == 60:
                raise UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed")

            return self._inner.apply(*args)

    with night.books() as (journal, outcomes), pytest.raises(UnicodeEncodeError):
        await Run(night.parts(Buggy(journal), outcomes, {"connections": 64})).execute()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("second", range(1, 6))
@pytest.mark.parametrize("first", range(1, 5))
async def test_two_crashes_in_a_decision_lose_no_record(
    first: int, second: int, after: bool, tmp_path: Path
) -> None:
    """A crash while deciding, then one while mending: the third start has every record."""
    night = Night(tmp_path, faults="drop_after=1")
    night.write_urls(3)
    await night.process()
    steps: list[tuple[int, Callable[[Any, Any], Any]]] = [
        (first, lambda j, o: decide.give_up(j, o, None, provider="removit", note="", at=0.0)),
        (second, lambda j, o: decide.finish_rewrites(j, o, "removit", 0.0)),
    ]
    for at_write, step in steps:
        with night.unmended_books() as (journal, outcomes):
            death = Death(at_write=at_write, after=after)
            try:
                step(Mortal(journal, death), Mortal(outcomes, death))
            except StorageError:
                assert death.came

    with night.books():
        pass

    assert len(night.outcomes()) == 3
