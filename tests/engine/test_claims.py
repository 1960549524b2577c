"""Webhooks: what a call can do, what it cannot, and that a lost answer costs no job."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from batcher.adapters.webhooks import Answer
from batcher.core.errors import StorageError
from batcher.core.events import Intend
from batcher.core.exchange import Request, Response, Transport
from batcher.core.journal import Journal
from batcher.core.model import Stop, StopReason
from batcher.core.secret import Secret
from batcher.engine.keyring import Keyring
from batcher.engine.run import Run
from batcher.engine.webhooks.addresses import Addresses
from batcher.engine.webhooks.calls import SILENT_JOBS
from tests.engine.calling import URL, CalledNight, Caller
from tests.engine.harness import Death, Night, row

pytestmark = pytest.mark.virtual

SEEDS = int(os.environ.get("BATCHER_SEEDS", "40"))


def night_of(folder: Path, rows: int, faults: str, **settings: Any) -> CalledNight:
    """Return a night with so many rows, whose jobs take five seconds."""
    night = CalledNight(folder, faults=f"duration=5,{faults}".rstrip(","), settings=settings)
    night.write_urls(rows)
    return night


def heal(night: CalledNight) -> None:
    """Let the API make no more mistakes."""
    night.simulation.plan = type(night.simulation.plan).parse("duration=5")


async def lost(night: CalledNight, rows: int) -> CalledNight:
    """Let a first process end with every row in doubt, its jobs at the API."""
    await night.process(claim_wait_s=1.0)
    assert night.counts() == {"in_doubt": rows}
    heal(night)
    return night


# --- A submit whose answer was lost --------------------------------------------------------------


async def test_a_call_that_comes_before_the_answer_is_lost_claims_the_job(tmp_path: Path) -> None:
    """The submit hangs; its job was named meanwhile, so the row is never in doubt."""
    night = night_of(tmp_path, 3, "hang=1", submit_timeout_s=10.0)
    begin = anyio.current_time()
    await night.process(Caller(night).run)

    assert night.counts() == {"succeeded": 3}
    assert anyio.current_time() - begin < 11.0  # its end was told, too: it is looked at at once
    assert "row.finished" in night.log.names()
    assert all(v.get("outcome") != "in_doubt" for _, _, v in night.log.seen)
    assert night.counters()["jobs_claimed"] == 3
    assert night.simulation.ledger.counts()["submits"] == 3


async def test_a_call_that_comes_after_the_answer_was_lost_claims_the_job(tmp_path: Path) -> None:
    """The row waits for the call and keeps its slot; nothing is resubmitted."""
    night = night_of(tmp_path, 3, "drop_after=1", claim_wait_s=60.0)
    await night.process(Caller(night, begins_s=30.0, ends_s=40.0).run)

    assert night.counts() == {"succeeded": 3}
    assert all(v.get("outcome") != "in_doubt" for _, _, v in night.log.seen)
    assert night.simulation.ledger.counts()["submits"] == 3


async def test_no_row_is_submitted_again_before_its_call_had_its_time(tmp_path: Path) -> None:
    """With on_doubt=resubmit every row waits, however many there are: impatience is paid twice."""
    night = night_of(
        tmp_path, 9, "drop_after=1", in_flight=3, on_doubt="resubmit", max_duplicates=9
    )
    await night.process(Caller(night, begins_s=10.0).run)

    assert night.counts() == {"succeeded": 9}
    assert night.simulation.ledger.counts()["submits"] == 9


async def test_without_a_call_the_row_is_in_doubt_when_its_time_is_up(tmp_path: Path) -> None:
    """Waiting ends: the row is held for a person as without webhooks."""
    night = night_of(tmp_path, 2, "drop_after=1", claim_wait_s=60.0)
    begin = anyio.current_time()
    await night.process()

    assert night.counts() == {"in_doubt": 2}
    assert 60.0 <= anyio.current_time() - begin < 70.0


async def test_a_call_takes_a_row_out_of_doubt(tmp_path: Path) -> None:
    """The doubt was recorded already; the run goes on for another row, and the call adopts."""
    night = night_of(tmp_path, 1, "drop_after=1")
    await lost(night, 1)
    night.write_rows([row(0), row(1)])
    night.simulation.plan = type(night.simulation.plan).parse("duration=40")
    await night.process(Caller(night, begins_s=10.0).run)

    assert night.counts() == {"succeeded": 2}
    assert night.records("in_doubt") == []
    assert night.counters()["jobs_claimed"] == 1
    assert night.simulation.ledger.counts()["submits"] == 2


async def test_the_evidence_of_a_claim_is_in_the_journal(tmp_path: Path) -> None:
    """A decision that no person made says which delivery it rests on."""
    night = night_of(tmp_path, 1, "drop_after=1")
    await lost(night, 1)
    night.write_rows([row(0), row(1)])
    await night.process(Caller(night, begins_s=2.0).run)

    with night.books() as (journal, _):
        notes = journal._db.execute("SELECT move, note FROM decision").fetchall()

    assert [move for move, _ in notes] == ["adopt"]
    assert "webhook delivery" in notes[0][1]
    assert night.jobs()[0].id in notes[0][1]


async def test_an_intent_of_a_dead_process_waits_for_its_call(tmp_path: Path) -> None:
    """The process dies while a submit is open: the next one holds the row, then accepts its job."""
    night = night_of(tmp_path, 2, "hang=1")
    await night.doomed_process(Death(at_s=1.0), submit_timeout_s=60.0)
    heal(night)
    await night.process(Caller(night, begins_s=20.0, ends_s=20.0).run)

    assert night.counts() == {"succeeded": 2}
    assert all(v.get("outcome") != "in_doubt" for _, _, v in night.log.seen)
    assert night.simulation.ledger.counts()["submits"] == 2


async def test_an_intent_that_waits_does_not_delay_other_rows(tmp_path: Path) -> None:
    """New rows are submitted while the old ones wait, even with one slot."""
    night = night_of(tmp_path, 1, "hang=1", in_flight=1)
    await night.doomed_process(Death(at_s=1.0), submit_timeout_s=60.0)
    heal(night)
    night.write_urls(3)
    begin = anyio.current_time()
    caller = Caller(night)
    caller.taken |= {(night.jobs()[0].id, word) for word in ("processing", "done")}
    await night.process(caller.run, claim_wait_s=100.0)

    assert night.outcomes() == {"sku-0": "in_doubt", "sku-1": "succeeded", "sku-2": "succeeded"}
    assert anyio.current_time() - begin < 100.0


@pytest.mark.parametrize("pause", [False, True], ids=["at once", "after a process without calls"])
async def test_a_job_that_was_named_is_known_after_a_crash(pause: bool, tmp_path: Path) -> None:
    """The call was answered "taken" while the submit was open; the API need not call again."""
    night = night_of(tmp_path, 1, "hang=1")
    caller = Caller(night)

    async def die_after_the_call() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(caller.run)
            await night.doomed_process(Death(at_s=3.0), submit_timeout_s=60.0)
            group.cancel_scope.cancel()

    await die_after_the_call()
    assert [word for _, word in caller.taken] == ["processing"]
    heal(night)
    submits = 1
    if pause:
        await Night(tmp_path, settings={"limit": 1}).process()
        assert night.counts() == {"in_doubt": 1}
        night.write_urls(2)
        submits = 2

    await night.process()

    assert night.counts() == {"succeeded": submits}
    assert night.simulation.ledger.counts()["submits"] == submits


async def test_a_claimed_intent_does_not_upset_the_budget(tmp_path: Path) -> None:
    """The job counts against --max-jobs once, and the run stops there."""
    night = night_of(tmp_path, 1, "hang=1")
    await night.doomed_process(Death(at_s=1.0), submit_timeout_s=60.0)
    heal(night)
    night.write_urls(2)
    runs = []

    async def call(run: Run) -> None:
        runs.append(run)
        await Caller(night).run()

    stop = await night.process(call, max_jobs=1)

    assert stop is not None
    assert runs[0]._context.jobs.open == 0
    assert stop.reason is StopReason.BUDGET
    assert night.outcomes() == {"sku-0": "succeeded"}


async def test_a_call_in_the_middle_of_a_doubt_is_not_lost(tmp_path: Path) -> None:
    """It comes while the doubt is being written: it waits, and takes the row out again."""
    night = night_of(tmp_path, 2, "drop_after=1", in_flight=1)
    answers = []

    async def call_at_once(_: Run) -> None:
        for _turn in range(10_000):
            if night.jobs():
                break

            await anyio.sleep(0.0005)

        heal(night)
        assert night.counters()["in_doubt"] == 0
        answers.append(await night.call_for(night.jobs()[0]))

    await night.process(call_at_once)

    assert answers == [Answer.TAKEN]
    assert night.counts() == {"succeeded": 2}
    assert night.simulation.ledger.counts()["submits"] == 2


async def test_the_feed_does_not_take_up_what_a_call_brought(tmp_path: Path) -> None:
    """Accepted rows wait for a slot, and meanwhile a call adds one to them: it is followed once."""

    async def stop_early(run: Run) -> None:
        await anyio.sleep(5.0)
        run.control.interrupt(Stop(StopReason.INTERRUPTED, "enough"))

    night = night_of(tmp_path, 4, "")
    night.simulation.plan = type(night.simulation.plan).parse("duration=60")
    await night.process(stop_early)
    night.simulation.plan = type(night.simulation.plan).parse("duration=90,drop_after=1")
    night.write_urls(5)
    await night.process(stop_early, claim_wait_s=1.0)
    assert night.counts() == {"in_doubt": 1}
    heal(night)
    await night.process(Caller(night, begins_s=0.0).run, in_flight=2)

    assert night.counts() == {"succeeded": 5}
    assert night.log.names().count("row.finished") == 6


@pytest.mark.parametrize("policy", ["hold", "resubmit"])
async def test_what_is_still_held_at_the_end_of_a_run_is_in_doubt(
    policy: str, tmp_path: Path
) -> None:
    """An interrupted run leaves no row behind that nobody can decide, and none that is paid twice.

    Whoever chose to submit such rows again chose it for those that no call claims.
    """
    night = night_of(
        tmp_path, 2, "drop_after=1", claim_wait_s=500.0, on_doubt=policy, max_duplicates=2
    )

    async def interrupt(run: Run) -> None:
        await anyio.sleep(10.0)
        run.control.interrupt(Stop(StopReason.INTERRUPTED, "enough"))

    stop = await night.process(interrupt)

    assert stop is not None
    assert night.counts() == {"in_doubt": 2}


class Denying:
    """A transport whose first submit makes a job, and says seconds later that it made none."""

    def __init__(self, then: Transport) -> None:
        self.submits = 0
        self._then = then

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Carry a request."""
        answer = await self._then.send(request, timeout_s=timeout_s)
        if request.method != "POST":
            return answer

        self.submits += 1
        if self.submits > 1:
            return answer

        await anyio.sleep(3.0)
        return Response(503, b"{}", {"content-type": "application/json"}, answer.received_at)


