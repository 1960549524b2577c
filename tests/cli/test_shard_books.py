"""What is read of all shards together, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import write_run_file
from batcher.cli.parts import parts_of
from batcher.cli.workers.books import ShardBooks
from batcher.cli.workers.events import Events
from batcher.cli.workers.number import with_workers
from batcher.cli.workers.orders import found_shards, own_settings
from batcher.core.errors import StorageError, UsageError
from batcher.core.money import amount, nanos
from batcher.core.secret import Secret
from batcher.core.settings import Frozen, Settings
from batcher.engine.session import open_session
from batcher.engine.shards.refusals import cannot_share
from batcher.providers import provider_named
from tests.support.logs import Events as LogEvents


def test_a_shard_that_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    """Its rows were paid for: the run does not go on, and no command counts without them."""
    run, whole = (
        RunDirectory(tmp_path),
        msgspec.structs.replace(frozen_of(tmp_path / "m"), shards=2),
    )
    write_run_file(run.run_file, whole, Settings())
    assert [part.path for part in parts_of(run)] == [tmp_path]  # not begun yet
    found_shards(run, run.parts(2))
    ShardBooks(tmp_path, run.parts(2)).begin(was_begun=run.was_begun)
    (tmp_path / "shards/02").mkdir()  # a stranger's
    assert [part.path.name for part in parts_of(run)] == ["00", "01"]
    run.shard(1).run_file.unlink()  # emptied: as bad as gone
    with pytest.raises(StorageError, match="shards/01 is gone"):
        ShardBooks(tmp_path, run.parts(2)).begin(was_begun=run.was_begun)

    with pytest.raises(StorageError, match="shards/01 is gone"):
        parts_of(run)


def test_a_run_without_workers_is_its_own_part(tmp_path: Path) -> None:
    """One process keeps its journal where it always was."""
    run = RunDirectory(tmp_path)
    assert [part.path for part in run.parts(None)] == [tmp_path]
    assert [part.path.name for part in run.parts(2)] == ["00", "01"]


def test_events_are_passed_on_whole_and_once(tmp_path: Path) -> None:
    """A line that is being written waits for its end; what was there before is not told."""
    log = tmp_path / "log.jsonl"
    log.write_text('{"old":1}\n')
    told: list[bytes] = []
    events = Events([log, tmp_path / "later.jsonl"], told.append)
    with log.open("a") as file:
        file.write('{"a":1}\n{"b"')

    events.follow()
    assert told == [b'{"a":1}\n']
    with log.open("a") as file:
        file.write(":2}\n")

    (tmp_path / "later.jsonl").write_text('{"c":3}\n')
    events.follow()
    assert told == [b'{"a":1}\n', b'{"b":2}\n', b'{"c":3}\n']


def test_what_is_counted_is_shared_out() -> None:
    """All workers together have the places in flight and the connections that were asked for."""
    settings = Settings(in_flight=201, connections=32)
    own = [own_settings(settings, shard, 3) for shard in range(3)]
    assert sum(each.in_flight for each in own) == 201
    assert [each.connections for each in own] == [11, 11, 10]


@given(st.integers(2, 64), st.integers(0, 10**7), st.integers(0, 10**13))
def test_parts_of_a_budget_are_the_budget(shards: int, jobs: int, cost: int) -> None:
    """However many workers: what they may make and spend together is what was allowed, exactly."""
    settings = Settings(max_jobs=jobs, max_cost=amount(cost), max_failures="5")
    own = [own_settings(settings, shard, shards) for shard in range(shards)]
    assert sum(each.max_jobs or 0 for each in own) == jobs
    assert sum(nanos(each.max_cost or 0.0) for each in own) == cost
    assert {each.max_failures for each in own} == {None}  # who leads counts them


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Settings(max_jobs=3), "--max-jobs 3 is less than one for each of 4 workers"),
        (Settings(max_cost=9.0), "--max-cost: prices are asked for by one process only"),
        (Settings(max_cost=3.0, cost_per_job=1.0), "--max-cost 3 is less than one job for each"),
        (Settings(max_cost=4.0, cost_per_job=1.0, max_jobs=4, max_failures="1%"), None),
    ],
)
def test_a_budget_is_shared_where_each_worker_has_a_job(settings: Settings, told: str) -> None:
    """A part that allows no job at all is refused, and so is a price that has to be asked for."""
    settings = replace(settings, rate="100/s", status_rate="100/s")
    why = cannot_share(frozen_of(Path("m.jsonl")), settings, provider_named("removit", {}), 4)
    assert (why or "").startswith(told or "")
    assert (why is None) == (told is None)


def frozen_of(manifest: Path) -> Frozen:
    """Return a run of this manifest."""
    return Frozen(provider="removit", base_url="https://a.example", manifest=str(manifest))


@pytest.mark.parametrize(
    ("rows", "settings", "told"),
    [
        (10, Settings(rate="2000/s"), "10 rows are too few"),
        (30_000, Settings(rate="250/s"), "it is fast enough for 250/s"),
        (30_000, Settings(rate="auto"), "--rate auto is counted by one process"),
        (30_000, Settings(rate="2000/s", max_jobs=9), "may leave a part of --max-jobs unused"),
        (30_000, Settings(rate="2000/s", max_cost=9.0), "may leave a part of --max-cost unused"),
    ],
)
def test_auto_takes_one_process_where_that_is_enough(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rows: int,
    settings: Settings,
    told: str,
) -> None:
    """--workers auto says why it does not use every core."""
    monkeypatch.setattr("batcher.cli.workers.number.usable_cores", lambda: 4)
    manifest = tmp_path / "m.txt"
    manifest.write_text("https://a.example/1.jpg\n" * rows)
    run = RunDirectory(tmp_path / "run")
    frozen = with_workers(frozen_of(manifest), settings, "auto", run)
    assert frozen.shards is None
    assert told in capsys.readouterr().err


def test_auto_takes_the_cores_that_the_rows_keep_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,000 rows for each worker at least, and no more workers than cores."""
    monkeypatch.setattr("batcher.cli.workers.number.usable_cores", lambda: 4)
    manifest = tmp_path / "m.txt"
    run, settings = RunDirectory(tmp_path / "run"), Settings(rate="2000/s")
    found = []
    for rows in (7_000, 90_000):
        manifest.write_text("https://a.example/1.jpg\n" * rows)
        found.append(with_workers(frozen_of(manifest), settings, "auto", run).shards)

    assert found == [3, 4]


def test_the_most_workers_are_told(tmp_path: Path) -> None:
    """A number that no machine wants is a typing error."""
    frozen, run = frozen_of(tmp_path / "m.txt"), RunDirectory(tmp_path / "run")
    with pytest.raises(UsageError, match="at most 64"):
        with_workers(frozen, Settings(), 65, run)


async def test_one_process_does_not_take_over_a_run_of_several(tmp_path: Path) -> None:
    """The rows are in the shards: an engine in the directory of the whole run would know none."""
    frozen = frozen_of(tmp_path / "m.txt")
    whole = msgspec.structs.replace(frozen, shards=2)
    key, log = Secret("k", "test"), LogEvents()
    with pytest.raises(UsageError, match="the run has 2 workers"):
        async with open_session(RunDirectory(tmp_path), whole, Settings(), key, log=log):
            pass

    assert os.listdir(tmp_path) == []  # noqa: PTH208 - nothing else is running here
