"""A run as a whole: pauses, brakes, limits and what a second process makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from batcher.core.errors import UsageError
from batcher.core.exchange import Response
from batcher.core.model import Stop, StopReason
from batcher.engine.run import Run
from batcher.simulator import FaultPlan
from tests.engine.harness import Death, Night, Scripted, row

pytestmark = pytest.mark.virtual

INTERRUPT = Stop(StopReason.INTERRUPTED, "signal")


# HAPPY PATH


async def test_every_row_ends_in_exactly_one_file(tmp_path: Path) -> None:
    """A clean night: one job, one record and one file for each row."""
    night = Night(tmp_path, faults="calm")
    night.write_urls(200)
    stop = await night.process()

    assert stop is None
    assert night.counts() == {"succeeded": 200}
    assert night.simulation.ledger.counts()["jobs"] == 200
    record = night.records("succeeded")[0]
    assert record["row"] == row(int(record["id"].removeprefix("sku-")))
    assert set(record["result"]["urls"])


async def test_dropped_answers_and_only_those_are_in_doubt(tmp_path: Path) -> None:
    """Five per cent of the answers are lost after acceptance: those rows are held, none resent."""
    night = Night(tmp_path, faults="drop_after=0.05", seed=3)
    night.write_urls(400)
    await night.process()

    lost = {job.reference for job in night.simulation.ledger.undelivered()}
    assert len(lost) > 5
    assert {r["row"]["file_url"] for r in night.records("in_doubt")} == lost
    assert night.simulation.ledger.counts()["submits"] == 400
    assert night.counts() == {"succeeded": 400 - len(lost), "in_doubt": len(lost)}


async def test_bad_rows_are_outcomes_and_cost_nothing(tmp_path: Path) -> None:
    """A line that cannot be used fails alone, with its line number, and is never sent."""
    night = Night(tmp_path)
    night.write_urls(3)
    with night.manifest.open("ab") as file:
        file.write(
            b'{"id": "bad"\n\n{"id": "sku-1", "file_url": "https://x.example/9"}\n{"id":"no"}\n'
        )

    await night.process()

    failed = {record["line"]: record for record in night.records("failed")}
    assert set(failed) == {4, 6, 7}
    assert {record["error"]["kind"] for record in failed.values()} == {"invalid_row"}
    assert failed[4]["row"] is None
    assert failed[6]["id"] == "sku-1"
    assert night.simulation.ledger.counts()["submits"] == 3


async def test_no_more_jobs_are_open_than_allowed(tmp_path: Path) -> None:
    """The in-flight limit holds at every instant, whatever the rate."""
    night = Night(tmp_path, faults="duration=20", settings={"in_flight": 7})
    night.write_urls(40)
    most = 0

    def watch(run: Run) -> None:
        nonlocal most
        most = max(most, run.snapshot().in_flight)

    async def during(run: Run) -> None:
        while True:
            watch(run)
            await anyio.sleep(0.1)

    await night.process(during)

    assert night.counts() == {"succeeded": 40}
    assert most == 7


async def test_a_snapshot_knows_how_much_lies_ahead(tmp_path: Path) -> None:
    """While the manifest is read its expected rows fill the gap; after that the rows are known."""
    night = Night(tmp_path, faults="duration=5", settings={"in_flight": 5})
    night.write_urls(30)
    seen: list[tuple[bool, int | None]] = []

    async def during(run: Run) -> None:
        run.watch(lambda shot: seen.append((shot.reading, shot.rows_total)))

    await night.process(during, rows_expected=28)

    assert {total for reading, total in seen if reading} <= {28, 30}
    assert seen[-1] == (False, 30)


# PAUSES


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        ("credits=10", StopReason.OUT_OF_CREDITS),
        ("unauthorized_from=10", StopReason.UNAUTHORIZED),
        ("forbidden_from=10", StopReason.FORBIDDEN),
    ],
)
async def test_an_account_error_pauses_the_run(
    faults: str, reason: StopReason, tmp_path: Path
) -> None:
    """No row fails; accepted jobs are collected; the rest stays pending and a resume ends it."""
    night = Night(tmp_path, faults=f"{faults},duration=5")
    night.write_urls(50)
    stop = await night.process()

    assert stop is not None
    assert stop.reason is reason
    assert set(night.counts()) == {"succeeded"}
    assert night.counters()["accepted"] == 0
    made = len(night.simulation.ledger.jobs)
    assert night.counts()["succeeded"] == made < 50

    night.simulation.plan = type(night.simulation.plan)()
    assert await night.process() is None
    assert night.counts() == {"succeeded": 50}
    night.assert_no_row_paid_twice()


async def test_a_key_that_is_dead_for_reads_too_ends_the_run_at_once(tmp_path: Path) -> None:
    """Nothing can be followed: accepted rows stay accepted, for a process with a living key."""
    night = Night(tmp_path, faults="key_dead_from=20,duration=30")
    night.write_urls(50)
    stop = await night.process()

    assert stop is not None
    assert stop.reason is StopReason.UNAUTHORIZED
    assert night.counters()["accepted"] > 0
    assert night.counts() == {}

    night.simulation.plan = type(night.simulation.plan)()
    await night.process()
    assert night.counts() == {"succeeded": 50}
    night.assert_no_row_paid_twice()


async def test_a_halt_while_rows_are_rejected_does_not_hang_the_run(tmp_path: Path) -> None:
    """Bad rows are told in bulk; a halt in the middle leaves no row half told."""
    night = Night(tmp_path, faults="unauthorized_from=1,latency=0.02")
    night.write_rows([row(0), *({"id": f"bad-{n}"} for n in range(5_000)), row(1)])
    stop = await night.process()

    assert stop is not None
    assert stop.reason is StopReason.UNAUTHORIZED
    assert set(night.counts()) == {"failed"}
    assert night.counts()["failed"] + night.counters()["pending"] == night.counters()["rows"]


async def test_a_halt_while_rows_are_read_does_not_hang_the_run(tmp_path: Path) -> None:
    """Rows that are admitted at the very moment of the halt stay pending; none holds its slot."""
    night = Night(tmp_path, faults="duration=3", settings={"in_flight": 5_000})
    night.write_urls(20)
    with night.books() as (journal, outcomes):
        halting = HaltingJournal(journal)
        run = Run(night.parts(halting, outcomes))
        halting.on_admit = lambda: run.control.halt(Stop(StopReason.BUDGET, "enough"))
        stop = await run.execute()

    assert stop is not None
    assert night.counters()["pending"] == 20


class HaltingJournal:
    """A journal during whose admission something happens, as it can while a thread is at work."""

    def __init__(self, inner: object) -> None:
        self._inner = inner
        self.on_admit: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def admit(self, *entries: Any, **how: Any) -> Any:
        """Admit, and let it happen."""
        admissions = self._inner.admit(*entries, **how)  # type: ignore[attr-defined]  # a journal
        self.on_admit()
        return admissions


async def test_waiting_for_credits_probes_with_one_row(tmp_path: Path) -> None:
    """With --wait-for-credits the run stays, and asks with one submit after a long wait."""
    night = Night(tmp_path, faults="credits=5", settings={"wait_for_credits": True})
    night.write_urls(20)

    async def top_up(run: Run) -> None:
        await anyio.sleep(4 * 3600)
        night.simulation.top_up(100)

    stop = await night.process(top_up, connections=8)

    assert stop is None
    assert night.counts() == {"succeeded": 20}
    assert night.simulation.ledger.tally["submit 402"] <= 4 + 12


async def test_a_throttle_spends_no_attempt_and_makes_no_storm(tmp_path: Path) -> None:
    """A real limit at the API: everything gets done, and few requests are refused."""
    night = Night(
        tmp_path,
        faults="submits_per_minute=60",
        settings={"max_attempts": 1, "rate": "100/s", "connections": 8},
    )
    night.write_urls(200)
    stop = await night.process()

    assert stop is None
    assert night.counts() == {"succeeded": 200}
    assert night.simulation.ledger.tally["submit 429"] < 40


async def test_a_wait_that_is_too_long_ends_the_run(tmp_path: Path) -> None:
    """A daily limit does not hold a process for a day: it says when to come back."""
    night = Night(tmp_path, settings={"rate": "10/s,5/d"})
    night.write_urls(20)
    stop = await night.process()

    assert stop is not None
    assert stop.reason is StopReason.THROTTLED
    assert stop.resume_at is not None
    assert stop.resume_at - night.clock.wall() == pytest.approx(86_400, abs=60)
    assert night.counts() == {"succeeded": 5}

    again = await night.process()  # at once: the day's cap is counted over restarts
    assert again is not None
    assert night.counts() == {"succeeded": 5}

    await anyio.sleep(86_400)
    await night.process()
    assert night.counts() == {"succeeded": 10}


async def test_an_outage_ends_the_run_and_spends_few_rows(tmp_path: Path) -> None:
    """Nothing can be reached: single probes, then exit with nearly everything pending."""
    night = Night(tmp_path, faults="no_connect=1")
    night.write_urls(200)
    stop = await night.process()

    assert stop is not None
    assert stop.reason is StopReason.UNAVAILABLE
    assert night.counters()["pending"] > 180
    assert night.simulation.ledger.counts()["jobs"] == 0


# BRAKES


async def test_the_first_signal_lets_running_submits_be_answered(tmp_path: Path) -> None:
    """After an interrupt nothing new is sent, running submits are answered, nothing is in doubt."""
    night = Night(tmp_path, faults="latency=2,duration=60")
    night.write_urls(100)

    async def signal(run: Run) -> None:
        await anyio.sleep(3.0)
        run.control.interrupt(INTERRUPT)

    stop = await night.process(signal)

    assert stop is INTERRUPT
    counters = night.counters()
    assert counters["accepted"] == len(night.simulation.ledger.jobs) > 0
    assert counters["intent"] == counters["in_doubt"] == 0


async def test_what_is_not_answered_within_the_grace_is_in_doubt(tmp_path: Path) -> None:
    """A submit that hangs does not hold the exit, and its row is not forgotten."""
    night = Night(tmp_path, faults="hang=1")
    night.write_urls(10)
    ended = 0.0

    async def signal(run: Run) -> None:
        nonlocal ended
        await anyio.sleep(1.0)
        run.control.interrupt(INTERRUPT)
        ended = anyio.current_time()

    await night.process(signal, grace_s=5.0, connections=4)

    assert anyio.current_time() - ended == pytest.approx(5.0, abs=0.1)
    assert night.counters()["in_doubt"] == len(night.simulation.ledger.jobs) > 0
    assert night.counters()["intent"] == 0


async def test_the_second_signal_ends_at_once_and_loses_nothing(tmp_path: Path) -> None:
    """An abort cuts running submits off; they are in doubt, the jobs accepted before are kept."""
    night = Night(tmp_path, faults="latency=30,duration=60")
    night.write_urls(10)
    ended = 0.0

    async def signal(run: Run) -> None:
        nonlocal ended
        await anyio.sleep(1.0)
        run.control.interrupt(INTERRUPT)
        run.control.abort(INTERRUPT)
        ended = anyio.current_time()

    await night.process(signal)

    assert anyio.current_time() - ended < 0.5
    night.assert_every_paid_job_is_known()
    await night.process()
    night.assert_no_row_paid_twice()


async def test_the_job_budget_is_a_hard_stop_over_all_processes(tmp_path: Path) -> None:
    """`--max-jobs` counts what earlier processes made, and what is in doubt."""
    night = Night(tmp_path, faults="drop_after=0.2,503=0.2", settings={"max_jobs": 30})
    night.write_urls(100)
    first = await night.process(max_jobs=10)
    assert len(night.simulation.ledger.jobs) <= 10
    stop = await night.process()

    assert first is not None
    assert stop is not None
    assert first.reason is stop.reason is StopReason.BUDGET
    assert len(night.simulation.ledger.jobs) <= 30


async def test_a_refused_row_costs_no_job_of_the_budget(tmp_path: Path) -> None:
    """`--max-jobs` counts jobs, not submits: a refusal proves that none was made."""
    night = Night(tmp_path, settings={"max_jobs": 5})
    refused = Response(400, b'{"error":"bad"}')
    night.transport = Scripted([refused] * 4, night.transport)
    night.write_urls(9)
    stop = await night.process(connections=1)

    assert stop is None
    assert night.counts() == {"failed": 4, "succeeded": 5}


async def test_a_job_id_that_is_another_rows_is_doubt(tmp_path: Path) -> None:
    """Two submits answered with one id: the second row's job is unknown, whatever the API says."""
    night = Night(tmp_path)
    accepted = Response(202, b'{"job_id":"the-same","status":"queued"}')
    done = Response(200, b'{"status":"done","state":"done","final_url":"https://cdn.example/1"}')
    night.transport = Scripted([accepted, accepted, done], night.transport)
    night.write_urls(2)
    await night.process(connections=1)

    assert night.counts() == {"in_doubt": 1, "succeeded": 1}
    assert "another row" in night.records("in_doubt")[0]["error"]["message"]


