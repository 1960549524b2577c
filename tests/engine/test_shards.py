"""Several workers of one run: their rows, their parts of a limit, and what they tell each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.adapters.manifest import open_manifest
from batcher.adapters.sqlite import SqliteJournal
from batcher.core.model import Stop, StopReason
from batcher.core.pacing.gate import THROTTLED
from batcher.core.pacing.rates import WindowSeen, parse_rate
from batcher.core.shards import rate_part, shard_of
from batcher.engine.lanes.headroom import HELD, Headroom
from batcher.engine.rows import ProviderCheck
from batcher.engine.run import Run
from batcher.engine.shards.link import Link
from batcher.engine.shards.messages import (
    Failed,
    Held,
    Message,
    Said,
    Sharing,
    Stopping,
    UsedUp,
    decoded,
    encoded,
)
from batcher.providers import provider_named
from tests.engine.bed import Bed, sliding, worst
from tests.engine.harness import Night

pytestmark = pytest.mark.virtual

HALT = Stop(StopReason.OUT_OF_CREDITS, "nothing left", 1_700_000_000.0)

# --- Rows ----------------------------------------------------------------------------------------

CONTENT = st.sampled_from(("a", "b"))
OWN_ID = st.sampled_from(("r1", "r2", "r3"))
LINES = st.lists(
    st.one_of(
        st.builds(lambda c: {"file_url": c}, CONTENT),  # its id is derived
        st.builds(lambda i, c: {"id": i, "file_url": c}, OWN_ID, CONTENT),
        st.builds(
            lambda i, n, c: {"id": (i, n), "file_url": c}, CONTENT, st.integers(2, 3), CONTENT
        ),
        st.sampled_from(("no json", "{", "")),
    ),
    max_size=14,
)
READER = ProviderCheck(provider_named("removit", {}))


def derived(content: str) -> str:
    """Return the id that a row of this content gets."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "m.jsonl")
        path.write_bytes(orjson.dumps({"file_url": content}) + b"\n")
        return next(open_manifest(str(path)).entries(READER)).id


DERIVED = {content: derived(content) for content in ("a", "b")}


def text_of(line: object) -> bytes:
    """Return a line; some have the very id that a copy of a derived one would get."""
    if isinstance(line, str):
        return line.encode()

    assert isinstance(line, dict)
    if isinstance(line.get("id"), tuple):
        content, number = line["id"]
        line = {**line, "id": f"{DERIVED[content]}-{number}"}

    return orjson.dumps(line)


def admitted(folder: Path, path: Path, shards: int, passes: int) -> set[tuple[object, ...]]:
    """Return how every line stands with so many shards, each with a journal, after some passes."""
    found: set[tuple[object, ...]] = set()
    for shard in range(shards):
        journal = SqliteJournal.open(folder / f"{shards}-{shard}.db", durable=False)
        for nth in range(passes):
            journal.claim(float(nth))
            entries = open_manifest(str(path)).entries(READER, limit=12)
            own = [entry for entry in entries if shard_of(entry.id, shards) == shard]
            for admission in journal.admit(own):
                ticket = admission.ticket
                row_id = None if ticket is None else ticket.row.id
                found.add((nth, admission.entry.line, admission.standing, row_id))

        journal.close()

    return found


@settings(max_examples=25, deadline=None)
@given(LINES)
def test_rows_stand_the_same_however_many_shards(lines: Sequence[object]) -> None:
    """Copies, repeated and derived ids, bad lines, --limit: 2 and 3 shards judge as one does."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "m.jsonl"
        path.write_bytes(b"".join(text_of(line) + b"\n" for line in lines))
        one, two, three = (admitted(folder, path, shards, passes=2) for shards in (1, 2, 3))
        assert one == two == three


# --- Limits --------------------------------------------------------------------------------------


def parted(bed: Bed, whole: str, parts: int) -> Bed:
    """Give a bed its part of a limit."""
    rate = parse_rate(whole)
    bed.room = Headroom("submit", rate, bed.pacer, bed.gate, bed.context, parts=parts)
    return bed


@pytest.mark.parametrize(("text", "count", "period_s"), [("40/s", 40, 1.0), ("90/m", 90, 60.0)])
async def test_parts_keep_the_limit_where_requests_arrive(
    text: str, count: int, period_s: float
) -> None:
    """A server that counts exactly refuses nobody, also when one leaves its part to the other."""
    server = sliding(count, period_s)
    part = rate_part(parse_rate(text), 2)
    beds = [parted(Bed(part, server), text, 2) for _ in range(2)]
    async with anyio.create_task_group() as group:
        group.start_soon(beds[0].serve, 5 * period_s)
        group.start_soon(beds[1].serve, 15 * period_s)
        await anyio.sleep(6 * period_s)
        beds[1].room.share_among(1)

    assert beds[0].refused == beds[1].refused == []
    arrivals = sorted(beds[0].arrivals + beds[1].arrivals)
    assert worst(arrivals, period_s) <= count
    late = [at for at in arrivals if at > arrivals[0] + 12 * period_s]
    assert worst(late, period_s) > 0.9 * count  # nothing of the limit is left unused


async def test_a_limit_that_an_answer_tells_is_the_whole_accounts() -> None:
    """A header of 60 a minute leaves 20 a minute to each of three workers."""
    bed = parted(Bed(None, sliding(1_000, 1.0)), "300/m", 3)
    bed.room.note([WindowSeen(60.0, count=60)])
    assert str(bed.room.rate) == "20/m"
    bed.room.share_among(2)
    assert str(bed.room.rate) == "30/m"


# --- What they tell each other -------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        Held("submit", THROTTLED, 12.5),
        Stopping("halt", HALT),
        Sharing(2),
        Said("größe\nzwei", is_urgent=True),
        Failed("no"),
    ],
)
def test_a_message_is_one_line(message: Message) -> None:
    """Whatever stands in a message, it comes out as it went in, on one line."""
    line = encoded(message)
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    assert decoded(line) == message


class Told(list[Message]):
    """What a run's link sent."""

    async def beside(self, run: Run) -> None:
        """Tie the run while it goes on."""
        Link(run, self.append)
        await anyio.sleep_forever()


