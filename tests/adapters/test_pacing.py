"""Pacing on virtual time: the whole rate, never more, and no burst after a pause."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from functools import partial
from itertools import pairwise

import anyio
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from batcher.adapters.pacing import Pacer
from batcher.core.pacing.rates import Rate, Window, parse_rate
from tests.support.clock import VirtualClockLoop, run_virtual

RATES = ["6/m", "5/m", "300/m", "50/s", "120/s", "199/s", "200/s", "2000/s"]


class CoarseLoop(VirtualClockLoop):
    """Virtual time as uvloop tells it: in whole milliseconds."""

    def time(self) -> float:
        """Return virtual seconds, cut."""
        return int(super().time() * 1_000) / 1_000


async def starts(
    pacer: Pacer, seconds: float, wanted: int = 64, late_s: float = 0.0
) -> list[float]:
    """Start whatever is permitted for so long, and return when; come late every other time."""
    began, times, late = anyio.current_time(), [], False
    with anyio.move_on_after(seconds):
        while True:
            granted = await pacer.permits(wanted)
            assert 1 <= granted <= wanted
            times += [anyio.current_time() - began] * granted
            late = not late
            if late:
                await anyio.sleep(late_s)

    return times


def worst(times: list[float], window_s: float) -> int:
    """Return the largest number of starts in any window."""
    return max((bisect_left(times, at + window_s) - n for n, at in enumerate(times)), default=0)


def most(rate: Rate, window_s: float) -> float:
    """Return what the pacer promises at most for a window."""
    per_s = 1 / rate.interval_s
    return per_s * window_s + max(1.25, 0.01 * per_s, 1 + 0.005 * per_s) + 1e-6


@pytest.mark.parametrize("loop", [VirtualClockLoop, CoarseLoop])
@pytest.mark.parametrize("text", RATES)
def test_rate_is_used_and_kept(text: str, loop: type[VirtualClockLoop]) -> None:
    """At any rate nearly all of it is used, and no window sees more than it may."""
    rate = parse_rate(text)
    seconds = max(3.0, 60 * rate.interval_s)
    with asyncio.Runner(loop_factory=loop) as runner:
        times = runner.run(starts(Pacer(rate), seconds))

    assert len(times) >= 0.97 * seconds / rate.interval_s
    for window_s in (0.01, 0.1, 1.0, 10.0, rate.interval_s, 7 * rate.interval_s):
        assert worst(times, window_s) <= most(rate, window_s)


WINDOWS = ["0.1/s", "5/m", "300/m", "50/s", "2000/s", "2/s,30/m"]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("text", WINDOWS)
def test_no_window_sees_one_too_many(text: str, late: bool) -> None:
    """Whoever counts any window of the rate finds no more than it allows, and hardly less."""
    rate = parse_rate(text)
    seconds = max(3.0, 2.5 * max(w.period_s for w in rate.windows), 40 * rate.interval_s)
    late_s = max(rate.interval_s, 0.005) * 1.125 if late else 0.0
    times = run_virtual(partial(starts, Pacer(rate), seconds, late_s=late_s))

    for window in rate.windows:
        count, period_s = max(window.count, 1.0), window.period_s / min(window.count, 1.0)
        assert worst(times, period_s) <= count

    share = 0.94 if late and text == "0.1/s" else 0.97  # one at a time: nothing can be made up for
    assert len(times) >= share * seconds / rate.interval_s


@pytest.mark.parametrize("text", ["5/m", "50/s", "2000/s"])
def test_lateness_is_made_up_for(text: str) -> None:
    """A pump that comes an eighth of the spacing late, or a millisecond, loses nothing by that."""
    rate = parse_rate(text)
    seconds = max(3.0, 60 * rate.interval_s)
    late_s = max(rate.interval_s, 0.005) + max(rate.interval_s / 8, 0.001)
    times = run_virtual(partial(starts, Pacer(rate), seconds, late_s=late_s))
    assert len(times) >= 0.97 * seconds / rate.interval_s


@pytest.mark.parametrize("text", ["5/m", "300/m", "2000/s"])
def test_pause_is_not_made_up_for(text: str) -> None:
    """After a long pause, as after a stalled loop, it goes on at the rate: no burst."""
    rate = parse_rate(text)

    async def main() -> list[float]:
        pacer = Pacer(rate)
        before = await starts(pacer, 20 * rate.interval_s)
        await anyio.sleep(100 * rate.interval_s + 3)
        return [*before, *(at + 10**6 for at in await starts(pacer, 50 * rate.interval_s))]

    times = run_virtual(main)
    for window_s in (1.0, 10 * rate.interval_s):
        assert worst(times, window_s) <= most(rate, window_s)


@settings(max_examples=40, phases=[Phase.generate])  # a smaller failure takes minutes to find
@given(
    rate=st.sampled_from(["5/m", "300/m", "50/s", "3/s,60/m", "1000/s"]),
    events=st.lists(
        st.tuples(st.sampled_from(["stall", "ease", "full", "change", "work"]), st.floats(0, 30)),
        min_size=5,
        max_size=25,
    ),
)
def test_stalls_ramps_and_changes_exceed_no_window(
    rate: str, events: list[tuple[str, float]]
) -> None:
    """A loop that stands still, a ramp, a rate that goes down and up again: every window holds."""
    rates = [parse_rate(rate), parse_rate("4/m")]

    async def main() -> list[float]:
        pacer, times = Pacer(rates[0]), []
        for kind, value in events:
            if kind == "stall":
                await anyio.sleep(value)  # as after SIGSTOP: time has passed, nobody asked
            elif kind in ("ease", "full"):
                pacer.ease(1.0 if kind == "full" else value / 30)
            elif kind == "change":
                pacer.change(rates[1])
                pacer.change(rates[0])

            begin = anyio.current_time()
            for_s = min(value, 4 * rates[0].interval_s + 0.1)
            times += [begin + at for at in await starts(pacer, for_s)]

        return times

    times = run_virtual(main)
    for window in rates[0].windows:
        assert worst(times, window.period_s) <= window.count


def test_low_rates_start_one_by_one() -> None:
    """However many are wanted, a low rate starts single requests, about evenly spaced."""
    times = run_virtual(partial(starts, Pacer(parse_rate("5/s")), 20.0))
    gaps = [later - at for at, later in pairwise(times)]
    assert min(gaps) >= 0.75 * 0.2 - 1e-6
    assert max(gaps) <= 1.25 * 0.2 + 1e-6


def test_no_more_than_wanted_is_handed_out() -> None:
    """A batch is never larger than what is asked for: what is not used would be lost."""
    assert run_virtual(partial(starts, Pacer(parse_rate("2000/s")), 0.1, wanted=1))


def test_windows_apply_together() -> None:
    """Of several windows the slowest sets the pace; a day sets none."""
    times = run_virtual(partial(starts, Pacer(parse_rate("10/s,60/m,5/d")), 30.0))
    assert 29 <= len(times) <= 31


def test_no_rate_is_no_limit() -> None:
    """Without a rate, or with a day cap only, everything starts at once."""

    async def main(rate: Rate | None) -> int:
        return await Pacer(rate).permits(1_000)

    assert run_virtual(main, None) == 1_000
    assert run_virtual(main, parse_rate("100/d")) == 1_000


@pytest.mark.parametrize(
    ("before", "after"), [("600/m", "6/m"), ("2000/s", "5/m"), ("5/m", "300/m"), ("5/m", None)]
)
def test_a_change_of_rate_counts_at_once_and_is_no_burst(before: str, after: str | None) -> None:
    """From the change on the new rate is kept, and what was started before it counts too."""
    rate = None if after is None else parse_rate(after)

    async def main() -> list[float]:
        pacer = Pacer(parse_rate(before))
        for _ in range(5):
            await pacer.permits(64)

        last = anyio.current_time()
        pacer.change(rate)
        assert await pacer.permits(1) == 1
        first = anyio.current_time() - last
        if rate is None:
            return [first]

        return [first, *(first + at for at in await starts(pacer, 20 * rate.interval_s))]

    times = run_virtual(main)
    if rate is None:
        assert times[0] < 12.0
        return

    full_s = 62.0 if before != "5/m" else 0.0  # a window of the new rate that the old one filled
    assert 0.7 * rate.interval_s <= times[0] <= max(1.3 * rate.interval_s, full_s, 12.5)
    assert worst(times, 7 * rate.interval_s) <= most(rate, 7 * rate.interval_s)
    assert len(times) >= 0.9 * (20 - full_s / rate.interval_s)


def test_a_rate_that_changes_all_the_time_is_never_exceeded() -> None:
    """Answers of two tasks in turns: a new bucket each time gives nobody a start too many."""
    rates = [parse_rate("60/m"), parse_rate("59/m")]

    async def main() -> list[float]:
        pacer, times = Pacer(rates[0]), []
        begin = anyio.current_time()
        while anyio.current_time() - begin < 120:
            await pacer.permits(1)
            times.append(anyio.current_time())
            pacer.change(rates[len(times) % 2])

        return times

    times = run_virtual(main)
    assert min(b - a for a, b in pairwise(times)) >= 1.0
    assert worst(times, 60.0) <= 60


def test_waiting_can_be_cancelled_and_is_told() -> None:
    """A cancelled wait takes no permit, and the statistics say what is going on."""

    async def main() -> None:
        pacer = Pacer(Rate((Window(1, 60),)))
        assert await pacer.permits(5) == 1
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(pacer.permits, 1)
            await anyio.sleep(40)
            assert pacer.statistics().waiting
            group.cancel_scope.cancel()

        assert (pacer.statistics().granted, pacer.statistics().waiting) == (1, False)
        await pacer.permits(1)
        assert anyio.current_time() - began <= 60.7

    run_virtual(main)