@pytest.mark.parametrize(("begins_s", "submits"), [(1.0, 1), (1000.0, 2)])
async def test_a_call_outweighs_an_answer_that_denies_the_job(
    begins_s: float, submits: int, tmp_path: Path
) -> None:
    """The API named the job and then said "not now": no second one. Without the call there is."""
    night = night_of(tmp_path, 1, "")
    night.transport = Denying(night.transport)
    await night.process(Caller(night, begins_s=begins_s, ends_s=1000.0).run)

    assert night.counts() == {"succeeded": 1}
    assert night.simulation.ledger.counts()["submits"] == submits


# --- What a call cannot do -----------------------------------------------------------------------


async def test_a_forged_call_does_nothing(tmp_path: Path) -> None:
    """A right address and a wrong signature: refused, told once, and nothing changes."""
    night = night_of(tmp_path, 2, "drop_after=1", claim_wait_s=30.0)
    answers = []

    async def forge(_: Run) -> None:
        await anyio.sleep(5.0)
        first, second = night.jobs()
        theirs = night.callback_of(second)
        wrong = [Secret(key, "x") for key in ("wrong", "", "test-key")]
        answers.extend([await night.call_for(first, key=key) for key in (*wrong, theirs.secret)])

        unknown = night.callback_of(first).url[:-1] + "0"
        moved = type(theirs)(unknown + "0", theirs.secret)
        answers.append(await night.call(moved, first.id))

    await night.process(forge)

    assert answers == [Answer.UNPROVED] * 4 + [Answer.UNKNOWN]
    assert night.counts() == {"in_doubt": 2}
    assert night.log.names().count("webhook.unproved_notice") == 1


