"""The heap of a lane."""

from hypothesis import given
from hypothesis import strategies as st

from batcher.core.schedule import Schedule


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
