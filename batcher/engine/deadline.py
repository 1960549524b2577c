"""`--max-duration` and `--finish-by`: the run ends by the clock, with what it paid for collected.

Rule: a row is submitted only while there is time left to collect its job. So the submit lane is
held as early as jobs take long, what is open is collected, and then the run stops; if its time is
up all the same, it is interrupted, like by a signal. The wall clock is read again at every look,
because it may be set, and because a machine may sleep.

How long jobs take, the first that is known: what was learned of them and how long they stayed with
this process (the longer of both), else twice the age of the oldest one: if nothing has ended in the
first third of the time, the other two are left for it.
"""

from __future__ import annotations

from enum import Enum
from math import inf

import anyio

from batcher.core.model import Stop, StopReason, Ticket
from batcher.core.settings import Settings
from batcher.engine.context import Context
from batcher.engine.feed import Feed
from batcher.engine.lanes.opening import Lanes
from batcher.engine.polling.looks import Looks

LOOK_EVERY_S = 1.0
HOLD_S = 1.5  # until the next look, and a little
NO_TIME = "no time left"  # why the submit lane is held
LOOK_AGAIN_S = 0.1  # rows that come meanwhile are judged by the last look
SHARE, SHARE_MAX = 0.95, 0.99  # of the jobs are to be over in time: of those open all but one
LATE = 2.0  # mean delays, within which most ends are seen
MARGIN = 1.1  # what was is no promise
SLACK_S = 2.0  # for the answer to the last submit, and for the disk
OLDER = 2.0  # a job that has run so long may run as long again


class Step(Enum):
    """What the time that is left means."""

    GO_ON = 0
    SUBMIT_NO_MORE = 1
    END = 2


def time_left_s(settings: Settings, elapsed_s: float, now: float) -> float | None:
    """Return how long the run may still go on; None = as long as it likes."""
    left = []
    if settings.max_duration_s is not None:
        left.append(settings.max_duration_s - elapsed_s)

    if settings.finish_by is not None:
        left.append(settings.finish_by - now)

    return max(0.0, min(left)) if left else None


def step_of(left_s: float | None, finish_s: float) -> Step:
    """Decide; *finish_s* is how long it takes to collect a job that is submitted now."""
    if left_s is None:
        return Step.GO_ON

    if left_s <= 0:
        return Step.END

    return Step.SUBMIT_NO_MORE if left_s <= finish_s else Step.GO_ON