async def test_a_call_signed_for_one_row_proves_nothing_for_another(tmp_path: Path) -> None:
    """Who can read both addresses still cannot give the one row's job to the other."""
    night = night_of(tmp_path, 2, "drop_after=1", claim_wait_s=30.0)
    answers = []

    async def swap(_: Run) -> None:
        await anyio.sleep(5.0)
        first, second = night.jobs()
        mine, theirs = night.callback_of(first), night.callback_of(second)
        answers.append(await night.call(type(mine)(theirs.url, mine.secret), first.id))

    await night.process(swap)

    assert answers == [Answer.UNPROVED]
    assert night.counts() == {"in_doubt": 2}


async def test_an_old_call_is_refused(tmp_path: Path) -> None:
    """A call that somebody kept is worth nothing later."""
    night = night_of(tmp_path, 1, "drop_after=1", claim_wait_s=1000.0)
    kept: list[Any] = []

    async def replay(_: Run) -> None:
        await anyio.sleep(5.0)
        assert night.claims is not None
        callback, take = night.callback_of(night.jobs()[0]), night.claims.take

        async def keep(path: str, headers: Any, body: bytes) -> Answer:
            kept.append((path, headers, body))
            return Answer.BUSY

        night.claims.take = keep  # type: ignore[method-assign]  # somebody listens on the way
        await night.call(callback, night.jobs()[0].id)
        night.claims.take = take  # type: ignore[method-assign]  # and replays what came by
        await anyio.sleep(400.0)
        kept.append(await take(*kept[0]))

    await night.process(replay)

    assert kept[1] is Answer.UNPROVED
    assert night.counts() == {"in_doubt": 1}


