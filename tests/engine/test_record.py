"""The recorder: one writer, durable before anyone is answered, many tasks in one group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from batcher.core.errors import StorageError
from batcher.core.events import Accept, Event, Finish, Intend
from batcher.core.journal import Journal
from batcher.core.lifecycle import Move, State
from batcher.engine.books.group import GROUP_GOOD, LOOK_S
from batcher.engine.books.record import DISK_FULL_RETRY_S, LINGER_S, Recorder
from batcher.engine.books.rescue import Rescue
from batcher.engine.notices import Notices
from tests.support.logs import Events
from tests.support.threads import THREAD_S, virtual_thread

pytestmark = pytest.mark.virtual


class FakeJournal:
    """A journal that notes its calls and fails on demand. No transactions, no rules."""

    def __init__(self, script: list[str]) -> None:
        self.script = script
        self.groups: list[list[Event]] = []
        self.early: list[Exception] = []  # before any line is appended
        self.failures: list[Exception] = []  # when they are

    def apply(
        self,
        events: Sequence[Event],
        outputs: Mapping[str, int] | Callable[[], Mapping[str, int]] | None = None,
        counters: Mapping[str, int] | None = None,
    ) -> list[bool]:
        """Note a group."""
        if self.early:
            raise self.early.pop(0)

        lengths = outputs() if callable(outputs) else outputs or {}
        if self.failures:
            raise self.failures.pop(0)

        self.script.append(f"apply {len(events)} {dict(lengths)} {dict(counters or {})}")
        self.groups.append(list(events))
        return [not (isinstance(e, Accept) and e.job_id == "taken") for e in events]


class FakeOutcomes:
    """Outcome files that note what is appended."""

    def __init__(self, script: list[str]) -> None:
        self.script = script

    def append(self, lines: Sequence[tuple[State, bytes]]) -> dict[str, int]:
        """Note the lines."""
        self.script.append(f"append {[line.decode() for _, line in lines]}")
        return {"succeeded": 10 * len(lines)}

    def take_back(self) -> None:
        """Note that the last lines are cut off again."""
        self.script.append("take back")

    def rebuild(self, name: str, keep: Callable[[dict[str, Any]], bool]) -> int:
        """Note that a file is rewritten."""
        self.script.append(f"rebuild {name}")
        return 0


class Bench:
    """A recorder between two fakes."""

    def __init__(self) -> None:
        self.script: list[str] = []
        self.journal = FakeJournal(self.script)
        self.log = Events()
        self.failures: list[Exception] = []
        self.recorder = Recorder(
            cast(Journal, self.journal),
            FakeOutcomes(self.script),
            Notices(self.log),
            rescue=Rescue(None, self.log),
            offload=virtual_thread,
            linger_s=LINGER_S,
            on_failure=self.failures.append,
        )

    async def commit(self, event: Event) -> bool:
        """Say *event*, as a task of its own."""
        return await self.recorder.commit(event)


def intend(n: int) -> Intend:
    """Return the intent of row *n*."""
    return Intend(n, 0.0, 1)


async def test_what_many_tasks_say_at_once_shares_one_transaction() -> None:
    """A hundred intents cost one commit."""
    bench = Bench()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        async with anyio.create_task_group() as tasks:
            for n in range(100):
                tasks.start_soon(bench.commit, intend(n))

        bench.recorder.close()

    assert [len(events) for events in bench.journal.groups] == [100]


async def test_outcome_lines_are_synced_before_the_journal_knows_them() -> None:
    """The order is lines, then moves with the files' new lengths: a crash between is harmless."""
    bench = Bench()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        bench.recorder.count("status_reads", 3)
        await bench.recorder.commit(Finish(1, 0.0, Move.SUCCEED, b"{}"))
        bench.recorder.close()

    assert bench.script == [
        "append ['{}']",
        "apply 1 {'succeeded': 10} {'status_reads': 3}",
    ]


