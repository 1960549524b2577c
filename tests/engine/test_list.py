"""The list of jobs: it gives rows in doubt their jobs, or proves that they have none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from batcher.core.errors import Lost
from batcher.core.exchange import Request, Response
from batcher.core.lifecycle import State
from batcher.core.model import Stop, StopReason
from batcher.engine.doubt.listing import END_WAIT_S, LATE_S, WALK_EVERY_S
from batcher.engine.money.budget import DUPLICATES
from batcher.engine.run import Run
from tests.engine.askable import AskableNight
from tests.engine.harness import Death, Scripted
from tests.engine.test_crash import FAULTS, LIVES_MAX, ROWS, any_death
from tests.support.threads import virtual_thread

pytestmark = pytest.mark.virtual

SEEDS = int(os.environ.get("BATCHER_SEEDS", "60")) // 5
LAG_S = 20.0  # until the API has a job in its list
SETTLE_S = 30.0
PLAIN = f"duration=5,listing={LAG_S:g}"
SLOW_S = 60.0  # two walks see nothing within this
SLOW = f"duration=5,listing={SLOW_S:g}"


def night_of(folder: Path, rows: int, faults: str, **settings: Any) -> AskableNight:
    """Return a night with an API that lists its jobs, a little late."""
    night = AskableNight(folder, faults=f"{PLAIN},{faults}", settle_s=SETTLE_S)
    night.settings = {"submit_timeout_s": 5.0, **settings}
    night.write_urls(rows)
    return night


async def interrupt(run: Run) -> None:
    """Stop a run after a little while, at once."""
    await anyio.sleep(1.0)
    run.control.abort(Stop(StopReason.INTERRUPTED, "signal"))


async def test_a_job_in_the_list_is_its_rows(tmp_path: Path) -> None:
    """A lost answer costs nothing: the list has the job under the mark of its submit."""
    night = night_of(tmp_path, 60, "drop_after=0.5")
    begin = anyio.current_time()
    await night.process()

    assert night.counts() == {"succeeded": 60}
    assert len(night.simulation.ledger.jobs) == 60
    assert {move for move, _ in night.decisions()} == {"adopt"}
    assert night.charges() == []
    assert anyio.current_time() - begin < END_WAIT_S
    night.assert_books_agree()


async def test_a_job_that_is_not_in_the_list_was_not_made(tmp_path: Path) -> None:
    """Once settled, an absence is proof: the row is submitted again, as a new attempt."""
    night = night_of(tmp_path, 40, "drop_before=0.3", cost_per_job=1.0, max_cost=40.0, max_jobs=40)
    await night.process()

    assert night.counts() == {"succeeded": 40}
    assert len(night.simulation.ledger.jobs) == 40
    assert 2 in night.generations()
    assert "twice" not in {move for move, _ in night.decisions()}
    assert night.charges() == []  # what is proved to have made no job was not charged
    assert night.counters()["cost"] == 40_000_000_000
    night.assert_books_agree()


async def test_one_walk_serves_all_rows(tmp_path: Path) -> None:
    """The list is read as often for a hundred rows as for one, and never without a doubt."""
    night = night_of(tmp_path, 100, "drop_after=0.5")
    await night.process()

    pages = 1 + 100 // 20
    assert len(night.decisions()) > 30
    assert night.counts() == {"succeeded": 100}
    assert night.simulation.ledger.questions["list"] <= 2 * pages


async def test_no_doubt_no_question(tmp_path: Path) -> None:
    """Where every submit is answered the list is not read."""
    night = night_of(tmp_path, 30, "429=0.2,retry_after_s=1,503=0.1")
    await night.process()

    assert night.counts() == {"succeeded": 30}
    assert night.simulation.ledger.questions["list"] == 0


async def test_walks_are_spaced(tmp_path: Path) -> None:
    """However many rows come into doubt: the list is not read all the time."""
    night = night_of(tmp_path, 100, "drop_after=0.3", rate="20/m", in_flight=20)
    begin = anyio.current_time()
    await night.process()

    walks = (anyio.current_time() - begin) / WALK_EVERY_S + 2
    assert night.counts() == {"succeeded": 100}
    assert night.simulation.ledger.questions["list"] <= walks * (1 + 100 // 20)


async def test_waiting_costs_no_slot(tmp_path: Path) -> None:
    """Rows whose doubt has to settle do not hold up the others, even with one slot."""
    night = night_of(tmp_path, 20, "drop_after=0.3", in_flight=1)
    ended: list[float] = []

    async def watch(run: Run) -> None:
        while True:
            await anyio.sleep(1.0)
            ended.append(run.snapshot().counters.get("succeeded", 0))

    await night.process(watch)

    assert night.counts() == {"succeeded": 20}
    assert ended.index(next(n for n in ended if n >= 10)) < 10 * 8  # seconds: one job after another


@pytest.mark.parametrize(
    "faults", ["question_error=1", "question_garbled=1", "question_throttle=1"]
)
async def test_a_list_that_cannot_be_read_proves_nothing(faults: str, tmp_path: Path) -> None:
    """The rows are held, the run ends in bounded time, and a later process goes on."""
    night = night_of(tmp_path, 5, f"drop_before=1,{faults}")
    begin = anyio.current_time()
    await night.process()

    assert night.in_doubt() == 5
    assert night.simulation.ledger.counts()["submits"] == 5
    assert anyio.current_time() - begin < 2 * END_WAIT_S
    assert "doubt.list" in night.log.names()
    night.heal(PLAIN)
    await night.process()
    assert night.counts() == {"succeeded": 5}
    assert night.decisions()
    night.assert_no_row_paid_twice()


async def test_a_list_of_which_one_page_is_missing_proves_nothing(tmp_path: Path) -> None:
    """What the pages before it have is true; of the rest nobody knows."""
    night = night_of(tmp_path, 60, "drop_after=0.5")
    night.transport = LastPageMissing([], night.transport)
    await night.process()

    jobs = list(night.simulation.ledger.jobs.values())
    lost = {job.reference for job in jobs[40:] if not job.delivered}
    assert len(jobs) == 60
    assert {record["row"]["file_url"] for record in night.records("in_doubt")} == lost
    assert len(lost) == night.in_doubt() > 0


class LastPageMissing(Scripted):
    """Fails every page behind the second one."""

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Do so."""
        if request.path == "/jobs?cursor=40":
            return Response(500, b"{}")

        return await super().send(request, timeout_s=timeout_s)


