"""Decisions of a person: what leaves exhausted.jsonl and in_doubt.jsonl, and how."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from batcher.core.errors import StorageError, UsageError
from batcher.core.model import ErrorKind
from batcher.engine.books import decide
from tests.engine.harness import Death, Mortal, Night

pytestmark = pytest.mark.virtual


async def test_retry_looks_at_a_job_again_and_does_not_submit_it(tmp_path: Path) -> None:
    """A row that ran into its job timeout has a job: retry polls it."""
    night = Night(tmp_path, faults="duration=100", settings={"job_timeout_s": 30.0})
    night.write_urls(4)
    await night.process()
    assert night.counts() == {"exhausted": 4}

    await anyio.sleep(3600)
    with night.books() as (journal, outcomes):
        assert decide.retry(journal, outcomes, kind=None, at=night.clock.wall()) == 4

    assert night.counts() == {}
    await night.process()
    assert night.counts() == {"succeeded": 4}
    assert night.simulation.ledger.counts()["submits"] == 4


async def test_retry_submits_a_row_that_has_no_job(tmp_path: Path) -> None:
    """A row whose attempts ran out was never accepted: retry gives it a fresh round."""
    night = Night(tmp_path, faults="503=1", settings={"max_attempts": 2})
    night.write_urls(2)
    await night.process()
    assert night.counts() == {"exhausted": 2}

    night.simulation.plan = type(night.simulation.plan)()
    with night.books() as (journal, outcomes):
        decide.retry(journal, outcomes, kind=None, at=night.clock.wall())

    await night.process()
    assert night.counts() == {"succeeded": 2}
    night.assert_no_row_paid_twice()


async def test_retry_of_one_kind_leaves_the_others(tmp_path: Path) -> None:
    """`--kind` picks, and the other records stay where they are, byte for byte."""
    night = Night(tmp_path, faults="stuck=0.5", settings={"job_timeout_s": 30.0})
    night.write_urls(20)
    await night.process()
    before = (night.directory / "exhausted.jsonl").read_bytes()
    with night.books() as (journal, outcomes):
        chosen = decide.retry(journal, outcomes, kind=ErrorKind.CONNECTION, at=0.0)

    assert chosen == 0
    assert (night.directory / "exhausted.jsonl").read_bytes() == before


async def in_doubt(tmp_path: Path, rows: int = 3) -> Night:
    """Return a run whose rows are all in doubt, with their jobs at the API."""
    night = Night(tmp_path, faults="drop_after=1")
    night.write_urls(rows)
    await night.process()
    assert night.counts() == {"in_doubt": rows}
    night.simulation.plan = type(night.simulation.plan)()
    return night


async def test_an_adopted_job_is_followed(tmp_path: Path) -> None:
    """The person found the job: the row becomes accepted, and its result is collected."""
    night = await in_doubt(tmp_path, rows=1)
    (job_id,) = night.simulation.ledger.jobs
    with night.books() as (journal, outcomes):
        decide.adopt(journal, outcomes, "sku-0", job_id, note="dashboard", at=night.clock.wall())

    await night.process()
    assert night.counts() == {"succeeded": 1}
    assert night.records("succeeded")[0]["job_id"] == job_id
    assert night.simulation.ledger.counts()["submits"] == 1


async def test_a_job_belongs_to_one_row(tmp_path: Path) -> None:
    """The same job cannot be adopted by two rows."""
    night = await in_doubt(tmp_path, rows=2)
    job_id = next(iter(night.simulation.ledger.jobs))
    with night.books() as (journal, outcomes):
        decide.adopt(journal, outcomes, "sku-0", job_id, note="", at=1.0)
        with pytest.raises(UsageError, match="another row"):
            decide.adopt(journal, outcomes, "sku-1", job_id, note="", at=1.0)

    assert night.counts() == {"in_doubt": 1}


async def test_resubmitting_is_a_persons_word(tmp_path: Path) -> None:
    """The chosen row is sent again, and only that one."""
    night = await in_doubt(tmp_path, rows=3)
    with night.books() as (journal, outcomes):
        decide.resubmit(journal, outcomes, ["sku-1"], note="", at=1.0)

    await night.process()
    assert night.outcomes() == {"sku-0": "in_doubt", "sku-1": "succeeded", "sku-2": "in_doubt"}
    assert list(night.simulation.ledger.duplicates()) == ["https://shop.example/1.jpg"]


async def test_giving_up_moves_the_record(tmp_path: Path) -> None:
    """The row fails, with the reason that was given, and stays findable."""
    night = await in_doubt(tmp_path, rows=2)
    with night.books() as (journal, outcomes):
        decide.give_up(journal, outcomes, None, provider="removit", note="too late", at=1.0)

    assert night.counts() == {"failed": 2}
    error = night.records("failed")[0]["error"]
    assert error["kind"] == "unknown_outcome"
    assert "too late" in error["message"]
    await night.process()
    assert night.simulation.ledger.counts()["submits"] == 2


@pytest.mark.parametrize("row_id", ["sku-9", "nope"])
async def test_only_rows_in_doubt_can_be_decided(row_id: str, tmp_path: Path) -> None:
    """A row that is unknown or not in doubt is refused, and nothing changes."""
    night = await in_doubt(tmp_path, rows=1)
    night.write_urls(10)
    await night.process()
    before = night.outcomes()
    with night.books() as (journal, outcomes), pytest.raises(UsageError, match=row_id):
        decide.resubmit(journal, outcomes, [row_id], note="", at=1.0)

    assert night.outcomes() == before


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", range(1, 6))
@pytest.mark.parametrize("decision", ["retry", "give_up", "resubmit"])
async def test_a_crash_in_a_decision_loses_no_row(
    decision: str, write: int, after: bool, tmp_path: Path
) -> None:
    """Wherever it is cut, each row has one record at most, and the next start mends the files."""
    night = Night(tmp_path, faults="drop_after=0.3,stuck=0.3", seed=5)
    night.settings = {"job_timeout_s": 30.0}
    night.write_urls(20)
    await night.process()
    everything = set(night.outcomes())
    death = Death(at_write=write, after=after)
    with night.books() as (journal, outcomes):
        mortal_journal, mortal_files = Mortal(journal, death), Mortal(outcomes, death, night)
        with suppress(StorageError):
            if decision == "retry":
                decide.retry(mortal_journal, mortal_files, kind=None, at=1.0)
            elif decision == "give_up":
                decide.give_up(
                    mortal_journal, mortal_files, None, provider="removit", note="", at=1.0
                )
            else:
                decide.resubmit(mortal_journal, mortal_files, None, note="", at=1.0)

    night.outcomes()  # no row twice, at this moment
    with night.books():
        pass

    in_flight = night.counters()["accepted"] + night.counters()["pending"]
    assert len(night.outcomes()) + in_flight == len(everything)
    assert night.counters()["in_doubt"] == len(night.records("in_doubt"))
    assert night.counters()["exhausted"] == len(night.records("exhausted"))
    assert night.counters()["failed"] == len(night.records("failed"))