async def test_too_many_failures_halt_the_run(tmp_path: Path) -> None:
    """`--max-failures` stops submitting; what was submitted is still collected."""
    night = Night(tmp_path, faults="rejected=0.5,duration=1", settings={"max_failures": "5"})
    night.write_urls(300)
    stop = await night.process(in_flight=10)

    assert stop is not None
    assert stop.reason is StopReason.FAILURE_LIMIT
    assert night.counters()["accepted"] == 0
    assert night.counters()["pending"] > 200


# DEADLINES


async def test_a_job_that_never_ends_cannot_hang_the_run(tmp_path: Path) -> None:
    """It is exhausted at its deadline, with its job id, and `retry` can look at it again."""
    night = Night(tmp_path, faults="stuck=1", settings={"job_timeout_s": 60.0})
    night.write_urls(3)
    begin = anyio.current_time()
    await night.process()

    assert anyio.current_time() - begin == pytest.approx(60.0, abs=20.0)
    assert night.counts() == {"exhausted": 3}
    jobs = {record["job_id"] for record in night.records("exhausted")}
    assert jobs == set(night.simulation.ledger.jobs)


async def test_a_job_that_is_not_visible_yet_is_not_lost(tmp_path: Path) -> None:
    """404 right after a submit is pending for a minute, not a failure."""
    night = Night(tmp_path, faults="missing_s=50,duration=1")
    night.write_urls(5)
    await night.process()

    assert night.counts() == {"succeeded": 5}


