"""Looks: what reads teach, when the next one comes, and what stays true whatever was learned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from batcher.adapters.learned import Learned
from batcher.core.exchange import Request, Response, Transport
from batcher.core.model import Row, Ticket
from batcher.core.polling.durations import Durations, Look
from batcher.core.polling.looking import READS_WISHED
from batcher.engine.polling.allowance import Load
from batcher.engine.polling.looks import CLASSES_MAX, OTHERS, PAUSE_MIN_S, Looks
from batcher.engine.polling.planner import SLICE, Planner
from batcher.engine.run import Run
from tests.engine.harness import Death, Night

pytestmark = pytest.mark.virtual

ORIGIN = "http://127.0.0.1"  # as the harness has it
CAP_S = 15.0  # longest pause between two looks with this API, as its dialect says


class Noted:
    """A transport that notes when each job was read."""

    def __init__(self, night: Night) -> None:
        self.reads: dict[str, list[float]] = {}
        self._inner: Transport = night.transport
        night.transport = self

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Pass a request on."""
        if request.method == "GET":
            self.reads.setdefault(request.path, []).append(anyio.current_time())

        return await self._inner.send(request, timeout_s=timeout_s)


async def reads_and_lag(night: Night) -> tuple[float, float]:
    """Run a night to its end; return the mean reads of a job and the mean delay of its end."""
    await night.process()
    jobs = list(night.simulation.ledger.jobs.values())
    lags = [job.told_at - job.done_at for job in jobs]
    return sum(job.reads for job in jobs) / len(jobs), sum(lags) / len(jobs)


def compared(folder: Path, learns: bool, rows: int, faults: str, **settings: object) -> Night:
    """Return a night that learns, or one that keeps to the plain pauses."""
    folder.mkdir()
    night = Night(folder, faults=faults, settings=settings, more={"learns": learns})
    night.write_urls(rows)
    return night


class Taught:
    """A memory for one test: what one night learned, the next one knows."""

    def __init__(self) -> None:
        self.past: dict[str, Durations] = {}

    def save(self, kept: Mapping[str, object]) -> None:
        """Keep what is known."""
        self.past |= {name: Durations.from_kept(value) for name, value in kept.items()}


@contextmanager
def looks_of(night: Night, **parts: object) -> Iterator[tuple[Run, Looks, Planner]]:
    """Build a run that is not executed, to ask its looks."""
    night.more |= parts
    night.write_urls(1)
    with night.books() as (journal, outcomes):
        run = Run(night.parts(journal, outcomes))
        yield run, run._looks, run._planner


def looks_at(duration_s: float) -> list[Look]:
    """Return what looks at a hundred jobs of about one duration saw."""
    found = []
    for n in range(100):
        low_s = duration_s * (0.95 + n / 1_000)
        found += [Look(0.0, low_s, ended=False), Look(low_s, 1.02 * low_s, ended=True)]

    return found


def learned(looks: Looks, duration_s: float) -> None:
    """Teach a class that its jobs take about so long."""
    for look in looks_at(duration_s):
        looks._class_named("clipping png").looking.durations.add(look)


def ticket_of(n: int, now: float, *, wall: float = 1_700_000_000.0) -> Ticket:
    """Return the ticket of a job that was accepted *now*."""
    ticket = Ticket(Row(n, f"r{n}", n, b'{"file_url": "https://shop.example/x.jpg"}'))
    ticket.job_id, ticket.born = f"job-{n}", now
    ticket.submitted_at = ticket.accepted_at = wall
    return ticket


# WHAT IT BRINGS


@pytest.mark.parametrize(
    ("duration", "share"), [("lognormal:40:0.1", 0.3), ("bimodal:10:50:0.3", 0.4)]
)
async def test_ends_are_seen_much_sooner_with_no_more_reads(
    tmp_path: Path, duration: str, share: float
) -> None:
    """Beside plain pauses the whole engine sees ends in a fraction of the time, reading less."""
    faults, teacher = f"duration={duration},latency=0.05", Taught()
    seen: list[tuple[float, float]] = []
    for learns, rows in ((True, 60), (False, 80), (True, 80)):
        night = compared(tmp_path / str(len(seen)), learns, rows, faults, rate="2/s")
        night.more |= {"memory": teacher, "past": teacher.past}
        seen.append(await reads_and_lag(night))

    _, (plain_reads, plain_lag), (reads, lag) = seen
    assert reads <= plain_reads
    assert lag < share * plain_lag


