"""When jobs are looked at: by what was learned of their class, else in growing pauses.

Rule: every look at a job that this process saw accepted teaches how long the jobs of its class
take, and what was learned plans the looks that follow (docs/polling.md). Whatever was learned, a
job is looked at when its time is up at the latest, never before the API said, and never in a tight
loop; an answer that says nothing of the job is followed by the plain pause.

Where the API reports by itself nothing is learned: its calls choose the moments of the reads. Then
looks are late and slow until a call comes.

It plans and remembers; what a read means is `poll`'s affair, and plans are renewed in `planner`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterator, Mapping

from batcher.core.backoff import Backoff
from batcher.core.model import Ticket, Watch
from batcher.core.polling.durations import Durations, Look
from batcher.core.polling.looking import PAUSES_FACTOR, READS_WISHED, Looking
from batcher.engine.context import Context
from batcher.engine.lanes.opening import Lanes

CALLED = Backoff(first_s=160.0, factor=2.0, cap_s=600.0)  # looks where the API reports by itself
CLASSES_MAX = 24  # of jobs; each remembers up to a megabyte of reads
OTHERS = "*"  # the class of jobs whose own finds no place
PAUSE_MIN_S = 0.5  # from one look at a job to the next, whatever they promise
LAST_PAUSE = 0.05  # of its age at a look: the longest pause for one of the last jobs of a run
LUCKS = tuple((n + 0.5) / 1_000 for n in range(1_000))  # that looks have: they share the numbers
TEACHERS, TEACHERS_PER_S = 500.0, 50.0  # jobs that teach: so many at once, and later a second
ANSWER_S_MAX = 30.0  # a submit that was answered later does not say when its job began


class JobClass:
    """The jobs that take about as long as each other: what is known of them, and who waits."""

    def __init__(self, name: str, looking: Looking) -> None:
        self.name = name
        self.looking = looking
        self.waiting = 0  # jobs whose next look is planned; what is read just now is none of them


class Looks:
    """When each job is looked at next. It puts tickets into the lane of status reads."""

    def __init__(
        self,
        context: Context,
        lanes: Lanes,
        past: Mapping[str, Durations],
        *,
        learns: bool = True,
    ) -> None:
        """*past* is what earlier runs learned; without `learns` the plain pauses are kept to."""
        facts, reads = context.provider.facts, lanes.status_rate
        self.learns = learns and not context.claims.calls
        self._sends_pioneers = self.learns and (reads is None or not reads.day_caps)
        self.backoff = Backoff(facts.first_look_s, PAUSES_FACTOR, facts.look_cap_s)
        self.classes: OrderedDict[str, JobClass] = OrderedDict()  # the latest used is the last
        self.looks = 0  # that were learned from
        self.is_last = False  # the jobs that are open are the last ones, and few
        self._context = context
        self._lane = lanes.status
        self._past = dict(past)
        self._time_s = context.settings.job_timeout_s
        self._teachers, self._counted = TEACHERS, context.clock.now()
        self._called: set[int] = set()  # rows whose job the API reported on
        if self.learns:
            lanes.status.rank_by(self.chance)

    # --- When to look ----------------------------------------------------------------------------

    def accepted(self, ticket: Ticket) -> None:
        """Plan the first look at a job that was accepted just now."""
        sent, at = ticket.submitted_at, ticket.accepted_at
        is_prompt = sent is not None and at is not None and at - sent <= ANSWER_S_MAX
        ticket.watch = self._watch(ticket, teaches=is_prompt and self._is_teacher(ticket.born))
        if is_prompt and self._sends_pioneers:
            ticket.watch.is_pioneer = self._class_named(ticket.watch.job_class).looking.enlist()

        self._plan(ticket)

    def at_once(self, ticket: Ticket) -> None:
        """Look now: at a job that an earlier process submitted, for it may be long done."""
        self._queue(ticket, self._context.clock.now())

    def next(self, ticket: Ticket, not_before_s: float | None = None, *, silent: bool) -> None:
        """Look again at a job that was pending, or of which the answer said nothing (*silent*).

        *not_before_s* is how long the API asked to wait.
        """
        if silent:
            self.after_silence(ticket, not_before_s)
        else:
            self._plan(ticket, not_before_s)

    def after_silence(self, ticket: Ticket, not_before_s: float | None = None) -> None:
        """Look again after an answer that said nothing of the job: nothing new can be planned."""
        now = self._context.clock.now()
        pause_s = self._backoff(ticket, now).delay_s(ticket.reads, self._context.rng)
        due = now + max(pause_s, not_before_s or 0.0)
        self._queue(ticket, self._in_time(ticket, due, now))

    def put_off(self, ticket: Ticket, wait_s: float) -> None:
        """Look again after a refusal that concerned this look alone: it is as due as it was."""
        now = self._context.clock.now()
        self._queue(ticket, self._in_time(ticket, now + wait_s, now))

    def hasten(self, ticket: Ticket) -> bool:
        """Look at a job now, because the API reported on it; False if it is not waiting."""
        self._called.add(ticket.row.n)
        return self._lane.hasten(ticket, self._context.clock.now())

    def forget(self, ticket: Ticket) -> None:
        """Note that nothing more is looked for: the job has its outcome, or its result."""
        self._called.discard(ticket.row.n)

    def chance(self, ticket: Ticket, now: float) -> float:
        """Return the chance that a job has ended since it was last seen; beyond its time, 2."""
        watch, age_s = ticket.watch, now - ticket.born
        if watch is None or age_s >= self._time_s:
            return 2.0

        job_class = self.classes.get(watch.job_class)
        return 1.0 if job_class is None else job_class.looking.chance(watch.seen_s, age_s)

    def _is_teacher(self, now: float) -> bool:
        """Take one of the jobs that teach. Many a second tell no more than some, but cost more."""
        earned = (now - self._counted) * TEACHERS_PER_S
        self._teachers, self._counted = min(self._teachers + earned, TEACHERS), now
        is_teacher = self._teachers >= 1.0
        self._teachers -= is_teacher
        return is_teacher

    # --- What looks teach ------------------------------------------------------------------------

    def began(self, ticket: Ticket) -> None:
        """Note that a job is being read: no new plan concerns that look any more."""
        watch = ticket.watch
        if watch is not None and watch.is_planned:
            watch.is_planned = False
            self.classes[watch.job_class].waiting -= 1

    def found_pending(self, ticket: Ticket, asked: float) -> None:
        """Learn from a read that was sent at *asked* and found the job pending: it was so then."""
        watch = ticket.watch or self._watch(ticket, teaches=False)
        age_s, ticket.watch = asked - ticket.born, watch
        self._learn(watch, age_s, ended=False)
        watch.seen_s = max(watch.seen_s, age_s)

    def found_ended(self, ticket: Ticket) -> None:
        """Learn that the job has ended by now, well or not; it teaches that once."""
        watch = ticket.watch
        if watch is not None and watch.teaches:
            self._learn(watch, self._context.clock.now() - ticket.born, ended=True)
            watch.teaches = False

    def _learn(self, watch: Watch, age_s: float, *, ended: bool) -> None:
        if watch.teaches:
            look = Look(watch.seen_s, age_s, ended)
            self._class_named(watch.job_class).looking.durations.add(look)
            self.looks += 1

    def known(self) -> Iterator[tuple[str, Durations]]:
        """Yield what is known of each class, the latest used first."""
        for name in reversed(self.classes):
            if name != OTHERS:
                yield name, self.classes[name].looking.durations

        yield from self._past.items()

    # --- How -------------------------------------------------------------------------------------

    def waiting(self) -> list[Ticket]:
        """Return the tickets of all jobs that wait for a look."""
        return self._lane.items()

    def plan_anew(self, ticket: Ticket, names: Container[str]) -> bool:
        """Let a ticket that waits be due when the plan of now says, if it is of *names*.

        Those are the classes whose plans are new. Returns whether it is of one.
        """
        watch = ticket.watch
        if watch is None or not watch.is_planned or watch.job_class not in names:
            return False

        now = self._context.clock.now()
        if watch.due > now:
            due = self._due(self.classes[watch.job_class].looking, ticket, watch, now)
            if abs(due - watch.due) > max(0.1, 0.02 * (watch.due - now)):
                watch.due = due
                self._lane.move(ticket, due)

        return True

    def _plan(self, ticket: Ticket, not_before_s: float | None = None) -> None:
        watch, now = ticket.watch, self._context.clock.now()
        if not self.learns or watch is None or now - ticket.born >= self._time_s:
            self.after_silence(ticket, not_before_s)
            return

        job_class = self._class_named(watch.job_class)
        watch.job_class = job_class.name
        watch.luck = LUCKS[int(self._context.rng.random() * len(LUCKS))]
        watch.not_before = now + not_before_s if not_before_s else 0.0
        watch.due = self._due(job_class.looking, ticket, watch, now)
        watch.is_planned = True
        job_class.waiting += 1
        self._queue(ticket, watch.due)

    def _queue(self, ticket: Ticket, due: float) -> None:
        self._lane.add(ticket, due)
        self._context.claims.follow(ticket)  # a call makes it due now, or has done so meanwhile

    def _due(self, looking: Looking, ticket: Ticket, watch: Watch, now: float) -> float:
        age_s = looking.next_age_s(
            watch.seen_s, ticket.reads, watch.luck, is_pioneer=watch.is_pioneer
        )
        if watch.seen_s:
            if self.is_last:
                age_s = min(age_s, watch.seen_s * (1.0 + LAST_PAUSE))

            age_s = max(age_s, watch.seen_s + PAUSE_MIN_S)

        return self._in_time(ticket, max(ticket.born + age_s, watch.not_before), now)

    def _in_time(self, ticket: Ticket, due: float, now: float) -> float:
        """Let no look be later than the end of the job's time, whatever is asked."""
        deadline = ticket.born + self._time_s
        return max(min(due, deadline) if deadline > now else due, now)

    def _backoff(self, ticket: Ticket, now: float) -> Backoff:
        is_reported = self._context.claims.calls and ticket.row.n not in self._called
        return CALLED if is_reported and now < ticket.born + self._time_s else self.backoff

    def _watch(self, ticket: Ticket, *, teaches: bool) -> Watch:
        """Begin to watch a job; the row is decoded for its class once."""
        if not self.learns:
            return Watch(OTHERS, teaches=False)

        name = self._context.provider.job_class(ticket.row.values())
        return Watch(self._class_named(name).name, teaches)

    def _class_named(self, name: str) -> JobClass:
        """Return a class of jobs, or that of all others if there is no place for one more."""
        job_class = self.classes.get(name)
        if job_class is None:
            name = name if self._has_room() else OTHERS
            job_class = self.classes.get(name) or self._new_class(name)

        self.classes.move_to_end(name)
        return job_class

    def _new_class(self, name: str) -> JobClass:
        past, cap_s = self._past.pop(name, None), self.backoff.cap_s
        looking = Looking(self.backoff, reads=READS_WISHED, cap_s=cap_s, durations=past)
        job_class = self.classes[name] = JobClass(name, looking)
        return job_class

    def _has_room(self) -> bool:
        """Make room for one more class: the least recently used in which nobody waits goes."""
        if len(self.classes) < CLASSES_MAX:
            return True

        idle = next(
            (name for name, each in self.classes.items() if not each.waiting and name != OTHERS),
            None,
        )
        if idle is not None:
            del self.classes[idle]

        return idle is not None
