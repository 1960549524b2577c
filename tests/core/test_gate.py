"""The gate of a lane: who may start, and when."""

from random import Random

import pytest

from batcher.core.pacing.gate import FAILURES_MAX, WAIT_MAX_S, Gate
from batcher.core.pacing.ramp import RAMP_FROM, RAMP_S
from batcher.core.pacing.strays import START
from batcher.core.pacing.suspicion import TELL_S


@pytest.fixture
def gate() -> Gate:
    """Return an open gate."""
    return Gate(Random(7))


def fail_often(gate: Gate, now: float = 100.0) -> None:
    """Fail just often enough to close the gate."""
    for _ in range(FAILURES_MAX):
        gate.started()
        gate.failed(now)


# HAPPY PATH


def test_an_open_gate_lets_everybody_start(gate: Gate) -> None:
    """Any number of requests may start while nothing went wrong."""
    for _ in range(1000):
        assert gate.wait_s(0.0) == 0
        gate.started()


def test_single_failures_do_not_close_it(gate: Gate) -> None:
    """Failures that are not in a row are no outage."""
    for _ in range(10 * FAILURES_MAX):
        gate.started()
        gate.failed(1.0)
        gate.started()
        gate.succeeded()

    assert gate.wait_s(1.0) == 0
    assert gate.outage_s(1.0) == 0


# SAD PATH


def test_a_throttle_holds_everybody_at_least_as_long_as_asked(gate: Gate) -> None:
    """Nothing starts before Retry-After, and the jitter is only ever added."""
    gate.throttled(100.0, 30.0)

    assert 30.0 <= gate.wait_s(100.0) <= 33.0
    assert gate.wait_s(129.9) > 0


def test_a_shorter_wait_never_shortens_a_longer_one(gate: Gate) -> None:
    """The latest deadline wins, whatever order the answers come in."""
    gate.throttled(100.0, 60.0)
    gate.throttled(101.0, 1.0)

    assert gate.wait_s(101.0) >= 59.0


@pytest.mark.parametrize("wait_s", [-5.0, 0.0, 1e12])
def test_absurd_waits_are_clamped(gate: Gate, wait_s: float) -> None:
    """A negative or enormous Retry-After neither opens the gate early nor shuts it for ever."""
    gate.throttled(100.0, wait_s)

    assert 0 <= gate.wait_s(100.0) <= WAIT_MAX_S * 1.1


def test_after_a_closing_only_one_probe_is_out(gate: Gate) -> None:
    """Re-entry is one request at a time until one is answered well."""
    gate.throttled(100.0, 10.0)
    later = 200.0

    assert gate.wait_s(later) == 0
    gate.started()
    assert gate.wait_s(later) == float("inf")
    gate.succeeded()
    assert gate.wait_s(later) == 0
    gate.started()
    assert gate.wait_s(later) == 0


def test_after_the_probe_the_lane_comes_back_along_a_line(gate: Gate) -> None:
    """Not at once: a tenth of the pace first, nine tenths within three seconds, then all of it."""
    assert gate.share(50.0) == 1.0
    gate.throttled(100.0, 10.0)
    gate.started()
    gate.succeeded()

    shares = [gate.share(200.0 + at / 10) for at in range(41)]
    assert shares[0] == pytest.approx(RAMP_FROM)
    assert shares == sorted(shares)
    assert shares[15] < 0.6
    assert shares[int(RAMP_S * 9)] >= 0.9
    assert shares[-1] == 1.0


def test_a_refusal_in_passing_is_not_paid_for_like_a_storm(gate: Gate) -> None:
    """The way back takes a third of the closing; refusals from before it do not make it longer."""
    gate.throttled(100.0, 1.2)
    gate.throttled(100.1, 1.2)
    gate.started()
    gate.succeeded()

    assert gate.share(200.0) == pytest.approx(RAMP_FROM)
    assert gate.share(200.45) == 1.0


def test_a_hold_needs_no_ramp(gate: Gate) -> None:
    """When a window opens nothing went wrong: the lane goes on where it stopped."""
    gate.hold_until(110.0, "limit")
    gate.started("a")
    gate.succeeded("a")

    assert gate.share(120.0) == 1.0


@pytest.mark.parametrize("told_s", [0.0, 1.0, 2.0])
def test_a_storm_with_short_waits_costs_few_probes(gate: Gate, told_s: float) -> None:
    """Retry-After of a second, said for half a minute, is not taken at its word each time."""
    now, refused = 100.0, 0
    gate.throttled(now, told_s, "first")
    while now < 130.0:
        now += gate.wait_s(now)
        if now < 130.0:
            probe = object()
            gate.started(probe)
            gate.throttled(now, told_s, probe)
            refused += 1

    assert refused < 10
    assert now < 130.0 + 7.0
    gate.started("last")
    gate.succeeded("last")
    gate.throttled(now, told_s, "later")
    assert gate.wait_s(now) <= told_s + 1.0