async def test_scarce_reads_are_spent_where_jobs_end(tmp_path: Path) -> None:
    """With three reads a job, plain pauses fall behind by far more than what was learned does."""
    faults, teacher = "duration=lognormal:40:0.2", Taught()
    lags: list[float] = []
    for learns in (True, False, True):
        night = compared(
            tmp_path / str(len(lags)), learns, 120, faults, rate="2/s", status_rate="5/s"
        )
        night.more |= {"memory": teacher, "past": teacher.past}
        lags.append((await reads_and_lag(night))[1])

    assert lags[2] < 0.5 * lags[1]


# WHAT READS TEACH


async def test_a_read_teaches_what_it_saw_and_no_more(tmp_path: Path) -> None:
    """Pending: it was so when asked. Ended: at some time since it was last seen pending."""
    with looks_of(Night(tmp_path)) as (_, looks, _):
        began = anyio.current_time()
        ticket = ticket_of(1, began)
        looks.accepted(ticket)
        await anyio.sleep(10.0)
        asked = anyio.current_time()
        await anyio.sleep(2.0)
        looks.found_pending(ticket, asked)
        await anyio.sleep(8.0)
        looks.found_ended(ticket)
        looks.found_ended(ticket)  # such as one that is done without a result, read again

        ((_, durations),) = looks.known()
        assert durations.kept()["looks"] == [[0.0, 10.0, 0], [10.0, 20.0, 1]]


async def test_a_job_whose_age_is_not_sure_teaches_nothing(tmp_path: Path) -> None:
    """Neither one of an earlier process, nor one that was named long after its submit."""
    with looks_of(Night(tmp_path)) as (_, looks, _):
        now = anyio.current_time()
        old, late = ticket_of(1, now - 500.0), ticket_of(2, now)
        assert late.submitted_at is not None
        late.submitted_at -= 100.0
        looks.at_once(old)
        looks.accepted(late)
        for ticket in (old, late):
            looks.found_pending(ticket, now + 5.0)
            looks.found_ended(ticket)

        assert all(not durations.kept()["looks"] for _, durations in looks.known())


async def test_answers_that_say_nothing_teach_nothing(tmp_path: Path) -> None:
    """Refusals, errors and cut answers leave no trace in what is known of durations."""
    night = Night(tmp_path, faults="status_error=1")
    night.write_urls(5)
    await night.process(job_timeout_s=60.0, max_outage_s=30.0)

    assert night.run is not None
    assert night.run._looks.looks == 0


# WHAT STAYS TRUE


async def test_no_job_is_hammered_forgotten_or_looked_at_too_late(tmp_path: Path) -> None:
    """Each job is read; pauses keep to their bounds, and one that hangs is given up in time."""
    night = Night(
        tmp_path, faults="duration=lognormal:20:0.5,stuck=0.03,status_error=0.05,latency=0.1"
    )
    noted = Noted(night)
    night.write_urls(100)
    await night.process(rate="5/s", job_timeout_s=120.0)

    assert len(noted.reads) == 100
    pauses = [b - a for times in noted.reads.values() for a, b in pairwise(times)]
    assert min(pauses) >= PAUSE_MIN_S
    assert max(pauses) <= CAP_S + 1.0
    long = [[at - times[0] for at in times] for times in noted.reads.values()]
    hanging = [ages for ages in long if ages[-1] > 110.0]
    assert hanging
    assert all(any(117.0 < age < 121.0 for age in ages) for ages in hanging)


async def test_a_sharp_plan_hammers_nobody(tmp_path: Path) -> None:
    """Where all jobs are known to end within milliseconds, looks are still half a second apart."""
    sharp = [Look(12.0 + n / 1e5, 12.001 + n / 1e5, ended=True) for n in range(100)]
    past = {"clipping png": Durations([Look(0.0, 12.0, ended=False), *sharp])}
    with looks_of(Night(tmp_path), past=past) as (_, looks, _):
        now = anyio.current_time()
        for n in range(1, 50):
            ticket = ticket_of(n, now - 11.99)
            looks.accepted(ticket)
            looks.found_pending(ticket, now)
            looks.next(ticket, silent=False)
            assert ticket.watch is not None
            assert ticket.watch.due >= now + PAUSE_MIN_S


