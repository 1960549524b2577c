"""Idempotency keys: a submit without an answer is sent again as it was, and never paid twice."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from batcher.core.errors import Lost, StorageError
from batcher.core.exchange import Request, Response
from batcher.core.lifecycle import State
from batcher.core.model import Stop, StopReason
from batcher.engine.doubt.resend import TRIES_MAX
from batcher.engine.run import Run
from tests.engine.askable import AskableNight
from tests.engine.harness import FLUX, Death, Scripted, prompt
from tests.engine.test_crash import FAULTS, LIVES_MAX, ROWS, any_death

pytestmark = pytest.mark.virtual

SEEDS = int(os.environ.get("BATCHER_SEEDS", "60")) // 5
DAY_S = 86_400.0
HONOURED_S = 3_600.0
PLAIN = f"duration=5,idempotent={HONOURED_S:g}"


def night_of(folder: Path, rows: int, faults: str, **settings: Any) -> AskableNight:
    """Return a night with an API that keeps keys for an hour."""
    night = AskableNight(folder, faults=f"{PLAIN},{faults}", honoured_s=HONOURED_S)
    night.settings = {"submit_timeout_s": 5.0, **settings}
    night.write_urls(rows)
    return night


def keys_of(sent: list[Request]) -> list[str]:
    """Return the keys that submits carried."""
    return [
        dict(request.headers)["Idempotency-Key"] for request in sent if request.method == "POST"
    ]


async def interrupt(run: Run) -> None:
    """Stop a run after a little while, at once."""
    await anyio.sleep(1.0)
    run.control.abort(Stop(StopReason.INTERRUPTED, "signal"))


async def test_a_lost_answer_is_asked_for_again(tmp_path: Path) -> None:
    """The job is there: the same key brings its id, and there is no second one."""
    night = night_of(tmp_path, 40, "drop_after=0.3,hang=0.1,garbled=0.1,error_after=0.1")
    await night.process()

    assert night.counts() == {"succeeded": 40}
    assert all(values.get("outcome") != "in_doubt" for _, _, values in night.log.seen)
    assert len(night.simulation.ledger.jobs) == 40
    assert night.generations() == [1] * 40
    assert night.charges() == []
    night.assert_books_agree()


async def test_a_key_is_the_same_for_every_try_of_an_attempt_and_for_no_other(
    tmp_path: Path,
) -> None:
    """Also in the next process: it comes from the journal, the row and the attempt alone."""
    night = night_of(tmp_path, 1, "")
    answers: list[Response | Exception] = [Lost("cut")] * 3
    script = Scripted([*answers, *[Response(503, b"{}")] * 2], night.transport)
    night.transport = script
    await night.process(interrupt, grace_s=0.0)
    await night.process()

    assert len(set(keys_of(script.sent))) == 1
    assert len(script.sent) > 6
    assert night.counts() == {"succeeded": 1}

    script = night.transport = Scripted([Response(503, b"{}")], night.transport)
    night.write_urls(3)
    await night.process()
    assert len(set(keys_of(script.sent))) == 3  # another row's, and after a refusal a new attempt's


@pytest.mark.parametrize("status", [503, 402, 401, 400, 409, 422, 500, 302])
async def test_only_a_job_id_ends_a_doubt(status: int, tmp_path: Path) -> None:
    """A refusal of a second try proves nothing of the first: limits come before keys."""
    night = night_of(tmp_path, 1, "")
    plain = night.transport
    night.transport = Lossy(plain, status)
    await night.process()
    assert night.in_doubt() == 1
    night.transport = plain
    await night.process()

    assert night.counts() == {"succeeded": 1}
    assert len(night.simulation.ledger.jobs) == 1


async def test_a_throttled_try_waits_as_long_as_asked_and_is_none(tmp_path: Path) -> None:
    """However often: it ends with the time for which the key is honoured, and not before."""
    night = night_of(tmp_path, 1, "")
    night.transport = lossy = Lossy(night.transport, 429)
    night.honoured_s = 600.0
    begin = anyio.current_time()
    await night.process()

    assert night.in_doubt() == 1
    assert len(night.simulation.ledger.jobs) == 1
    assert 400.0 < lossy.last_at - begin < 600.0


class Lossy(Scripted):
    """Makes the job of the first submit, loses its answer, and refuses every later try."""

    def __init__(self, then: Any, status: int) -> None:
        super().__init__([], then)
        self.status = status
        self.last_at = 0.0

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Do so."""
        self.sent.append(request)
        if request.method == "GET":
            return await self._then.send(request, timeout_s=timeout_s)

        self.last_at = anyio.current_time()
        if len(keys_of(self.sent)) > 1:
            return Response(self.status, b"{}", {"retry-after": "1"})

        await self._then.send(request, timeout_s=timeout_s)
        raise Lost("cut")