def test_a_late_answer_from_before_the_closing_does_not_open_it(gate: Gate) -> None:
    """Only the probe's own success opens the gate: an older answer proves nothing."""
    gate.throttled(100.0, 10.0)
    gate.succeeded()
    gate.started()

    assert gate.wait_s(200.0) == float("inf")


def test_many_failures_in_a_row_close_it_to_probes(gate: Gate) -> None:
    """An outage costs single probes with growing pauses, not a lane full of attempts."""
    fail_often(gate)
    pauses = []
    now = 100.0
    for _ in range(6):
        pauses.append(gate.wait_s(now))
        now += pauses[-1]
        gate.started()
        assert gate.wait_s(now) == float("inf")
        gate.failed(now)

    assert all(pause >= 1.0 for pause in pauses)
    assert pauses[-1] > pauses[0]
    assert pauses[-1] <= 60.0


def test_the_length_of_an_outage_is_known(gate: Gate) -> None:
    """It is counted from the first failure of the unbroken row."""
    gate.failed(100.0)
    gate.failed(160.0)

    assert gate.outage_s(200.0) == 100.0


def test_a_shut_gate_stays_shut(gate: Gate) -> None:
    """After a halt nothing starts, whatever answers still come in."""
    gate.shut = True
    gate.succeeded()

    assert gate.wait_s(1e9) == float("inf")


# PROBES, HOLDS AND REASONS


def test_an_old_failure_does_not_end_a_younger_probe(gate: Gate) -> None:
    """Requests that were out when the lane closed come back late: the probe stays the only one."""
    for ticket in ("old 1", "old 2", "old 3"):
        gate.started(ticket)

    gate.throttled(100.0, 10.0, "old 1")
    gate.started("probe")
    for late in (gate.answered, gate.idle, gate.succeeded):
        late("old 2")
        assert gate.wait_s(200.0) == float("inf")

    gate.failed(200.0, "old 3")
    assert gate.wait_s(300.0) == float("inf")
    gate.throttled(200.0, 5.0, "old 3")
    assert gate.wait_s(300.0) == float("inf")
    gate.succeeded("probe")
    assert gate.wait_s(300.0) == 0
    assert not gate.is_probing


def test_only_the_probes_own_throttles_make_the_waits_grow(gate: Gate) -> None:
    """Ten refusals of one burst are one refusal."""
    for _ in range(10):
        gate.throttled(100.0, None, "old")

    assert gate.wait_s(100.0) <= 33.0


def test_a_hold_is_no_closing(gate: Gate) -> None:
    """When the window opens everybody may go on: no probe first."""
    gate.hold_until(110.0, "limit")

    assert gate.wait_s(100.0) == 10.0
    assert not gate.is_probing
    assert gate.why == "limit"
    gate.started("a")
    assert gate.wait_s(110.0) == 0


def test_every_reason_counts_for_itself(gate: Gate) -> None:
    """Taking one closing back does not open what another one holds."""
    gate.close_until(1_000.0, "credits")
    gate.throttled(100.0, 50.0)
    assert gate.why == "credits"
    gate.reopen("credits")

    assert 50.0 <= gate.wait_s(100.0) <= 55.0
    assert gate.why == "throttled"
    assert gate.held_s("credits", 100.0) == 0
    assert gate.is_probing


# STRAY 429S


@pytest.fixture
def busy(gate: Gate) -> Gate:
    """Return a gate of a lane of which a good many requests were taken."""
    for n in range(START):
        gate.started(n)
        gate.succeeded(n)

    return gate


def test_a_stray_429_holds_its_own_row_only(busy: Gate) -> None:
    """One that left later is taken: the lane goes on at full pace, and the refused row waits."""
    for item in ("refused", "later", "last"):
        busy.started(item)

    own_s = busy.throttled(100.0, 5.0, "refused")
    assert busy.wait_s(100.0) > 0
    busy.succeeded("later")

    assert 5.0 <= own_s <= 6.0
    assert busy.wait_s(100.0) == 0
    assert busy.share(100.0) == 1.0
    assert not busy.is_probing


@pytest.mark.parametrize("told_s", [(30.0, 5.0, 5.0), (5.0, 30.0, 5.0), (5.0, 5.0, 30.0)])
def test_without_one_on_its_way_two_requests_try(busy: Gate, told_s: tuple[float, ...]) -> None:
    """Two trials and no third; both refused were a limit, for the longest wait that was named."""
    busy.started("refused")
    busy.throttled(100.0, told_s[0], "refused")
    for trial in ("first", "second"):
        assert busy.wait_s(100.0) == 0
        busy.started(trial)
        assert busy.is_probe(trial)

    assert busy.wait_s(100.0) > 0
    busy.throttled(100.0, told_s[1], "first")
    assert busy.wait_s(100.0) > 0
    busy.throttled(100.0, told_s[2], "second")

    assert busy.wait_s(100.0) >= 30.0
    assert busy.why == "throttled"
    assert busy.is_probing