class Deadline:
    """The time of one process."""

    def __init__(self, context: Context, lanes: Lanes, feed: Feed, looks: Looks) -> None:
        self._context = context
        self._lanes = lanes
        self._feed = feed
        self._looks = looks
        self._began = context.clock.now()
        self._first: float | None = None  # when a job was first seen open
        self._class: str | None = None  # of the row that wanted to be submitted last
        self._looked = self._judged = -inf

    async def run(self) -> None:
        """Look until the time is up; without a limit there is nothing to do."""
        while self._left_s() is not None and not self._context.control.interrupted.is_set():
            self._act(None, is_wanted=self._waits())
            await anyio.sleep(LOOK_EVERY_S)

    def look(self, ticket: Ticket) -> None:
        """Look now, because a row wants to be submitted."""
        now = self._context.clock.now()
        if now >= self._judged + LOOK_AGAIN_S:
            self._judged = now
            self._act(ticket, is_wanted=True)

    def _act(self, ticket: Ticket | None, *, is_wanted: bool) -> None:
        self._looked = self._context.clock.now()
        left_s = self._left_s()
        if left_s is None:
            return

        control = self._context.control
        match step_of(left_s, self.finish_s(ticket)):
            case Step.END:
                ran_s = self._looked - self._began
                message = (
                    f"its time was up after {_text(ran_s)}; accepted jobs go on and `resume` "
                    "collects them"
                )
                control.interrupt(Stop(StopReason.DEADLINE, message))
            case Step.SUBMIT_NO_MORE if is_wanted and not control.halted.is_set():
                self._hold(left_s)
            case _:
                pass

    def _hold(self, left_s: float) -> None:
        """Submit nothing for a while; once nothing is open any more, for good.

        What is known of the jobs grows while they are collected: there may be time for more.
        """
        slots, submit = self._context.slots, self._lanes.submit
        if slots.used > submit.waiting:
            submit.gate.hold_until(self._looked + HOLD_S, NO_TIME)
            return

        message = f"the time that is left ({_text(left_s)}) is too short for another job"
        self._context.control.halt(Stop(StopReason.DEADLINE, message))

    def finish_s(self, ticket: Ticket | None = None) -> float:
        """Return how long it takes, from now, to collect everything, the job of *ticket* too."""
        context, lanes = self._context, self._lanes
        now = context.clock.now()
        queue_s = 0.0
        if lanes.status_rate is not None:  # each open job has to be read once more
            queue_s = (self._jobs_open() + 1) * lanes.status_rate.interval_s

        closed_s = lanes.status.gate.wait_s(now)
        held_s = max(closed_s if closed_s < inf else 0.0, lanes.status_caps.wait_s())
        return (
            MARGIN * self._job_s(ticket, now) + queue_s + held_s + self._downloads_s(now) + SLACK_S
        )

    def _job_s(self, ticket: Ticket | None, now: float) -> float:
        """Return how long a job takes, as far as that can be known."""
        stays, facts = self._context.stays, self._context.provider.facts
        jobs_open = self._jobs_open()
        share = min(SHARE_MAX, max(SHARE, 1.0 - 1.0 / max(jobs_open, 1)))
        known = [s for s in (self._learned_s(ticket, share), stays.by_s(share)) if s is not None]
        if known:
            return max(known)

        if self._first is None and jobs_open:
            self._first = now

        oldest_s = 0.0 if self._first is None else now - self._first
        return max(OLDER * oldest_s, OLDER * stays.longest_s, facts.first_look_s)

    def _learned_s(self, ticket: Ticket | None, share: float) -> float | None:
        """Return by when *share* of the jobs that are open, or else like *ticket*'s, have ended."""
        classes = list(self._looks.classes.values())
        if not classes:
            return self._learned_before_s(ticket, share)

        found = []
        for each in [each for each in classes if each.waiting] or classes:
            curve, plan = each.looking.curve, each.looking.plan
            if curve is not None:
                found.append(curve.age_s(share) + (0.0 if plan is None else LATE * plan.lag_s))

        return max(found, default=None)

    def _learned_before_s(self, ticket: Ticket | None, share: float) -> float | None:
        """Return the same before the first job of this process, as earlier runs learned it."""
        if ticket is not None:
            self._class = self._context.provider.job_class(ticket.row.values())

        durations = None if self._class is None else dict(self._looks.known()).get(self._class)
        return None if durations is None else durations.curve().age_s(share)

    def _downloads_s(self, now: float) -> float:
        """Return how long the downloads that wait take, at their speed so far."""
        lane = self._lanes.download
        return lane.waiting * (now - self._began) / lane.started if lane.started else 0.0

    def _jobs_open(self) -> int:
        """Return about how many jobs are open at the API."""
        submit = self._lanes.submit
        return max(0, self._context.slots.used - submit.waiting - submit.taken)

    def _waits(self) -> bool:
        """Tell whether a row would be submitted if it could."""
        slots = self._context.slots
        is_full = self._feed.reading and slots.used >= slots.limit
        return self._lanes.submit.waiting > 0 or is_full

    def _left_s(self) -> float | None:
        clock = self._context.clock
        return time_left_s(self._context.settings, clock.now() - self._began, clock.wall())


def _text(seconds: float) -> str:
    """Return a time in words; the views have better ones, but they stand above the engine."""
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