async def test_a_job_that_the_api_forgets_fails_after_the_grace(tmp_path: Path) -> None:
    """404 for good: the row fails, and says so."""
    night = Night(tmp_path, faults="forgotten=1")
    night.write_urls(2)
    await night.process()

    assert night.counts() == {"failed": 2}
    assert night.records("failed")[0]["error"]["kind"] == "not_found"


async def test_a_night_later_a_job_is_still_looked_at(tmp_path: Path) -> None:
    """The deadline is no reason to drop a job that was done while nobody looked."""
    night = Night(tmp_path, faults="duration=100")
    night.write_urls(5)

    async def signal(run: Run) -> None:
        await anyio.sleep(10.0)
        run.control.interrupt(INTERRUPT)

    await night.process(signal)
    await anyio.sleep(8 * 3600)
    await night.process()

    assert night.counts() == {"succeeded": 5}


# CHANGED MANIFESTS


async def test_appended_rows_join_and_order_is_free(tmp_path: Path) -> None:
    """On resume only what is new is submitted, wherever it stands."""
    night = Night(tmp_path)
    night.write_urls(10)
    await night.process()
    night.write_rows([row(n) for n in reversed(range(15))])
    await night.process()

    assert night.counts() == {"succeeded": 15}
    assert night.simulation.ledger.counts()["submits"] == 15


