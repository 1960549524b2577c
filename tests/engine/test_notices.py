"""Notices: each told once, to the log and to whoever watches."""

from __future__ import annotations

from pathlib import Path

import pytest

from batcher.core.stats import Snapshot
from batcher.engine.notices import NOTICES_MAX, Notice, Notices
from batcher.engine.run import Run
from tests.engine.harness import Night, row
from tests.support.logs import Events


def test_a_name_is_told_once() -> None:
    """The second of its name is passed over; without a name each is told."""
    log = Events()
    notices = Notices(log)
    notices.tell("a", "first", once="x")
    notices.tell("a", "second", once="x")
    notices.tell("b", "third", urgent=True)
    notices.tell("b", "third", urgent=True)

    assert notices.told == [Notice("first"), *[Notice("third", urgent=True)] * 2]
    assert log.names("warning") == ["a", "b", "b"]


def test_there_is_an_end_to_them() -> None:
    """A manifest with a million different mistakes does not fill the memory."""
    notices = Notices(Events())
    for number in range(10 * NOTICES_MAX):
        notices.tell("a", str(number), once=str(number))

    assert len(notices.told) == NOTICES_MAX


@pytest.mark.virtual
async def test_a_changed_row_is_told_to_who_watches(tmp_path: Path) -> None:
    """A row that was edited after it was sent is not made again, and that is no secret."""
    night = Night(tmp_path)
    night.write_urls(3)
    await night.process()
    night.write_rows([row(0), {"id": "sku-1", "file_url": "https://x.example/new"}, row(2)])
    seen: list[Run] = []

    async def during(run: Run) -> None:
        seen.append(run)

    await night.process(during)
    shot: Snapshot = seen[0].snapshot()

    assert [text for text, _ in shot.notices if "sku-1" in text]
