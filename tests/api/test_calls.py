"""Runs from a program: the same promises as on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

import batcher
from batcher.api.calls import Stream
from batcher.core.errors import RunBusy, StorageError, UsageError
from batcher.core.stats import Snapshot
from tests.cli.processes import Api

pytestmark = pytest.mark.e2e

Row = dict[str, object]


def rows(count: int) -> Iterator[Row]:
    """Yield rows r0, r1, … ; a generator, which can be read once only."""
    for n in range(count):
        yield {"id": f"r{n}", "file_url": f"https://shop.example/{n}.jpg", "price": n}


def test_every_row_comes_out_once_and_the_same_call_goes_on(api: Api) -> None:
    """A stream hands over each outcome once; the same call again yields them without a request."""
    with closing(batcher.stream_sync(rows(12), provider="removit", run_dir="a")) as stream:
        first = sorted(outcome.id for outcome in stream)

    again = list(batcher.stream_sync(rows(12), provider="removit", run_dir="a"))
    assert first == sorted(f"r{n}" for n in range(12)) == sorted(each.id for each in again)
    assert all(each.succeeded and each.urls and each.row is not None for each in again)
    assert [o.id for o in batcher.outcomes("a")] == [o.id for o in again]
    assert batcher.run_sync(rows(12), provider="removit", run_dir="a").submits == 12


@pytest.mark.parametrize("api", ["duration=0.5"], indirect=True)
async def test_who_leaves_early_ends_the_run_and_can_go_on(api: Api) -> None:
    """Leaving a loop ends the run politely; the next call pays for none twice."""
    async with batcher.stream(rows(2), provider="removit", run_dir="a", in_flight=1) as stream:
        async for _ in stream:
            break

    assert batcher.run_sync(rows(2), provider="removit", run_dir="a").succeeded == 2
    async for _ in batcher.stream(rows(2), provider="removit", run_dir="b", in_flight=1):
        break  # no `async with`: the run of the same directory is waited for

    summary = await batcher.run(rows(2), provider="removit", run_dir="b")
    assert (summary.succeeded, summary.jobs_accepted) == (2, 2)


@pytest.mark.parametrize("api", ["duration=0.3"], indirect=True)
async def test_waiting_for_an_outcome_may_be_cancelled(api: Api) -> None:
    """A timeout around the next outcome loses none, and two readers share them."""
    found: list[str] = []

    async def read(stream: Stream) -> None:
        while True:
            with anyio.move_on_after(0.01):
                try:
                    found.append((await anext(stream)).id)
                except StopAsyncIteration:
                    return

    stream = batcher.stream(rows(12), provider="removit", run_dir="a")
    async with stream, anyio.create_task_group() as group:
        group.start_soon(read, stream)
        group.start_soon(read, stream)

    assert sorted(found) == sorted(f"r{n}" for n in range(12))


@pytest.mark.parametrize("api", ["duration=60"], indirect=True)
async def test_a_cancelled_call_leaves_a_run_that_can_be_resumed(api: Api) -> None:
    """Cancelled, `run` waits until everything is written: accepted jobs stay accepted."""
    accepted, summary_file = anyio.Event(), Path("a/summary.json")
    loop_call = anyio.from_thread.run_sync
    token = anyio.lowlevel.current_token()

    def look(shot: Snapshot) -> None:
        if shot.counters.get("jobs_accepted") == 2:
            loop_call(accepted.set, token=token)

    async with anyio.create_task_group() as group:

        async def whole() -> None:
            await batcher.run(rows(2), provider="removit", run_dir="a", on_progress=look)

        group.start_soon(whole)
        await accepted.wait()
        group.cancel_scope.cancel()

    assert not list(batcher.outcomes("a"))
    assert b'"accepted":2' in await anyio.Path(summary_file).read_bytes()


async def test_it_works_where_an_event_loop_runs(api: Api) -> None:
    """The blocking calls work inside a running loop, as in a notebook."""
    assert batcher.run_sync(rows(2), provider="removit", run_dir="a").succeeded == 2


@pytest.mark.parametrize("api", ["duration=0.05,drop_after=0.5"], indirect=True)
def test_rows_in_doubt_come_last(api: Api) -> None:
    """A row may come out of doubt as long as the run goes on, so it is told at the end."""
    ends = [o.outcome for o in batcher.stream_sync(rows(20), provider="removit", run_dir="a")]
    doubts = ends.count("in_doubt")
    assert len(ends) == 20
    assert 0 < doubts < 20
    assert ends[-doubts:] == ["in_doubt"] * doubts


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"in_flight": "many"}, "--in-flight"),
        ({"no_such": 1}, "no-such"),
        ({"set": {"mode": 5, "oops": 1}}, "oops"),
        ({"dry_run": True}, "command line"),
        ({"help": True}, "command line"),
        ({"notify": "https://a.example/hook"}, "command line"),
        ({"set": {1: "clipping"}}, "mapping"),
        ({"set": "mode=clipping"}, "mapping"),
    ],
)
def test_what_the_command_refuses_is_refused(flags: dict[str, object], told: str) -> None:
    """One clear line as a `UsageError`, and nothing is made."""
    with pytest.raises(UsageError, match=told):
        batcher.run_sync(rows(1), provider="removit", run_dir="a", **flags)  # type: ignore[arg-type]  # on purpose

    assert not Path("a").exists()


def test_rows_that_are_none_are_refused(api: Api) -> None:
    """What is no mapping is told with its number, before anything is sent."""
    with pytest.raises(UsageError, match="row 2: is a str"):
        batcher.run_sync([{"file_url": "https://a.example/1"}, "oops"], provider="removit")  # type: ignore[list-item]  # on purpose

    with pytest.raises(UsageError, match="row 1: cannot be written"):
        batcher.run_sync([{"file_url": {1, 2}}], provider="removit")


def test_rows_that_break_raise_what_they_raise(api: Api) -> None:
    """An error of the program's own rows is the program's, also where it is one of the system."""

    def broken() -> Iterator[Row]:
        yield from rows(1)
        raise ConnectionError("the shop is down")

    with pytest.raises(ConnectionError, match="the shop is down"):
        batcher.run_sync(broken(), provider="removit", run_dir="a")

    assert batcher.run_sync(rows(2), provider="removit", run_dir="a").succeeded == 2


def test_a_manifest_may_begin_with_a_dash(api: Api) -> None:
    """A name is no flag."""
    Path("-m.txt").write_text("https://shop.example/1.jpg\n")
    assert batcher.run_sync("-m.txt", provider="removit").succeeded == 1


def test_a_run_of_another_process_is_left_alone(api: Api) -> None:
    """Two runs never share a directory: the second is refused."""
    stream = batcher.stream_sync(rows(500), provider="removit", run_dir="a")
    with closing(stream):
        next(iter(stream))
        with pytest.raises(RunBusy):
            batcher.run_sync(rows(2), provider="removit", run_dir="a")


def test_files_are_those_of_the_present_folder(api: Api, tmp_path: Path) -> None:
    """A relative file of a row is looked for where the program is, not in the run directory."""
    (tmp_path / "one.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    summary = batcher.run_sync([{"id": "one", "file": "one.png"}], provider="removit", run_dir="a")
    assert summary.succeeded == 1


def test_a_summary_that_cannot_be_written_is_the_disks_trouble(api: Api, tmp_path: Path) -> None:
    """What the disk refuses is a `StorageError`, as for the command; nothing is paid again."""
    batcher.run_sync(rows(2), provider="removit", run_dir="a")
    (tmp_path / "a" / "summary.json").unlink()
    (tmp_path / "a" / "summary.json").mkdir()
    with pytest.raises(StorageError, match=r"summary\.json"):
        batcher.run_sync(rows(2), provider="removit", run_dir="a")