async def test_rows_in_doubt_are_settled_by_the_next_process(tmp_path: Path) -> None:
    """Also rows of which the list was never asked: they stand in the journal."""
    night = night_of(tmp_path, 6, "hang=0.5,drop_before=0.5", submit_timeout_s=60.0)
    await night.process(interrupt, grace_s=0.0)
    assert night.in_doubt() > 0
    night.heal(PLAIN)
    await anyio.sleep(1_000.0)
    begin = anyio.current_time()
    await night.process()

    assert night.counts() == {"succeeded": 6}
    assert anyio.current_time() - begin < 3 * WALK_EVERY_S  # they had settled before
    night.assert_no_row_paid_twice()
    night.assert_books_agree()


async def test_an_intent_of_a_dead_process_settles(tmp_path: Path) -> None:
    """The next process does not take an absence for proof before the time is up."""
    night = night_of(tmp_path, 4, "hang=1", submit_timeout_s=60.0)
    night.settle_s = SLOW_S + 10.0
    await night.doomed_process(Death(at_s=1.0))
    night.heal(SLOW)
    await night.process()

    assert night.counts() == {"succeeded": 4}
    assert night.generations() == [1] * 4
    night.assert_no_row_paid_twice()


async def test_a_doubt_at_the_end_of_a_long_run_settles_by_itself(tmp_path: Path) -> None:
    """Its time counts from its own submit, not from the start of the process."""
    night = night_of(tmp_path, 40, "", rate="10/m")
    night.settle_s = SLOW_S + 10.0

    async def begin_to_lose(run: Run) -> None:
        await anyio.sleep(200.0)
        night.heal(f"{SLOW},drop_after=0.5")

    await night.process(begin_to_lose)

    assert night.counts() == {"succeeded": 40}
    assert len(night.decisions()) > 0
    night.assert_no_row_paid_twice()