async def test_a_row_changed_before_its_submit_is_refused(tmp_path: Path) -> None:
    """Its line is named; with allow_changed it is sent as it is now."""
    night = Night(tmp_path, faults="credits=2")
    night.write_urls(10)
    await night.process()
    night.simulation.top_up(100)
    night.write_rows(
        [*(row(n) for n in range(9)), {"id": "sku-9", "file_url": "https://x.example/new"}]
    )
    with pytest.raises(UsageError, match=r"line 10.*sku-9.*--allow-changed"):
        await night.process()

    await night.process(allow_changed=True)

    assert night.counts() == {"succeeded": 10}
    assert "https://x.example/new" in night.simulation.ledger.references
    assert row(9)["file_url"] not in night.simulation.ledger.references


async def test_a_row_changed_after_its_submit_stays_as_sent(tmp_path: Path) -> None:
    """It is told, and not paid for again."""
    night = Night(tmp_path)
    night.write_urls(3)
    await night.process()
    night.write_rows([row(0), row(1), {"id": "sku-2", "file_url": "https://x.example/new"}])
    await night.process()

    assert night.simulation.ledger.counts()["submits"] == 3
    assert "row.changed_late" in night.log.names("warning")


async def test_a_vanished_row_is_told_and_not_sent(tmp_path: Path) -> None:
    """A row that is no longer in the manifest stays pending."""
    night = Night(tmp_path, faults="credits=2")
    night.write_urls(5)
    await night.process()
    night.simulation.top_up(100)
    night.write_urls(4)
    await night.process()

    assert night.counts() == {"succeeded": 4}
    assert night.counters()["pending"] == 1
    assert "rows.vanished" in night.log.names("warning")