async def test_a_job_has_one_row_whatever_calls_say(tmp_path: Path) -> None:
    """The API names the job of one row for another one: refused, held and in doubt alike."""
    night = night_of(tmp_path, 2, "drop_after=1", claim_wait_s=20.0)
    answers = []

    async def confuse(_: Run) -> None:
        await anyio.sleep(5.0)
        first, second = night.jobs()[:2]
        answers.append(await night.call_for(first))
        answers.append(await night.call(night.callback_of(second), first.id))

    await night.process(confuse)
    assert answers == [Answer.TAKEN] * 2
    assert night.counts() == {"in_doubt": 1, "succeeded": 1}

    night.write_urls(3)
    heal(night)
    await night.process(confuse)
    assert night.counts() == {"in_doubt": 1, "succeeded": 2}
    assert "webhook.taken_already" in night.log.names()
    assert len({r["job_id"] for r in night.records("succeeded")}) == 2


async def test_a_job_of_an_earlier_attempt_is_told_and_not_adopted(tmp_path: Path) -> None:
    """The row was submitted again by its owner's word; the first job's call is evidence only."""
    night = night_of(tmp_path, 1, "drop_after=1", on_doubt="resubmit", max_duplicates=1)
    answers = []

    async def call_late(_: Run) -> None:
        await anyio.sleep(4.0)
        heal(night)
        await anyio.sleep(4.0)
        first, _second = night.jobs()
        callback = night.given[first.reference][0][1]
        answers.append(await night.call(callback, first.id))
        answers.append(await night.call(callback, first.id))

    await night.process(call_late, claim_wait_s=5.0)

    first, second = night.jobs()
    assert answers == [Answer.TAKEN] * 2
    assert [r["job_id"] for r in night.records("succeeded")] == [second.id]
    (told,) = [v for _, name, v in night.log.seen if name == "webhook.stray_job"]
    assert (told["job_id"], told["generation"], told["verdict"]) == (first.id, 1, "resubmit")


async def test_another_job_for_the_same_attempt_is_logged_and_changes_nothing(
    tmp_path: Path,
) -> None:
    """One submit, one job: a second one that the API speaks of is the API's to explain."""
    night = night_of(tmp_path, 1, "")

    async def confuse(_: Run) -> None:
        await anyio.sleep(1.0)
        assert await night.call(night.callback_of(night.jobs()[0]), "job-x") is Answer.TAKEN

    await night.process(confuse)

    assert night.counts() == {"succeeded": 1}
    assert night.records("succeeded")[0]["job_id"] == night.jobs()[0].id
    assert night.log.names().count("webhook.other_job") == 1