def test_an_outage_behind_a_429_closes_the_lane_like_any_other(busy: Gate) -> None:
    """Trials that fail tell nothing of a limit, but eight failures in a row are an outage."""
    busy.started("refused")
    busy.throttled(100.0, 1.0, "refused")
    for n in range(FAILURES_MAX):
        assert busy.wait_s(100.0) == 0
        busy.started(n)
        busy.failed(100.0, n)

    assert busy.wait_s(100.0) > 0
    assert busy.why == "failing"
    assert busy.is_probing


def test_an_outage_behind_a_429_takes_nothing_off_the_wait_it_named(busy: Gate) -> None:
    """What is asked again sooner than the API asked may count as an offence."""
    busy.started("refused")
    busy.throttled(100.0, 50.0, "refused")
    for n in range(FAILURES_MAX):
        busy.started(n)
        busy.failed(100.0, n)

    assert busy.wait_s(100.0) >= 50.0
    assert busy.is_probing


def test_what_left_before_says_nothing_of_a_limit(busy: Gate) -> None:
    """Only a request that left after the refused one shows that the API takes any."""
    for item in ("before", "refused", "after"):
        busy.started(item)

    busy.throttled(100.0, 5.0, "refused")
    busy.succeeded("before")
    assert busy.is_probing
    assert not busy.is_probe("before")
    busy.succeeded("after")
    assert not busy.is_probing


def test_what_is_on_its_way_is_not_waited_for_without_end(busy: Gate) -> None:
    """An upload may take minutes: each two seconds one more tries all the same."""
    for item in ("refused", "upload", "another"):
        busy.started(item)

    busy.throttled(100.0, 30.0, "refused")
    trials = [object() for _ in range(3)]  # each stays: a gate knows it by its id
    for n, trial in enumerate(trials):
        now = 100.0 + n * TELL_S
        assert 0 < busy.wait_s(now) <= TELL_S
        assert busy.wait_s(now + TELL_S) == 0
        busy.started(trial)


def test_a_storm_closes_the_lane_without_a_trial(busy: Gate) -> None:
    """Those that are on their way tell enough; nothing more is sent before Retry-After."""
    out = [object() for _ in range(10)]
    for item in out:
        busy.started(item)

    for n, item in enumerate(out):
        assert busy.wait_s(100.0) >= (TELL_S if n else 0.0)
        busy.throttled(100.0, 10.0, item)

    assert busy.wait_s(100.0) >= 10.0


def test_some_refusals_are_never_taken_for_strays(busy: Gate) -> None:
    """A long wait, another worker's word, and a 503 close the lane as ever."""
    busy.started("a")
    busy.throttled(100.0, 5.0, "a")
    busy.started("trial")
    busy.throttled(100.0, 60.0, "trial")
    assert busy.wait_s(100.0) >= 60.0

    for tell in (
        lambda gate: gate.throttled(100.0, 60.0, "b"),
        lambda gate: gate.throttled(100.0, 10.0, "another worker"),
        lambda gate: (gate.failed(100.0, "b"), gate.throttled(100.0, 10.0, "b")),
    ):
        gate = Gate(Random(1))
        for n in range(START):
            gate.started(n)
            gate.succeeded(n)

        gate.started("b")
        tell(gate)
        assert gate.wait_s(100.0) >= 10.0
        assert gate.is_probing


def test_a_window_with_nothing_left_stays_held(busy: Gate) -> None:
    """What a header said of the limit holds, whatever is thought of the 429 beside it."""
    busy.started("refused")
    busy.started("later")
    busy.hold_until(140.0, "limit")
    busy.throttled(100.0, 5.0, "refused")
    busy.succeeded("later")

    assert busy.wait_s(100.0) == 40.0


def test_a_closing_for_another_reason_ends_the_doubt(busy: Gate) -> None:
    """A refused key or an empty account closes the lane: no answer of before opens it again."""
    busy.started("refused")
    busy.started("later")
    busy.throttled(100.0, 5.0, "refused")
    busy.close_until(160.0, "credits")
    busy.succeeded("later")

    assert busy.wait_s(100.0) == 60.0
    assert busy.is_probing


def test_others_are_told_of_a_limit_and_not_of_a_stray_429(busy: Gate) -> None:
    """What one worker doubts is not passed on; what it is sure of is, once."""
    told: list[str] = []
    busy.on_hold.append(lambda _until, why: told.append(why))
    for item in ("a", "b", "c", "d", "e"):
        busy.started(item)

    busy.throttled(100.0, 5.0, "a")
    busy.succeeded("b")
    assert told == []
    busy.throttled(101.0, 5.0, "c")
    busy.throttled(101.0, 5.0, "d")
    busy.throttled(101.0, 5.0, "e")
    assert told == ["throttled"]


def test_a_lane_that_searches_its_limit_doubts_nothing(busy: Gate) -> None:
    """Each refusal is what a search goes by."""
    busy.doubts_throttles = False
    busy.started("a")
    assert busy.throttled(100.0, 5.0, "a") == 0

    assert busy.wait_s(100.0) >= 5.0