async def test_a_manifest_that_came_by_a_pipe_is_resumed_from_the_journal(tmp_path: Path) -> None:
    """What was read before a crash gets its outcome without the manifest, bad lines too."""
    night = Night(tmp_path, faults="credits=3")
    bad = [{"id": "sku-0", "file_url": "https://x.example/9"}, {"id": "no"}]
    night.write_rows([row(0), *bad, *(row(n) for n in range(1, 9))])
    await night.doomed_process(Death(at_write=1, after=True))
    night.simulation.top_up(100)
    await night.process(read_manifest=False)

    assert night.counters()["pending"] == 0
    assert night.counters()["rows"] == 11
    assert len(night.records("failed")) == 2
    night.assert_no_row_paid_twice()


# THE OTHER POLICY


async def test_resubmitting_what_is_in_doubt_is_a_choice_with_a_cap(tmp_path: Path) -> None:
    """With on_doubt=resubmit at most so many rows may be paid twice; the rest is held."""
    night = Night(
        tmp_path,
        faults="drop_after=0.3",
        settings={"on_doubt": "resubmit", "max_duplicates": 5},
    )
    night.write_urls(60)
    await night.process()

    ledger = night.simulation.ledger
    extra = sum(jobs - 1 for jobs in ledger.duplicates().values())
    assert 0 < extra <= 5
    assert night.counts()["in_doubt"] > 0


async def test_the_policy_is_for_the_submits_of_a_dead_process_too(tmp_path: Path) -> None:
    """What a crash left open is in doubt as any: so many rows are sent again, and no more."""
    night = Night(tmp_path, faults="hang=1", settings={"on_doubt": "resubmit", "max_duplicates": 2})
    night.write_urls(5)
    await night.doomed_process(Death(at_s=1.0), submit_timeout_s=60.0)
    night.simulation.plan = FaultPlan()
    await night.process()

    assert night.counts() == {"succeeded": 2, "in_doubt": 3}
    assert len(night.simulation.ledger.jobs) == 5 + 2
    night.assert_books_agree()


async def test_holding_500_is_a_choice(tmp_path: Path) -> None:
    """deAPI tells to retry a 500; with on_500=hold it is in doubt instead."""
    night = Night(
        tmp_path,
        provider="deapi",
        faults="error_after=1",
        params={"task": "generations", "tier": "premium", "model": "Flux1schnell"},
        settings={"on_500": "hold"},
    )
    values = {"width": 512, "height": 512, "steps": 4, "guidance": 0, "seed": 1}
    night.write_rows([{"id": "a", "prompt": "a cat", **values}])
    await night.process()

    assert night.counts() == {"in_doubt": 1}
    assert night.records("in_doubt")[0]["error"]["kind"] == "unknown_outcome"
    assert len(night.simulation.ledger.jobs) == 1