async def test_a_call_after_the_end_of_a_row_changes_nothing(tmp_path: Path) -> None:
    """Late and repeated deliveries are normal: taken, and silent."""
    night = night_of(tmp_path, 2, "")
    await night.process(Caller(night).run)
    before = {p.name: p.read_bytes() for p in night.directory.glob("*.jsonl")}
    night.write_rows([row(0), row(1), row(2)])
    answers = []

    async def late(_: Run) -> None:
        await anyio.sleep(1.0)
        for job in night.jobs()[:2]:
            answers.append(await night.call_for(job))
            answers.append(await night.call_for(job, delivery_id="again"))

    await night.process(late)

    assert answers == [Answer.TAKEN] * 4
    assert night.counts() == {"succeeded": 3}
    for name in ("in_doubt.jsonl", "failed.jsonl", "exhausted.jsonl"):
        assert (night.directory / name).read_bytes() == before[name]

    assert not [n for n in night.log.names() if n.startswith("webhook.")]


# --- Hints ---------------------------------------------------------------------------------------


async def test_a_call_makes_the_poll_of_a_job_due(tmp_path: Path) -> None:
    """With calls, one read finds the job done right after its end; polling is the safety net."""
    night = night_of(tmp_path, 10, "")
    begin = anyio.current_time()
    await night.process(Caller(night).run)

    assert night.counts() == {"succeeded": 10}
    assert anyio.current_time() - begin < 8.0
    assert night.counters()["status_reads"] == 10


@pytest.mark.parametrize("ms", range(4, 11))
@pytest.mark.parametrize("half", [0.0, 0.5])
async def test_a_call_at_the_moment_of_the_answer_is_not_lost(
    ms: int, half: float, tmp_path: Path
) -> None:
    """Whether before, while or after the answer is journaled: the job is read at once."""
    night = CalledNight(tmp_path, faults="duration=0,latency=0.005")
    night.write_urls(1)
    begin = anyio.current_time()

    async def call(_: Run) -> None:
        while not night.jobs():  # noqa: ASYNC110 - the API's books have no bell
            await anyio.sleep(0.0001)

        await anyio.sleep((ms + half) / 1000)
        assert await night.call_for(night.jobs()[0]) is Answer.TAKEN

    await night.process(call)

    assert night.counts() == {"succeeded": 1}
    assert anyio.current_time() - begin < 10.0


async def test_a_repeated_call_costs_one_read(tmp_path: Path) -> None:
    """A flood of the same call, under whatever delivery ids, is one hint; so is another word."""
    night = night_of(tmp_path, 1, "")

    async def flood(_: Run) -> None:
        await anyio.sleep(1.0)
        (job,) = night.jobs()
        for n in range(50):
            await night.call_for(job, delivery_id=f"d-{n}")
            await night.call_for(job, delivery_id=f"d-{n}", word="processing", is_end=False)
            await anyio.sleep(0.01)

        await night.call_for(job, word="error")
        await anyio.sleep(4.0)
        await night.call_for(job, word="failed")

    await night.process(flood)

    assert night.counts() == {"succeeded": 1}
    assert night.counters()["status_reads"] == 3


async def test_a_call_that_comes_during_a_read_makes_another_one_due(tmp_path: Path) -> None:
    """The read that is open may have left before the job ended."""
    night = night_of(tmp_path, 1, "")

    async def call(_: Run) -> None:
        await anyio.sleep(4.0)
        (job,) = night.jobs()
        night.simulation.plan = type(night.simulation.plan).parse("latency=2")
        await night.call_for(job, word="early")  # a read leaves at once, and is answered after 2 s
        await anyio.sleep(1.5)
        assert night.clock.wall() > job.done_at
        await night.call_for(job)

    begin = anyio.current_time()
    await night.process(call)

    assert night.counts() == {"succeeded": 1}
    assert night.counters()["status_reads"] == 2
    assert anyio.current_time() - begin < 8.1