async def test_what_the_api_asked_for_outweighs_every_plan(tmp_path: Path) -> None:
    """Retry-After holds when the look is planned and when plans are renewed; the deadline too."""
    night = Night(tmp_path, settings={"job_timeout_s": 100.0})
    with looks_of(night) as (_, looks, planner):
        now = anyio.current_time()
        patient, late = ticket_of(1, now - 10.0), ticket_of(2, now - 10.0)
        for ticket in (patient, late):
            looks.accepted(ticket)
            looks.found_pending(ticket, now)

        looks.next(patient, 70.0, silent=False)
        looks.next(late, 5_000.0, silent=False)
        learned(looks, 12.0)
        await planner.renew()
        planner._retime_slice()
        assert patient.watch is not None
        assert late.watch is not None
        assert patient.watch.due >= now + 70.0
        assert late.watch.due == pytest.approx(now + 90.0)


async def test_a_new_plan_reaches_the_jobs_that_wait(tmp_path: Path) -> None:
    """Jobs that were accepted when nothing was known are looked at when their class says."""
    with looks_of(Night(tmp_path)) as (run, looks, planner):
        now = anyio.current_time()
        tickets = [ticket_of(n, now) for n in range(1, 3 * SLICE)]
        for ticket in tickets:
            looks.accepted(ticket)

        plain = [ticket.watch.due - now for ticket in tickets if ticket.watch]
        learned(looks, 12.0)
        await planner.renew()
        slices = 1
        while planner._retime_slice():
            slices += 1

        due = sorted(ticket.watch.due - now for ticket in tickets if ticket.watch)
        assert max(plain) < 3.0
        assert slices == 3
        assert 8.0 < due[len(due) // 2] < 13.0
        assert run._lanes.status.waiting == len(tickets)


async def test_the_last_jobs_of_a_run_are_looked_at_more_often(tmp_path: Path) -> None:
    """What only the end waits for is soon seen, once its plan had it looked at; others wait."""
    past = {"clipping png": Durations([*looks_at(12.0), *looks_at(30.0), *looks_at(90.0)])}
    few = Load(rows_left=1, rows_wait=False, jobs_max=9, rows_ended=100)
    with looks_of(Night(tmp_path), past=past) as (_, looks, planner):
        now = anyio.current_time()
        late, new = ticket_of(1, now - 50.0), ticket_of(2, now)
        looks.accepted(late)
        looks.began(late)
        looks.found_pending(late, now)
        looks.next(late, silent=False)
        pauses_s = []
        for load in (few, few, replace(few, rows_wait=True)):
            planner.aim(load)
            planner._renewed.update(looks.classes)  # as by a new plan
            planner._retime_slice()
            assert late.watch is not None
            pauses_s.append(late.watch.due - now)
            await anyio.sleep(0.5)

        planner.aim(few)
        looks.accepted(new)
        assert new.watch is not None
        assert pauses_s[:2] == pytest.approx([2.5, 2.5])  # new plans put it off no further
        assert pauses_s[2] > 10.0
        assert new.watch.due > now + 10.0


async def test_a_job_that_is_being_read_is_not_queued_again(tmp_path: Path) -> None:
    """A new plan moves only what waits: else two reads of one job would be out at once."""
    with looks_of(Night(tmp_path)) as (run, looks, planner):
        now = anyio.current_time()
        ticket = ticket_of(1, now)
        looks.accepted(ticket)
        assert run._lanes.status.drain() == [ticket]
        learned(looks, 12.0)
        await planner.renew()
        planner._retime_slice()
        looks.plan_anew(ticket, looks.classes)  # as if it had been taken out a moment ago

        assert run._lanes.status.waiting == 0


async def test_classes_are_bounded(tmp_path: Path) -> None:
    """Beyond the limit a class nobody waits in goes; if all are in use, the rest share one."""
    with looks_of(Night(tmp_path)) as (_, looks, _):
        for n in range(3 * CLASSES_MAX):
            looks._class_named(f"idle {n}")

        assert len(looks.classes) == CLASSES_MAX
        assert f"idle {3 * CLASSES_MAX - 1}" in looks.classes
        for each in looks.classes.values():
            each.waiting = 1

        assert looks._class_named("one more").name == OTHERS
        assert looks._class_named("another").name == OTHERS
        assert len(looks.classes) == CLASSES_MAX + 1
        assert OTHERS not in dict(looks.known())


async def test_the_likeliest_is_read_first_and_one_out_of_time_before_all(tmp_path: Path) -> None:
    """Near the known duration is likelier than long before it; a job's time cannot wait."""
    past = {"clipping png": Durations(looks_at(60.0))}
    with looks_of(Night(tmp_path), past=past) as (_, looks, _):
        now = anyio.current_time()
        young, ripe, over = (ticket_of(n, now - age) for n, age in ((1, 20), (2, 70), (3, 2_000)))
        for ticket in (young, ripe, over):
            looks.accepted(ticket)

        chances = [looks.chance(ticket, now) for ticket in (young, ripe, over)]
        assert chances[0] < 0.2 < 0.9 < chances[1] < chances[2]


async def test_a_mistake_in_planning_falls_back_to_plain_pauses(tmp_path: Path) -> None:
    """The run goes on, the log says so, and looks are those of the backoff from then on."""

    def fails() -> Load:
        raise ZeroDivisionError

    night = Night(tmp_path)
    with looks_of(night, past={"clipping png": Durations(looks_at(60.0))}) as (_, looks, planner):
        await planner.run(fails)
        now = anyio.current_time()
        ticket = ticket_of(1, now)
        looks.accepted(ticket)

        assert night.log.names("error") == ["polls.plain"]
        assert looks._lane._schedule.next_due() == pytest.approx(now + 1.5, abs=0.5)


# EARLIER RUNS


async def test_what_one_run_learned_plans_the_first_looks_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run of the same API needs about half of the first one's reads for its start."""
    monkeypatch.setenv("BATCHER_STATE_DIR", str(tmp_path / "state"))
    firsts = []
    for name in ("first", "second"):
        night = compared(tmp_path / name, True, 40, "duration=lognormal:12:0.1", rate="50/s")
        memory = Learned("removit", ORIGIN)
        night.more |= {"past": memory.load(), "memory": memory}
        firsts.append(await reads_and_lag(night))

    (reads, lag), (again_reads, again_lag) = firsts
    assert again_reads < 0.6 * reads
    assert again_lag < 0.6 * lag


async def test_a_killed_process_leaves_what_it_learned_until_a_minute_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was learned is kept while a run goes on; the process that resumes it begins there."""
    monkeypatch.setenv("BATCHER_STATE_DIR", str(tmp_path / "state"))
    memory = Learned("removit", ORIGIN)
    night = Night(tmp_path, faults="duration=lognormal:12:0.1", settings={"rate": "2/s"})
    night.more = {"memory": memory}
    night.write_urls(150)
    assert not await night.doomed_process(Death(at_s=70.0))

    kept = memory.load()
    assert kept["clipping png"].ends > 50
    night.more |= {"past": memory.load()}
    await night.process()
    assert night.counts() == {"succeeded": 150}
    night.assert_no_row_paid_twice()
    assert memory.load()["clipping png"].kept() != kept["clipping png"].kept()


async def test_a_memory_that_fails_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state folder that is a file: the run ends well, and the log says so once."""
    (tmp_path / "state").write_text("no folder")
    monkeypatch.setenv("BATCHER_STATE_DIR", str(tmp_path / "state"))
    night = Night(tmp_path, faults="calm")
    memory = Learned("removit", ORIGIN, night.log)
    night.more = {"past": memory.load(), "memory": memory}
    night.write_urls(30)

    assert await night.process() is None
    assert night.counts() == {"succeeded": 30}


# MANNERS


async def test_plenty_of_reads_are_not_all_spent(tmp_path: Path) -> None:
    """Without a limit a job is aimed at as often as is worth it, and never above plain pauses."""
    past = {"clipping png": Durations(looks_at(60.0))}
    with looks_of(Night(tmp_path), past=past) as (run, looks, planner):
        looks.accepted(ticket_of(1, anyio.current_time()))
        looking = looks.classes["clipping png"].looking
        planner.aim(run._load())
        plain, planned = looking.reads_by_backoff(99.0), looking.reads(99.0)
        assert plain is not None
        assert planned is not None
        assert looking.plan is not None
        assert planned <= plain
        assert looking.plan.reads <= READS_WISHED * 1.1
