"""A crash anywhere costs nothing: no row is paid twice, and no paid job is forgotten.

The engine runs on virtual time against the simulated API, dies at seeded instants (between any two
of its writes, in the middle of one, or at any time), starts again on the same directory, and the
API's own ledger is the judge. `BATCHER_SEEDS=1000` tries more; a failing seed is in the test's id.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import anyio
import pytest

from batcher.core.errors import StorageError
from batcher.core.journal import Journal
from batcher.core.lifecycle import OUTCOMES
from batcher.core.money import nanos
from tests.engine.harness import FLUX, Death, Night, prompt
from tests.support.figures import Figures

pytestmark = pytest.mark.virtual

SEEDS = int(os.environ.get("BATCHER_SEEDS", "60"))
ROWS = 12
LIVES_MAX = 60
FAULTS = (
    "duration=lognormal:3:0.8,latency=lognormal:0.1:1,lag=0.3,drop_before=0.05,drop_after=0.08,"
    "garbled=0.03,hang=0.02,429=0.05,retry_after_s=2,503=0.05,500=0.02,status_error=0.1,"
    "status_drop=0.05,unknown_word=0.1,rejected=0.1,hollow=0.1"
)


def any_death(rng: Random) -> Death:
    """Return a death at a random time, or at a random write in one of three ways."""
    if rng.random() < 0.3:
        return Death(at_s=rng.uniform(0.0, 12.0))

    return Death(at_write=rng.randint(1, 40), after=rng.random() < 0.5, torn=rng.random() < 0.5)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_crashes_anywhere_cost_nothing(seed: int, tmp_path: Path, figures: Figures) -> None:
    """Whatever the seed: one job a row at most, every paid job known, every row one outcome."""
    rng = Random(seed)
    night = Night(tmp_path, faults=FAULTS, seed=seed)
    night.settings = {
        "in_flight": rng.choice([1, 3, 200]),
        "connections": rng.choice([1, 4, 32]),
        "rate": rng.choice(["3/s", "1000/s"]),
        **rng.choice([{}, {"max_cost": 1.0, "cost_per_job": 0.01}]),
    }
    night.write_urls(ROWS)
    crashes = 0
    for _ in range(LIVES_MAX):
        if await night.doomed_process(any_death(rng), submit_timeout_s=5.0):
            break

        crashes += 1
        await anyio.sleep(rng.uniform(0.0, 20.0))

    await night.process()

    figures.add("crash seeds", {"runs": 1, "crashes": crashes, **losses(night)})
    night.assert_no_row_paid_twice()
    night.assert_every_paid_job_is_known()
    assert set(night.outcomes()) == {f"sku-{n}" for n in range(ROWS)}


def losses(night: Night) -> dict[str, int]:
    """Return what must be nothing: rows that were paid twice, jobs that nobody knows."""
    known = {record["job_id"] for name in OUTCOMES for record in night.records(name)}
    unknown = len(night.simulation.ledger.jobs.keys() - known)
    return {
        "paid twice": len(night.simulation.ledger.duplicates()),
        "jobs lost": max(0, unknown - len(night.records("in_doubt"))),
    }


@pytest.mark.parametrize("seed", range(SEEDS // 2))
async def test_no_crash_brings_a_run_above_its_cap(
    seed: int, tmp_path: Path, figures: Figures
) -> None:
    """Whatever the seed: quoted, refunded or in doubt, no more than the cap is charged."""
    rng = Random(seed)
    faults = f"{FAULTS},refund_unconfirmed=0.3,question_error=0.1,question_throttle=0.05"
    night = Night(tmp_path, provider="deapi", params=FLUX, faults=faults, seed=seed)
    cap = rng.choice([0.004, 0.01, 0.02, 1.0])
    night.settings = {
        "in_flight": rng.choice([1, 3, 200]),
        "connections": rng.choice([1, 4, 32]),
        "rate": rng.choice(["3/s", "1000/s"]),
        "max_cost": cap,
        "max_attempts": 20,
        "on_500": "hold",
    }
    night.write_rows([prompt(n, rng.choice([256, 512, 768])) for n in range(ROWS)])
    for _ in range(LIVES_MAX):
        ended = await night.doomed_process(any_death(rng), submit_timeout_s=5.0)
        ledger = night.simulation.ledger
        assert ledger.charged_nanos - ledger.refunded_nanos <= nanos(cap)
        if ended:
            break

        await anyio.sleep(rng.uniform(0.0, 20.0))

    stop = await night.process()

    ledger = night.simulation.ledger
    is_above = ledger.charged_nanos - ledger.refunded_nanos > nanos(cap)
    figures.add("crash seeds with a cap", {"runs": 1, "caps exceeded": is_above, **losses(night)})
    assert ledger.charged_nanos - ledger.refunded_nanos <= nanos(cap)
    night.assert_no_row_paid_twice()
    night.assert_books_agree()
    assert stop is not None or set(night.outcomes()) == {f"r{n}" for n in range(ROWS)}
    known = {record["job_id"] for name in OUTCOMES for record in night.records(name)}
    assert len(ledger.jobs.keys() - known) <= len(night.records("in_doubt"))


async def test_an_intent_without_an_answer_is_in_doubt_and_never_sent_again(
    tmp_path: Path,
) -> None:
    """The process dies after a submit left: the row is held and shown, and nothing is resent."""
    night = Night(tmp_path, faults="hang=1")
    night.write_urls(3)
    await night.doomed_process(Death(at_s=1.0), submit_timeout_s=60.0)
    stop = await night.process()

    assert stop is None
    assert night.counts() == {"in_doubt": 3}
    assert night.simulation.ledger.counts()["submits"] == 3


async def test_a_job_accepted_before_a_crash_is_polled_and_not_submitted(tmp_path: Path) -> None:
    """What was accepted is followed by the next process at once."""
    night = Night(tmp_path, faults="duration=30")
    night.write_urls(5)
    await night.doomed_process(Death(at_s=10.0))
    await night.process()

    assert night.counts() == {"succeeded": 5}
    assert night.simulation.ledger.counts()["submits"] == 5


async def test_a_finished_run_makes_no_request(tmp_path: Path) -> None:
    """The same command again: nothing is sent, and the files stay as they are."""
    night = Night(tmp_path, faults="drop_after=0.2")
    night.write_urls(20)
    await night.process()
    before = {p.name: p.read_bytes() for p in night.directory.glob("*.jsonl")}
    requests = len(night.simulation.ledger.submits_at) + len(night.simulation.ledger.reads_at)
    await night.process()

    assert {p.name: p.read_bytes() for p in night.directory.glob("*.jsonl")} == before
    ledger = night.simulation.ledger
    assert len(ledger.submits_at) + len(ledger.reads_at) == requests


async def test_an_older_journal_is_refused(tmp_path: Path) -> None:
    """A copy that was put back, or a deleted log: rows it takes for new were paid for already."""
    night = Night(tmp_path, faults="duration=lognormal:3:0.8")
    night.write_urls(40)
    await night.doomed_process(Death(at_s=2.0), rate="5/s")
    older = (night.directory / "journal.db").read_bytes()
    await night.doomed_process(Death(at_s=6.0), rate="5/s")
    (night.directory / "journal.db").write_bytes(older)
    with pytest.raises(StorageError, match="older than its outcome files"):
        await night.process()

    night.assert_no_row_paid_twice()


async def test_the_harness_can_see_a_double_payment(tmp_path: Path) -> None:
    """The control: a journal that forgets its intents pays rows twice, and the ledger shows it."""
    night = Night(tmp_path, faults="duration=5,latency=1")
    night.write_urls(5)
    await night.doomed_process(Death(at_s=0.5))
    forget_intents(night)
    await night.process()

    with pytest.raises(AssertionError):
        night.assert_no_row_paid_twice()


def forget_intents(night: Night) -> None:
    """Do what a tool without intents would have done: know nothing of what it sent."""
    with night.books() as (journal, _):
        _forget(journal)


def _forget(journal: Journal) -> None:
    from batcher.core.events import Withdraw

    intents = journal.unanswered(0, 100)
    journal.apply([Withdraw(ticket.row.n, 0.0, spent=False) for ticket in intents])