async def test_where_no_call_comes_jobs_are_polled_as_usual(tmp_path: Path) -> None:
    """An address that the API cannot reach is told once, and costs the first jobs some minutes."""
    night = night_of(tmp_path, 3 * SILENT_JOBS, "", in_flight=SILENT_JOBS)
    begin = anyio.current_time()
    await night.process()

    assert night.counts() == {"succeeded": 3 * SILENT_JOBS}
    assert night.log.names().count("webhook.silent") == 1
    assert anyio.current_time() - begin < 300.0


async def test_calls_that_come_in_one_burst_are_calls(tmp_path: Path) -> None:
    """Many jobs that end between two calls were called for all the same: nobody is told a lie."""
    rows = 3 * SILENT_JOBS
    night = night_of(tmp_path, rows, "", rate="1000/s")

    async def burst(_: Run) -> None:
        await anyio.sleep(30.0)
        for job in night.jobs():
            await night.call_for(job)

    await night.process(burst)

    assert night.counts() == {"succeeded": rows}
    assert "webhook.silent" not in night.log.names()


# --- Addresses -----------------------------------------------------------------------------------


def test_addresses_are_the_same_after_a_restart_and_differ_in_all_else() -> None:
    """Derived, not stored: by key, run, row and attempt."""

    def of(key: str, run: str, n: int, generation: int) -> tuple[str, str]:
        callback = Addresses(URL, Keyring(Secret(key, "")), run).of(n, generation)
        return callback.url, callback.secret.reveal()

    mine = of("key", "run", 1, 1)
    assert mine == of("key", "run", 1, 1)
    others = [of("yek", "run", 1, 1), of("key", "nur", 1, 1), of("key", "run", 2, 1)]
    others.append(of("key", "run", 1, 2))
    assert len({mine, *others}) == 5
    assert len({secret for _, secret in (mine, *others)}) == 5
    assert all(len(secret) == 64 for _, secret in (mine, *others))


@pytest.mark.parametrize(
    "path",
    ["", "/", "/x", "/1-1", "/1-1-", "/0-1-{}", "/1-0-{}", "/01-1-{}", "/1-2-{}", "/2-1-{}",
     "/1-1-{}/", "/1-1-{}x", "/1-1-{}/1-1-0", "/-1-1-{}", "/1-1-" + "0" * 32, "/\u0661-1-{}"],
)  # fmt: skip
def test_only_addresses_that_were_given_out_are_known(path: str) -> None:
    """Nothing that is near an address is one."""
    addresses = Addresses(URL, Keyring(Secret("key", "")), "run")
    token = addresses.of(1, 1).url.rpartition("-")[2]
    assert addresses.read(path.format(token)) is None


@pytest.mark.parametrize("prefix", ["", "/batcher", "/a/b/c"])
def test_a_proxy_may_change_what_stands_before_the_address(prefix: str) -> None:
    """The last part of the path decides."""
    addresses = Addresses(URL, Keyring(Secret("key", "")), "run")
    token = addresses.of(7, 2).url.rpartition("/")[2]
    address = addresses.read(f"{prefix}/{token}")
    assert address is not None
    assert (address.n, address.generation) == (7, 2)


async def test_calls_for_submits_under_a_key_that_was_replaced_are_read() -> None:
    """The key changes in the middle of a run: jobs of both are claimed."""
    keyring = Keyring(Secret("old", "x"), reread=lambda: Secret("new", "x"))
    addresses = Addresses(URL, keyring, "run")
    before = addresses.of(1, 1)
    assert await keyring.renew(0)
    after = addresses.of(1, 1)

    assert before.url != after.url
    for callback in (before, after):
        address = addresses.read("/" + callback.url.rpartition("/")[2])
        assert address is not None
        assert address.secret.reveal() == callback.secret.reveal()


def test_no_secret_shows_the_key_or_itself() -> None:
    """Neither print nor address tells what signs."""
    addresses = Addresses(URL, Keyring(Secret("canary-key", "x")), "run")
    callback = addresses.of(1, 1)
    shown = f"{callback!r} {addresses.read(callback.url)!r} {callback.secret}"
    assert callback.secret.reveal() not in shown
    assert "canary-key" not in shown + callback.url + callback.secret.reveal()