async def test_one_row_moves_once_in_a_group() -> None:
    """Two moves of one row go into two transactions, in order."""
    bench = Bench()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.commit, intend(1))
            tasks.start_soon(bench.commit, Accept(1, 0.0, "job"))

        bench.recorder.close()

    assert [[type(e) for e in events] for events in bench.journal.groups] == [[Intend], [Accept]]


async def test_a_taken_job_id_is_answered_to_who_asked() -> None:
    """The one whose job id belongs to another row hears it, and nobody else."""
    bench = Bench()
    answers: dict[int, bool] = {}

    async def accept(n: int, job_id: str) -> None:
        answers[n] = await bench.recorder.commit(Accept(n, 0.0, job_id))

    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(accept, 1, "mine")
            tasks.start_soon(accept, 2, "taken")

        bench.recorder.close()

    assert answers == {1: True, 2: False}


async def test_a_cancelled_waiter_does_not_unsay_its_event() -> None:
    """What was said is written, whoever still waits for it."""
    bench = Bench()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.commit, intend(1))
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

        bench.recorder.close()

    assert bench.journal.groups == [[intend(1)]]


async def test_a_cancelled_run_still_writes_what_waits() -> None:
    """A cancellation from outside does not cut the recorder off before it is closed."""
    bench = Bench()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await bench.recorder.commit(intend(1))
            bench.recorder.close()

    assert bench.journal.groups == [[intend(1)]]


async def test_a_failed_disk_ends_the_run_and_answers_everybody() -> None:
    """Nobody waits for ever on a journal that is gone, and nothing is acknowledged."""
    bench = Bench()
    bench.journal.failures = [StorageError("disk gone")]
    with pytest.RaisesGroup(pytest.RaisesExc(StorageError, match="disk gone")):
        async with anyio.create_task_group() as group:
            group.start_soon(bench.recorder.run)
            with pytest.raises(StorageError):
                await bench.recorder.commit(intend(1))

            with pytest.raises(StorageError):
                await bench.recorder.commit(intend(2))

            bench.recorder.close()

    assert bench.journal.groups == []
    assert [str(error) for error in bench.failures] == ["disk gone"]


async def test_a_full_disk_is_waited_for() -> None:
    """ENOSPC ends nothing: the same group is written once there is space again."""
    bench = Bench()
    full = StorageError("no space left")
    full.disk_full = True
    bench.journal.failures = [full, full]
    begin = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        assert await bench.recorder.commit(Finish(1, 0.0, Move.SUCCEED, b"{}"))
        bench.recorder.close()

    assert anyio.current_time() - begin >= 2 * DISK_FULL_RETRY_S
    assert bench.script == ["append ['{}']", "take back"] * 2 + [
        "append ['{}']",
        "apply 1 {'succeeded': 10} {}",
    ]
    assert bench.log.names() == ["disk.full", "disk.room"]  # once, however often it tries
    assert not bench.recorder.waits_for_room


async def test_a_full_disk_takes_back_nothing_that_was_committed() -> None:
    """A group without lines meets it: the lines before it are another group's, and stay."""
    bench = Bench()
    full = StorageError("no space left")
    full.disk_full = True
    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        await bench.recorder.commit(Finish(1, 0.0, Move.SUCCEED, b"{}"))
        bench.journal.failures = [full]
        await bench.recorder.commit(intend(2))
        bench.recorder.close()

    assert "take back" not in bench.script


async def test_a_full_disk_takes_back_only_what_this_group_added() -> None:
    """It is met before the group's own lines are appended: the lines before it are committed."""
    bench = Bench()
    full = StorageError("no space left")
    full.disk_full = True
    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        await bench.recorder.commit(Finish(1, 0.0, Move.SUCCEED, b"{1}"))
        bench.journal.early = [full]
        await bench.recorder.commit(Finish(2, 0.0, Move.SUCCEED, b"{2}"))
        bench.recorder.close()

    assert [line for line in bench.script if not line.startswith("apply")] == [
        "append ['{1}']",
        "append ['{2}']",
    ]