async def test_tries_are_bounded_and_the_row_is_held(tmp_path: Path) -> None:
    """An API that never answers is asked a few times; then the row is in doubt."""
    night = night_of(tmp_path, 2, "hang=1")
    await night.process()

    assert night.in_doubt() == 2
    assert night.simulation.ledger.counts()["submits"] == 2 * (1 + TRIES_MAX)
    assert len(night.simulation.ledger.jobs) == 2
    night.assert_books_agree()


async def test_a_crashed_process_leaves_its_submits_to_the_next_one(tmp_path: Path) -> None:
    """The intent is on the disk and its key honoured: the next process asks again."""
    night = night_of(tmp_path, 5, "hang=1")
    await night.doomed_process(Death(at_s=1.0))
    night.heal(PLAIN)
    await night.process()

    assert night.counts() == {"succeeded": 5}
    assert night.generations() == [1] * 5
    night.assert_no_row_paid_twice()


async def test_rows_in_doubt_are_taken_up_by_the_next_process(tmp_path: Path) -> None:
    """What an earlier process held leaves in_doubt.jsonl as soon as its key has an answer."""
    night = night_of(tmp_path, 5, "hang=1", max_jobs=5)
    await night.process(interrupt, grace_s=0.0)
    assert night.in_doubt() == 5
    night.heal(PLAIN)
    await night.process(in_flight=2)

    assert night.counts() == {"succeeded": 5}
    assert [move for move, _ in night.decisions()] == ["adopt"] * 5
    night.assert_no_row_paid_twice()
    night.assert_books_agree()


@pytest.mark.parametrize("pause_s", [HONOURED_S - 100.0, HONOURED_S - 4.0, HONOURED_S, 2 * DAY_S])
async def test_a_key_is_used_only_while_it_is_honoured(pause_s: float, tmp_path: Path) -> None:
    """It counts from the intent, whatever restarts: with the request's own time it must fit."""
    night = night_of(tmp_path, 1, "hang=1")
    await night.doomed_process(Death(at_s=1.0))
    night.heal(PLAIN)
    await anyio.sleep(pause_s)
    await night.process()

    night.assert_no_row_paid_twice()
    assert night.counts() == {"succeeded" if pause_s < HONOURED_S - 6.0 else "in_doubt": 1}
    assert night.simulation.ledger.counts()["submits"] == (2 if pause_s < HONOURED_S - 6.0 else 1)


async def test_an_age_that_the_clock_denies_is_not_trusted(tmp_path: Path) -> None:
    """The clock was set back meanwhile: nobody knows how old the key is, so it is not used."""
    night = night_of(tmp_path, 1, "hang=1")
    await night.doomed_process(Death(at_s=1.0))
    night.heal(PLAIN)
    await anyio.sleep(2 * HONOURED_S)
    night.clock._start -= 2 * HONOURED_S + 60.0
    await night.process()

    assert night.in_doubt() == 1
    night.assert_no_row_paid_twice()


async def test_what_left_without_a_key_is_not_sent_again_with_one(tmp_path: Path) -> None:
    """The first process did not know that the API has keys: its submits carried none."""
    night = night_of(tmp_path, 1, "hang=1")
    night.honoured_s = None
    await night.doomed_process(Death(at_s=1.0))
    night.honoured_s = HONOURED_S
    night.heal(PLAIN)
    await anyio.sleep(1.0)
    await night.process()

    assert night.in_doubt() == 1
    assert len(night.simulation.ledger.jobs) == 1


async def test_an_api_without_keys_makes_a_job_for_every_submit(tmp_path: Path) -> None:
    """The control: the simulator takes keys for what they are only when it is told to."""
    night = night_of(tmp_path, 1, "hang=1")
    night.heal("hang=1")
    await night.process()

    assert len(night.simulation.ledger.jobs) == 1 + TRIES_MAX


async def test_waiting_rows_do_not_hold_a_budget(tmp_path: Path) -> None:
    """What may have been charged counts as used: no submit waits for the sake of a doubt."""
    night = night_of(tmp_path, 4, "drop_after=0.5", max_jobs=4, cost_per_job=1.0, max_cost=4.0)
    await night.process()

    assert night.counts() == {"succeeded": 4}
    night.assert_books_agree()