# --- Decisions in a run that goes on -------------------------------------------------------------


class FullDisk:
    """Outcome files that find no room for a while, as soon as one is rewritten."""

    def __init__(self, inner: Any, times: int) -> None:
        self.left = times
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def rebuild(self, name: str, keep: Any) -> int:
        """Fail while there is no room, after the journal has moved the rows."""
        if self.left:
            self.left -= 1
            full = StorageError("no space left")
            full.disk_full = True
            raise full

        length: int = self._inner.rebuild(name, keep)
        return length


async def test_a_full_disk_delays_an_adoption_and_breaks_nothing(tmp_path: Path) -> None:
    """The decision keeps its turn until it is whole: nothing is appended to a file in between."""
    night = night_of(tmp_path, 3, "drop_after=1")
    await lost(night, 3)
    night.simulation.plan = type(night.simulation.plan).parse("duration=60,drop_after=0.5")
    night.write_rows([row(n) for n in range(12)])
    with night.books() as (journal, outcomes):
        run = Run(night.parts(journal, FullDisk(outcomes, 3), {"claim_wait_s": 1.0}))
        async with anyio.create_task_group() as group:
            group.start_soon(Caller(night, begins_s=2.0).run, run)
            await run.execute()
            group.cancel_scope.cancel()

    assert night.counts() == {"succeeded": 12}
    assert night.log.names().count("disk.full") == 1
    night.assert_no_row_paid_twice()


async def test_a_decision_has_the_files_to_itself(tmp_path: Path) -> None:
    """No group is written between its steps, and a cancellation does not cut it."""
    night = night_of(tmp_path, 1, "")
    steps: list[str] = []
    with night.books() as (journal, outcomes):
        recorder = Run(night.parts(journal, outcomes))._recorder

        def decision(_: Journal, __: Any) -> None:
            steps.append("decided")
            if len(steps) == 1:
                full = StorageError("no space left")
                full.disk_full = True
                raise full

        async def write() -> None:
            await anyio.sleep(0.5)
            await recorder.ask(lambda _: steps.append("written"))

        async with anyio.create_task_group() as group:
            group.start_soon(recorder.decide, decision)
            group.start_soon(write)
            await anyio.sleep(1.0)
            group.cancel_scope.cancel()

        assert steps == ["decided", "decided"]


async def test_after_a_decision_that_failed_nothing_is_written(tmp_path: Path) -> None:
    """Its file may be half replaced: a line that is added would hide that from the next start."""
    night = night_of(tmp_path, 1, "")
    with night.books() as (journal, outcomes):
        recorder = Run(night.parts(journal, outcomes))._recorder

        def decision(_: Journal, __: Any) -> None:
            raise StorageError("the disk is gone")

        with pytest.raises(StorageError, match="the disk is gone"):
            await recorder.decide(decision)

        with pytest.raises(StorageError, match="the disk is gone"):
            await recorder.commit(Intend(1, 0.0, 1))


async def test_a_row_that_a_call_brought_is_not_fed_again(tmp_path: Path) -> None:
    """Its job may fail and be run again before the manifest comes to its line."""
    night = night_of(tmp_path, 1, "drop_after=1")
    await lost(night, 1)
    with night.books() as (journal, outcomes):
        run = Run(night.parts(journal, outcomes))
        held = journal.find("sku-0")
        assert held is not None
        run._feed.take_up(held.ticket)
        await run._feed._feed(held.ticket)
        assert run._lanes.submit.waiting == 0


# --- Crashes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", range(1, 13))
async def test_a_crash_in_an_adoption_loses_no_row(write: int, after: bool, tmp_path: Path) -> None:
    """Wherever it is cut, each row has one record at most, and the next process finishes it."""
    night = night_of(tmp_path, 3, "drop_after=1")
    await lost(night, 3)
    night.write_rows([row(n) for n in range(4)])
    caller = Caller(night, begins_s=0.0, again_s=1.0)
    caller.due = {(job.id, "done"): 1e18 for job in night.jobs()}
    async with anyio.create_task_group() as group:
        group.start_soon(caller.run)
        await night.doomed_process(Death(at_write=write, after=after))
        night.outcomes()  # no row twice, at this moment
        night.claims = None
        await night.process()
        group.cancel_scope.cancel()

    night.assert_no_row_paid_twice()
    night.assert_every_paid_job_is_known()
    assert set(night.outcomes()) == {f"sku-{n}" for n in range(4)}
    assert night.counters()["in_doubt"] == len(night.records("in_doubt"))