async def test_who_comes_alone_does_not_wait_for_others() -> None:
    """Lone events are written one after the other; the linger is for groups that grow."""
    bench = Bench()
    begin = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        for n in range(3):
            await bench.recorder.commit(intend(n))

        bench.recorder.close()

    assert anyio.current_time() - begin < 3 * THREAD_S + LINGER_S / 2


async def test_a_group_gathers_until_the_next_write_is_due() -> None:
    """What comes little by little after others shares one transaction: one write in a linger."""
    bench, pause_s = Bench(), 0.9 * LOOK_S
    more = int(LINGER_S / pause_s)
    begin = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        async with anyio.create_task_group() as tasks:
            for n in range(2):
                tasks.start_soon(bench.commit, intend(n))

            for n in range(2, 2 + more):
                await anyio.sleep(pause_s)
                tasks.start_soon(bench.commit, intend(n))

        assert anyio.current_time() - begin == pytest.approx(LINGER_S + THREAD_S, abs=1e-6)
        bench.recorder.close()

    assert [len(events) for events in bench.journal.groups] == [2, more]


@pytest.mark.parametrize("why", ["large enough", "row told twice", "closed"])
async def test_a_group_that_cannot_get_better_is_not_kept_waiting(why: str) -> None:
    """The linger ends at once where the group is large, or closed to others."""
    bench = Bench()
    more = {"large enough": range(3, GROUP_GOOD), "row told twice": range(1), "closed": range(0)}
    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        async with anyio.create_task_group() as tasks:
            for n in range(2):
                tasks.start_soon(bench.commit, intend(n))

            await anyio.sleep(2 * THREAD_S)
            for n in range(3):
                tasks.start_soon(bench.commit, intend(n))

            await anyio.sleep(LOOK_S / 2)
            assert len(bench.journal.groups) == 1
            for n in more[why]:
                tasks.start_soon(bench.commit, intend(n))

            if why == "closed":
                bench.recorder.close()

            await anyio.sleep(1.2 * THREAD_S)
            assert len(bench.journal.groups) == 2

        bench.recorder.close()

    sizes = [len(events) for events in bench.journal.groups]
    assert sizes[:2] == [2, GROUP_GOOD if why == "large enough" else 3]


async def test_a_group_that_nobody_joins_any_more_is_written() -> None:
    """It waits for one look, not for the whole linger: all who could speak have spoken."""
    bench = Bench()
    begin = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for n in range(3):
                    tasks.start_soon(bench.commit, intend(n))

        took_s = anyio.current_time() - begin
        bench.recorder.close()

    assert took_s < LINGER_S
    assert [len(events) for events in bench.journal.groups] == [3, 3]


async def test_a_group_with_another_behind_it_is_written_at_once() -> None:
    """While one group is written, two may fill: nothing joins the first, so it does not wait."""
    bench = Bench()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        async with anyio.create_task_group() as tasks:
            for wait_s in (THREAD_S / 2, 0.0, 2 * THREAD_S):
                tasks.start_soon(bench.commit, intend(1))
                tasks.start_soon(bench.commit, intend(2))
                await anyio.sleep(wait_s)

            assert len(bench.journal.groups) == 2

        bench.recorder.close()

    assert [len(events) for events in bench.journal.groups] == [2, 2, 2]


async def test_answers_go_to_who_asked_across_groups() -> None:
    """Rows that move twice open a second group; each one hears of its own event."""
    bench = Bench()
    heard: list[tuple[int, str, bool]] = []

    async def say(n: int, job_id: str) -> None:
        heard.append((n, job_id, await bench.recorder.commit(Accept(n, 0.0, job_id))))

    async with anyio.create_task_group() as group:
        group.start_soon(bench.recorder.run)
        async with anyio.create_task_group() as tasks:
            for n, job_id in ((1, "taken"), (2, "b"), (1, "c"), (2, "taken"), (3, "d")):
                tasks.start_soon(say, n, job_id)

        bench.recorder.close()

    assert [len(events) for events in bench.journal.groups] == [2, 3]
    assert sorted(heard) == [
        *((1, "c", True), (1, "taken", False)),
        *((2, "b", True), (2, "taken", False)),
        (3, "d", True),
    ]
