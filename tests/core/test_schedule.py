"""The heap of a lane."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from batcher.core.schedule import (
    PATIENCE_S,
    RANKED_MAX,
    STALE_MIN,
    RankedSchedule,
    Schedule,
)


@given(st.lists(st.floats(0, 1000)), st.floats(0, 1000))
def test_what_is_due_leaves_in_order_and_nothing_is_lost(dues: list[float], now: float) -> None:
    """Everything due comes out earliest first; the rest stays."""
    schedule: Schedule[int] = Schedule()
    for number, due in enumerate(dues):
        schedule.add(number, due)

    popped = []
    while (item := schedule.pop_due(now)) is not None:
        popped.append(item)

    expected = sorted((n for n, due in enumerate(dues) if due <= now), key=lambda n: (dues[n], n))
    assert popped == expected
    assert len(schedule) == len(dues) - len(popped)
    assert sorted(popped + schedule.drain()) == list(range(len(dues)))


def test_the_next_due_time_is_known() -> None:
    """An empty schedule has none."""
    schedule: Schedule[str] = Schedule()
    assert schedule.next_due() is None
    schedule.add("late", 5.0)
    schedule.add("soon", 2.0)

    assert schedule.next_due() == 2.0


class Item:
    """Something that waits, like no other."""


ITEMS = [Item() for _ in range(6)]
NUMBERS = st.integers(0, len(ITEMS) - 1)
TIMES = st.integers(0, 9)  # few, so that many are due at the same time


class ScheduleMachine(RuleBasedStateMachine):
    """A schedule beside a plain list of (due, order, number) that is searched from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule: Schedule[Item] = Schedule()
        self.model: list[tuple[int, int, int]] = []
        self.order = 0

    def place(self, number: int, due: int) -> None:
        """Give an item its one place in the model."""
        self.order += 1
        self.model = [entry for entry in self.model if entry[2] != number]
        self.model.append((due, self.order, number))
        self.model.sort()

    @rule(number=NUMBERS, due=TIMES)
    def add(self, number: int, due: int) -> None:
        """An item that waits already moves."""
        self.schedule.add(ITEMS[number], due)
        self.place(number, due)

    @rule(number=NUMBERS, due=TIMES)
    def hasten(self, number: int, due: int) -> None:
        """An item moves forward, never back; one that does not wait is not put in."""
        before = [entry[0] for entry in self.model if entry[2] == number]
        assert self.schedule.hasten(ITEMS[number], due) is bool(before)
        if before and due < before[0]:
            self.place(number, due)

    @rule(now=TIMES)
    def pop_due(self, now: int) -> None:
        """What has been due longest leaves."""
        item = self.schedule.pop_due(now)
        if self.model and self.model[0][0] <= now:
            assert item is ITEMS[self.model.pop(0)[2]]
        else:
            assert item is None

    @precondition(lambda self: len(self.model) > 3)
    @rule()
    def drain(self) -> None:
        """Everything leaves, in order."""
        drained = self.schedule.drain()
        expected = [ITEMS[number] for _, _, number in self.model]
        assert len(drained) == len(expected)
        assert all(a is b for a, b in zip(drained, expected, strict=True))
        self.model = []

    @invariant()
    def agrees(self) -> None:
        """Length and next time are the model's."""
        assert len(self.schedule) == len(self.model)
        assert self.schedule.next_due() == (self.model[0][0] if self.model else None)


TestSchedule = ScheduleMachine.TestCase


def test_sweeping_out_what_was_left_behind_keeps_the_order() -> None:
    """Thousands of moves of many items, beside a plain table."""
    rng = Random(7)
    schedule: Schedule[Item] = Schedule()
    items = [Item() for _ in range(40)]
    dues: dict[int, float] = {}
    for n in range(20_000):
        item, due = rng.choice(items), rng.random()
        if n % 7 == 0 and dues:
            first = min(dues, key=lambda index: dues[index])
            assert schedule.pop_due(1.0) is items[first]
            del dues[first]
        else:
            schedule.add(item, due)
            dues[next(i for i, other in enumerate(items) if other is item)] = due

    assert [schedule.pop_due(1.0) for _ in range(len(dues))]
    assert len(schedule) == 0


def test_an_item_that_is_hastened_for_ever_leaves_nothing_behind() -> None:
    """Memory follows what waits, however often it is moved."""
    schedule: Schedule[Item] = Schedule()
    late = [Item() for _ in range(10)]
    for item in late:
        schedule.add(item, 1e9)

    for n in range(10_000):
        assert schedule.hasten(late[n % 10], 1e9 - n - 1)

    assert len(schedule) == 10
    assert len(schedule._heap) <= 2 * 10 + STALE_MIN + 1


# Ranked


RANKS = dict(enumerate((0.5, 0.9, 0.1, 0.9, 0.3, 0.7)))


def ranked() -> RankedSchedule[int]:
    """Return a schedule in which each number has its rank."""
    return RankedSchedule(lambda number, now: RANKS[number])