async def test_an_intent_that_waited_for_the_disk_does_not_leave(tmp_path: Path) -> None:
    """Whoever found it later would think that its submit was over for long: it is taken back."""
    night = night_of(tmp_path, 1, "")
    waits = [2 * LATE_S] * 12

    async def slow(call: Callable[[], Any]) -> Any:
        if waits and not night.simulation.ledger.submits_at:
            await anyio.sleep(waits.pop(0))

        return await virtual_thread(call)

    night.thread = slow
    await night.process()

    (submitted,) = night.simulation.ledger.submits_at
    assert night.counts() == {"succeeded": 1}
    assert night.generations()[0] > 1
    with night.unmended_books() as (journal, _):
        (attempt,) = journal._db.execute("SELECT intent_at FROM attempt WHERE job_id IS NOT NULL")
        assert submitted - attempt[0] < LATE_S


async def test_what_left_without_a_mark_is_not_looked_for(tmp_path: Path) -> None:
    """The first process did not know of the list: that its jobs are not in it proves nothing."""
    night = night_of(tmp_path, 3, "hang=1")
    night.settle_s = None
    await night.doomed_process(Death(at_s=1.0))
    night.settle_s = SETTLE_S
    night.heal(PLAIN)
    await anyio.sleep(1_000.0)
    await night.process()

    assert night.in_doubt() == 3
    assert len(night.simulation.ledger.jobs) == 3
    assert night.simulation.ledger.questions["list"] == 0


async def test_a_list_slower_than_it_says_costs_money_and_leaves_the_evidence(
    tmp_path: Path,
) -> None:
    """What nothing can mend: the API has a job, and its list has not, longer than was declared."""
    night = night_of(tmp_path, 10, "drop_after=0.5")
    night.heal("duration=5,drop_after=0.5,listing=400")
    await night.process()
    night.heal("duration=5,listing=1")
    await night.process()

    extra = len(night.simulation.ledger.duplicates())
    assert extra > 0
    notes = [note for move, note in night.decisions() if move == "withdraw"]
    assert len(notes) >= extra
    assert all("the list has no job for this submit" in note for note in notes)


async def test_attempts_are_spent_by_absences_too(tmp_path: Path) -> None:
    """An API that never takes a submit is not asked for ever: the rows stay in doubt."""
    night = night_of(tmp_path, 2, "drop_before=1", max_attempts=3)
    await night.process()

    assert night.in_doubt() == 2
    assert night.generations() == [3, 3]


async def test_the_users_policy_comes_after_the_list(tmp_path: Path) -> None:
    """With on_doubt=resubmit nobody is paid twice of whom the list tells."""
    night = night_of(tmp_path, 20, "drop_after=0.5", on_doubt="resubmit", max_duplicates=20)
    await night.process()

    assert night.counts() == {"succeeded": 20}
    night.assert_no_row_paid_twice()


async def test_the_users_policy_is_for_what_the_list_does_not_tell(tmp_path: Path) -> None:
    """So many rows and no more are submitted again when the list cannot be read."""
    night = night_of(
        tmp_path,
        6,
        "drop_after=1,question_error=1",
        on_doubt="resubmit",
        max_duplicates=4,
    )
    await night.process()

    assert night.in_doubt() == 6
    assert len(night.simulation.ledger.jobs) == 6 + 4