async def test_an_answer_to_all_is_told_to_all(tmp_path: Path) -> None:
    """Of a 429 the others learn lane and time, once, however many requests it met."""
    night = Night(tmp_path, faults="duration=0,submits_per_minute=5")
    night.write_urls(8)
    told = Told()
    await night.process(told.beside)
    assert len(night.records("succeeded")) == 8
    holds = [message for message in told if isinstance(message, Held)]
    assert {(held.lane, held.why) for held in holds} <= {("submit", THROTTLED), ("submit", HELD)}
    assert 0 < len(holds) <= 4
    assert max(held.wait_s for held in holds) > 30.0


async def test_who_is_told_to_wait_waits_and_does_not_tell_again(tmp_path: Path) -> None:
    """A worker that hears of a 429 sends nothing before its time, then one request at a time."""
    night = Night(tmp_path, faults="duration=0")
    night.write_urls(6)
    told: list[Message] = []

    async def beside(run: Run) -> None:
        link = Link(run, told.append)
        link.hear(Held("submit", THROTTLED, 50.0))
        link.hear(Held("status", HELD, 70.0))
        link.hear(Held("price", THROTTLED, 1e9))  # of a lane that is not shared
        assert run.lanes.submit.gate.is_probing
        await anyio.sleep(49.0)
        assert run.lanes.submit.started == 0
        await anyio.sleep(20.0)
        assert run.lanes.submit.started > 0
        assert run.lanes.status.started == 0

    assert await night.process(beside) is None
    assert told == []
    assert len(night.records("succeeded")) == 6


async def test_a_halt_of_one_is_told_and_one_that_is_heard_is_not(tmp_path: Path) -> None:
    """The credits end in one worker: it says so; who hears it submits no more, and is quiet."""
    night = Night(tmp_path, faults="duration=0,credits=2")
    night.write_urls(5)
    told = Told()
    stop = await night.process(told.beside)
    assert stop is not None
    assert [m for m in told if isinstance(m, Stopping)] == [Stopping("halt", stop)]

    (tmp_path / "other").mkdir()
    other = Night(tmp_path / "other", faults="duration=0")
    other.write_urls(5)
    heard: list[Message] = []

    async def beside(run: Run) -> None:
        Link(run, heard.append).hear(Stopping("halt", HALT))

    assert await other.process(beside) == HALT
    assert (heard, other.records("succeeded")) == ([], [])


async def test_a_part_that_is_used_up_ends_nobody_else(tmp_path: Path) -> None:
    """A worker made all jobs of its part: it stops and says so, and halts no other by it."""
    night = Night(tmp_path, faults="duration=0", settings={"max_jobs": 2})
    night.write_urls(20)
    told = Told()
    stop = await night.process(told.beside)
    assert stop is not None
    assert stop.reason is StopReason.BUDGET
    assert [m for m in told if not isinstance(m, Held)] == [UsedUp(stop.message)]
    assert len(night.simulation.ledger.jobs) == 2


async def test_a_worker_that_nobody_leads_ends_politely(tmp_path: Path) -> None:
    """When the leader has gone, submits that are open are answered and nothing more is begun."""
    night = Night(tmp_path, faults="duration=600,latency=1")
    night.write_urls(5)

    async def beside(run: Run) -> None:
        link = Link(run, lambda _message: None)
        await anyio.sleep(0.5)
        link.part()

    stop = await night.process(beside)
    assert stop is not None
    assert stop.reason is StopReason.INTERRUPTED
    assert night.records("in_doubt") == []
    assert night.simulation.ledger.jobs