def emptied(schedule: RankedSchedule[int], now: float) -> list[int]:
    """Take out all that is due."""
    return list(iter(lambda: schedule.pop_due(now), None))


def test_of_what_is_due_the_highest_rank_leaves_first() -> None:
    """Equal ranks leave by their due times, and what is not due yet stays, whatever its rank."""
    schedule = ranked()
    for number, due in enumerate((1.0, 9.0, 2.0, 4.0, 3.0, 1.5)):
        schedule.add(number, due)

    assert emptied(schedule, 5.0) == [3, 5, 0, 4, 2]
    assert schedule.next_due() == 9.0
    assert emptied(schedule, 9.0) == [1]
    assert schedule.next_due() is None


def test_nothing_waits_for_ever_behind_higher_ranks() -> None:
    """An item of the least rank leaves before all others once it has waited for `PATIENCE_S`."""
    rank = {0: 0.0}
    schedule: RankedSchedule[int] = RankedSchedule(lambda number, now: rank.get(number, 1.0))
    schedule.add(0, 0.0)
    left_at = None
    for second in range(200):
        for n in range(3):
            schedule.add(1 + 3 * second + n, float(second))

        for _ in range(2):
            if schedule.pop_due(float(second)) == 0:
                left_at = second

    assert left_at is not None
    assert PATIENCE_S < left_at <= PATIENCE_S + 2


def test_a_due_item_may_still_be_put_off() -> None:
    """Moved, it leaves its place among the due ones, and it leaves the schedule once."""
    schedule = ranked()
    for number in (0, 1, 2):
        schedule.add(number, 1.0)

    assert schedule.pop_due(2.0) == 1
    assert schedule.move(0, 5.0)
    assert not schedule.move(1, 5.0)
    assert emptied(schedule, 3.0) == [2]
    assert schedule.next_due() == 5.0
    assert emptied(schedule, 5.0) == [0]


class RankedMachine(RuleBasedStateMachine):
    """A ranked schedule beside a table: nothing is lost, doubled or early; the best is first."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = ranked()
        self.due: dict[int, int] = {}
        self.now = 0

    @rule(number=NUMBERS, later=TIMES)
    def add(self, number: int, later: int) -> None:
        """An item that waits already moves."""
        self.schedule.add(number, self.now + later)
        self.due[number] = self.now + later

    @rule(number=NUMBERS, later=TIMES)
    def move(self, number: int, later: int) -> None:
        """Only what waits is moved."""
        assert self.schedule.move(number, self.now + later) is (number in self.due)
        if number in self.due:
            self.due[number] = self.now + later

    @rule(seconds=st.integers(0, 5))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.now += seconds

    @rule()
    def pop_due(self) -> None:
        """The highest rank of what is due leaves, if anything is."""
        due = [number for number, at in self.due.items() if at <= self.now]
        item = self.schedule.pop_due(self.now)
        assert (item is None) is (not due)
        if item is not None:
            assert item in due
            if self.now <= PATIENCE_S:
                assert RANKS[item] == max(RANKS[number] for number in due)

            del self.due[item]

    @precondition(lambda self: len(self.due) > 3)
    @rule()
    def drain(self) -> None:
        """Everything leaves."""
        assert sorted(self.schedule.drain()) == sorted(self.due)
        self.due = {}

    @invariant()
    def agrees(self) -> None:
        """The length is the table's, and the next time is never later than it."""
        assert len(self.schedule) == len(self.due)
        following = self.schedule.next_due()
        assert (following is None) is (not self.due)
        if following is not None:
            assert following == min(self.due.values()) or following <= self.now


TestRankedSchedule = RankedMachine.TestCase


def test_moved_items_leave_nothing_behind() -> None:
    """Memory follows what waits, also where items are moved after they have become due."""
    schedule = ranked()
    for n in range(5_000):
        for number in RANKS:
            schedule.add(number, float(n))

        schedule.pop_due(float(n))

    assert len(schedule) <= len(RANKS)
    assert len(schedule._ready) + len(schedule._line) <= 4 * len(RANKS) + STALE_MIN + RANKED_MAX


class Swept(RankedSchedule[int]):
    """Counts the places that its sweeps look through."""

    swept = 0

    def _sweep_ready(self) -> None:
        self.swept += len(self._ready) + len(self._line)
        super()._sweep_ready()


def test_taking_one_costs_the_same_however_many_are_due() -> None:
    """Where everything is due at once, what has left is swept out seldom."""
    rng, many = Random(3), 10_000
    schedule = Swept(lambda _number, _now: rng.random())
    for number in range(many):
        schedule.add(number, 0.0)

    for now in range(1, many + 1):
        assert schedule.pop_due(now / many) is not None

    assert schedule.pop_due(1.0) is None
    assert schedule.swept <= 4 * many
    assert len(schedule._ready) + len(schedule._line) <= STALE_MIN