async def test_a_stopped_run_does_not_wait(tmp_path: Path) -> None:
    """Who stops a run does not want to wait for a list: the next process goes on."""
    night = night_of(tmp_path, 30, "drop_after=0.5", rate="10/s")
    begin = anyio.current_time()
    await night.process(interrupt)

    assert anyio.current_time() - begin < 20.0
    night.heal(PLAIN)
    await night.process()
    assert night.counts() == {"succeeded": 30}
    night.assert_no_row_paid_twice()


async def test_a_clock_that_is_set_back_makes_no_submit_an_old_one(tmp_path: Path) -> None:
    """A submit of this process, from before its start by the clock, settles since its own end."""
    night = night_of(tmp_path, 1, "")
    await night.process()
    night.write_urls(2)
    await anyio.sleep(7_200.0)  # the first process knows since when marks travel
    late = Response(429, b"{}", {"retry-after": "500"})
    night.transport = Scripted([late], night.transport)
    night.heal(f"{SLOW},drop_after=1")

    async def set_back(run: Run) -> None:
        await anyio.sleep(100.0)
        night.clock._start -= 3_600.0
        await anyio.sleep(455.0)  # the submit is lost, and not yet tried again
        night.heal(SLOW)

    night.settle_s = SLOW_S + 30.0
    await night.process(set_back, max_wait_s=1_000.0)

    assert night.counts() == {"succeeded": 2}
    night.assert_no_row_paid_twice()


async def test_the_policy_is_for_every_row_though_slots_are_few(tmp_path: Path) -> None:
    """Rows that the list does not tell of go on as slots come free, each counted once."""
    night = night_of(tmp_path, 9, "", on_doubt="resubmit", max_duplicates=7)
    night.transport = Unlisted(night.transport, lost=9)
    await night.process(in_flight=1)

    assert night.counts() == {"in_doubt": 2, "succeeded": 7}
    assert night.counters()[DUPLICATES] == 7
    night.assert_books_agree()


class Unlisted(Scripted):
    """Loses the answers to the first submits, and has a list that cannot be read."""

    def __init__(self, then: Any, lost: int) -> None:
        super().__init__([], then)
        self._lost = lost

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Do so."""
        await anyio.lowlevel.checkpoint()
        if request.path == "/jobs" and request.method == "GET":
            return Response(500, b"{}")

        if request.method == "POST" and self._lost:
            self._lost -= 1
            raise Lost("cut")

        return await self._then.send(request, timeout_s=timeout_s)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("by_key", [False, True], ids=["list", "key and list"])
async def test_crashes_anywhere_leave_no_doubt(seed: int, by_key: bool, tmp_path: Path) -> None:
    """Whatever the seed: one job a row at most, and in the end no row is in doubt."""
    rng = Random(seed)
    faults = f"{FAULTS},listing={SLOW_S:g}" + (",idempotent=300" if by_key else "")
    night = AskableNight(tmp_path, faults=faults, seed=seed, settle_s=SLOW_S + 10.0)
    night.honoured_s = 300.0 if by_key else None
    night.settings = {
        "in_flight": rng.choice([1, 3, 200]),
        "connections": rng.choice([1, 4, 32]),
        "rate": rng.choice(["3/s", "1000/s"]),
        "submit_timeout_s": 5.0,
        "max_attempts": 20,
        **rng.choice([{}, {"max_cost": 1.0, "cost_per_job": 0.01}]),
    }
    night.write_urls(ROWS)
    for _ in range(LIVES_MAX):
        if await night.doomed_process(late_death(rng)):
            break

        await anyio.sleep(rng.uniform(0.0, 20.0))

    await night.process()

    night.assert_no_row_paid_twice()
    night.assert_every_paid_job_is_known()
    night.assert_books_agree()
    assert set(night.outcomes()) == {f"sku-{n}" for n in range(ROWS)}
    assert night.counters()[State.IN_DOUBT] == 0


def late_death(rng: Random) -> Death:
    """Return a death at any time, also in the middle of what the list brings about."""
    return any_death(rng) if rng.random() < 0.5 else Death(at_s=rng.uniform(12.0, 90.0))