async def test_the_users_policy_comes_after_the_key(tmp_path: Path) -> None:
    """With on_doubt=resubmit nobody is paid twice for whom the key has an answer."""
    night = night_of(tmp_path, 20, "drop_after=0.5", on_doubt="resubmit", max_duplicates=20)
    await night.process()

    assert night.counts() == {"succeeded": 20}
    night.assert_no_row_paid_twice()


async def test_a_halt_while_held_rows_are_taken_up_ends_the_run(tmp_path: Path) -> None:
    """Rows that wait to be sent again give their slots back: nobody waits for a closed lane."""
    night = night_of(tmp_path, 6, "hang=1")
    night.honoured_s = 10 * DAY_S
    await night.process(interrupt, grace_s=0.0)
    night.transport = Scripted([Response(429, b"{}", {"retry-after": "86000"})], night.transport)
    begin = anyio.current_time()
    stop = await night.process(in_flight=2)

    assert stop is not None
    assert stop.reason is StopReason.THROTTLED
    assert anyio.current_time() - begin < 60.0
    assert night.in_doubt() == 6


async def test_a_halt_while_the_balance_is_asked_gives_one_slot_back_once(tmp_path: Path) -> None:
    """A row that is to be sent again is not pending: it goes where its doubt leads it."""
    night = AskableNight(tmp_path, "deapi", "duration=5", params=FLUX, honoured_s=DAY_S)
    night.write_rows([prompt(n) for n in range(12)])
    night.transport = outage = Outage([], night.transport)

    async def halt(run: Run) -> None:
        await outage.asked.wait()
        await anyio.sleep(0.5)
        run.control.halt(Stop(StopReason.BUDGET, "enough"))

    await night.process(halt)

    assert night.in_doubt() == 12
    assert night.run is not None
    assert night.run.snapshot().in_flight == 0


class Outage(Scripted):
    """A gateway without anybody behind it; the balance takes its time to say so."""

    def __init__(self, answers: list[Response | Exception], then: Any) -> None:
        super().__init__(answers, then)
        self.asked = anyio.Event()

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Answer with a gateway's error."""
        if "balance" in request.path:
            if self.sent:  # the first time it is asked before any row
                self.asked.set()

            await anyio.sleep(3.0)
            return Response(503, b"{}")

        self.sent.append(request)
        await anyio.sleep(0.1)
        return Response(502, b"bad gateway")


async def test_a_job_of_a_held_row_that_the_journal_cannot_take_is_rescued(tmp_path: Path) -> None:
    """The answer to the second try names a job while the disk fails: the next start has it."""
    night = night_of(tmp_path, 1, "hang=1")
    await night.process(interrupt, grace_s=0.0)
    night.heal(PLAIN)
    with night.books() as (journal, outcomes):
        run = Run(night.parts(Failing(journal), outcomes))
        with pytest.raises(StorageError):
            await run.execute()

    assert len(night.rescue.lines()) == 1
    await anyio.sleep(2 * HONOURED_S)  # the key is of no use any more
    await night.process()

    assert night.counts() == {"succeeded": 1}
    assert len(night.simulation.ledger.jobs) == 1


class Failing:
    """A journal that can take no row out of its doubt."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def mark_rebuild(self, *_args: Any) -> None:
        """Fail."""
        raise StorageError("disk I/O error")


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_crashes_anywhere_leave_no_doubt(seed: int, tmp_path: Path) -> None:
    """Whatever the seed: one job a row at most, and in the end no row is in doubt."""
    rng = Random(seed)
    night = AskableNight(
        tmp_path, faults=f"{FAULTS},idempotent={DAY_S:g}", seed=seed, honoured_s=DAY_S
    )
    night.settings = {
        "in_flight": rng.choice([1, 3, 200]),
        "connections": rng.choice([1, 4, 32]),
        "rate": rng.choice(["3/s", "1000/s"]),
        "submit_timeout_s": 5.0,
        **rng.choice([{}, {"max_cost": 1.0, "cost_per_job": 0.01}]),
    }
    night.write_urls(ROWS)
    for _ in range(LIVES_MAX):
        if await night.doomed_process(any_death(rng)):
            break

        await anyio.sleep(rng.uniform(0.0, 20.0))

    await night.process()

    night.assert_no_row_paid_twice()
    night.assert_every_paid_job_is_known()
    night.assert_books_agree()
    assert set(night.outcomes()) == {f"sku-{n}" for n in range(ROWS)}
    assert night.counters()[State.IN_DOUBT] == 0
