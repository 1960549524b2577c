"""Feeding: which rows are looked at before they are sent, and which are not looked at any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from batcher.adapters.manifest import open_manifest
from batcher.adapters.rundir import RunDirectory
from batcher.adapters.sqlite import SqliteJournal
from batcher.core.journal import Entry
from batcher.core.settings import ADMIT_ROWS
from batcher.engine.feed import CHUNK_BYTES
from batcher.engine.rows import ProviderCheck
from batcher.engine.run import Run
from batcher.providers import provider_named
from tests.engine.harness import Night, row
from tests.engine.test_hard_nights import interrupted_after
from tests.support.pictures import png

pytestmark = pytest.mark.virtual


def _unusable() -> list[dict[str, object]]:
    return [{"id": "no-source"}, {"id": "no-file", "file": "gone.png"}]


async def test_no_row_is_sent_unseen_when_the_manifest_is_gone(tmp_path: Path) -> None:
    """Lines that a dead process noted and did not check are checked before they are sent."""
    night = Night(tmp_path)
    night.write_rows([row(1), *_unusable(), row(2)])
    check = ProviderCheck(provider_named("removit", {}))
    with night.books() as (journal, _):
        journal.admit(list(open_manifest(str(night.manifest)).entries(check, judged=False)))

    assert await night.process(read_manifest=False) is None

    assert night.counts() == {"failed": 2, "succeeded": 2}
    kinds = {record["error"]["kind"] for record in night.records("failed")}
    assert kinds == {"invalid_row"}
    assert night.counters()["submits"] == 2


async def test_both_ways_to_a_rejection_say_the_same(tmp_path: Path) -> None:
    """A row has the same error whether its manifest was read or only the journal."""
    errors = []
    for name in ("read", "gone"):
        (tmp_path / name).mkdir()
        night = Night(tmp_path / name)
        night.write_rows(_unusable())
        if name == "gone":
            check = ProviderCheck(provider_named("removit", {}))
            with night.books() as (journal, _):
                journal.admit(list(open_manifest(str(night.manifest)).entries(check, judged=False)))

        await night.process(read_manifest=name == "read")
        told = [record["error"] for record in night.records("failed")]
        errors.append(str(told).replace(str(tmp_path / name), ""))

    assert errors[0] == errors[1]
    assert "line 2: file 'gone.png' does not exist" in errors[0]


async def test_rows_that_are_over_are_not_checked_again(tmp_path: Path) -> None:
    """A resume finds out what is wrong with the rows that it may send, and with no others."""
    night = Night(tmp_path)
    odd = {"output_fromat": "png"}
    night.write_rows([row(1) | odd])
    for _ in range(2):
        assert await night.process() is None
        assert night.log.names().count("rows.column") == 1

    night.write_rows([row(1) | odd, row(2) | odd])
    assert await night.process() is None
    assert night.log.names().count("rows.column") == 2


async def test_a_job_that_is_run_again_is_not_rejected_on_the_way(tmp_path: Path) -> None:
    """Its row is pending and in flight at once: only its submit says that its file is gone."""
    params: dict[str, object] = {"task": "edits", "tier": "premium", "steps": 20, "seed": 1}
    params["model"] = "QwenImageEdit_Plus_NF4"
    faults = "duration=30,rejected=1,retryable=1"
    night = Night(tmp_path, provider="deapi", params=params, faults=faults)
    for name in ("gone.png", "there.png"):
        (tmp_path / name).write_bytes(png(512, 512))

    again = [_edit(n, "gone.png") for n in range(5)]
    night.write_rows(again)
    await night.process(interrupted_after(8.0))
    assert night.counters()["accepted"] == len(again)

    await anyio.sleep(60)
    (tmp_path / "gone.png").unlink()
    night.simulation.plan = type(night.simulation.plan)()
    fresh = [_edit(n, "there.png") for n in range(100, 100 + ADMIT_ROWS)]
    night.write_rows([*fresh, *again])  # those are met while they wait for another submit
    assert await night.process(in_flight=ADMIT_ROWS, rate="10/s") is None

    assert night.counts() == {"failed": len(again), "succeeded": len(fresh)}


async def test_large_rows_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    """How many are in memory before the journal has them depends on their size, too."""
    night, ahead = Night(tmp_path), list[int]()
    night.write_rows([row(n) | {"note": "x" * (CHUNK_BYTES // 4)} for n in range(20)])

    with night.books() as (journal, outcomes):
        parts = night.parts(journal, outcomes, {})

        def watched() -> Iterator[Entry]:
            assert parts.entries is not None
            with closing(SqliteJournal.read(RunDirectory(night.directory).journal)) as beside:
                for number, entry in enumerate(parts.entries(), 1):
                    ahead.append(number - beside.counters()["rows"])
                    yield entry

        assert await Run(replace(parts, entries=watched)).execute() is None

    assert len(ahead) == 20
    assert max(ahead) == 4


def _edit(n: int, file: str) -> dict[str, object]:
    return {"id": f"r{n}", "file": file, "prompt": f"cat {n}"}