FAULTS = (
    "duration=lognormal:3:0.8,latency=lognormal:0.1:1,lag=0.3,drop_before=0.05,drop_after=0.15,"
    "garbled=0.05,hang=0.05,429=0.05,retry_after_s=2,503=0.05,500=0.02,status_error=0.1,"
    "status_drop=0.05,unknown_word=0.1,rejected=0.1,hollow=0.1"
)


def any_death(rng: Random) -> Death:
    """Return a death at a random time, or at a random write in one of three ways."""
    if rng.random() < 0.3:
        return Death(at_s=rng.uniform(0.0, 12.0))

    return Death(at_write=rng.randint(1, 40), after=rng.random() < 0.5, torn=rng.random() < 0.5)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_with_calls_no_job_is_lost_through_crashes(seed: int, tmp_path: Path) -> None:
    """Whatever the seed: one job a row at most, and a row whose job was made is not in doubt.

    The API calls until it hears that a call was taken, so every job is named in the end.
    """
    rng = Random(seed)
    night = CalledNight(tmp_path, faults=FAULTS, seed=seed)
    night.settings = {
        "in_flight": rng.choice([1, 3, 200]),
        "connections": rng.choice([1, 4, 32]),
        "rate": rng.choice(["3/s", "1000/s"]),
        "submit_timeout_s": 5.0,
        "claim_wait_s": rng.choice([1.0, 20.0]),
    }
    night.write_urls(12)
    caller = Caller(night, begins_s=rng.uniform(0.0, 8.0), ends_s=rng.uniform(0.0, 8.0))
    async with anyio.create_task_group() as group:
        group.start_soon(caller.run)
        for _ in range(30):
            if await night.doomed_process(any_death(rng)):
                break

            night.claims = None  # nobody listens
            await anyio.sleep(rng.uniform(0.0, 20.0))

        await until_every_job_is_named(night, caller)
        group.cancel_scope.cancel()

    night.assert_no_row_paid_twice()
    night.assert_every_paid_job_is_known()
    assert set(night.outcomes()) >= {f"sku-{n}" for n in range(12)}
    made = {job.reference for job in night.jobs()}
    assert not made & {r["row"]["file_url"] for r in night.records("in_doubt")}


async def until_every_job_is_named(night: CalledNight, caller: Caller) -> None:
    """Run processes for as long as a call is to be taken; each has a row more, to stay alive."""
    rows = 12
    while True:
        await night.process(claim_wait_s=20.0)
        night.claims = None
        if all((job.id, "processing") in caller.taken for job in night.jobs()):
            break

        rows += 1
        night.write_urls(rows)

    await night.process()


async def test_the_seeds_can_see_a_job_that_is_not_named(tmp_path: Path) -> None:
    """The control: without calls, rows whose jobs were made stay in doubt."""
    night = CalledNight(tmp_path, faults=FAULTS, settings={"submit_timeout_s": 5.0})
    night.write_urls(40)
    await night.process(claim_wait_s=1.0)
    made = {job.reference for job in night.jobs()}
    assert made & {r["row"]["file_url"] for r in night.records("in_doubt")}


async def test_a_status_answer_cannot_bring_the_secret_into_the_books(tmp_path: Path) -> None:
    """Each read knows the secret and the address of its submit as secrets, to be blotted."""
    night = CalledNight(tmp_path, faults="duration=1")
    night.write_urls(2)
    seen: list[Request] = []
    inner = night.transport

    class Watching:
        async def send(self, request: Request, *, timeout_s: float) -> Response:
            seen.append(request)
            return await inner.send(request, timeout_s=timeout_s)

    night.transport = Watching()
    await night.process()

    reads = [request for request in seen if request.method == "GET"]
    given = {told.secret.reveal() for told in (c for row in night.given.values() for _, c in row)}
    assert reads
    assert all(given & {secret.reveal() for secret in read.secrets} for read in reads)
