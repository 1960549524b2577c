"""Feeding: which rows are looked at before they are sent, and which are not looked at any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from batcher.adapters.manifest import open_manifest
from batcher.engine.rows import ProviderCheck
from batcher.providers import provider_named
from tests.engine.harness import Night, row

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
