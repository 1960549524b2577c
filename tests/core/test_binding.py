"""What holds a run back: by Little's law, one thing at a time, and without flickering."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batcher.core.binding import (
    LASTS_S,
    TEXT_S,
    Binding,
    By,
    Flow,
    Scene,
    Watch,
    advice_of,
    binding_of,
)

FULL = Flow(per_s=4.9, allowed_per_s=5.0, limit="300/m", waiting=150, open=16, open_max=16)
IDLE = Flow(per_s=1.0, allowed_per_s=5.0, limit="300/m")
SCENE = Scene(submit=FULL, status=Flow(per_s=9.0), in_flight=162, in_flight_max=200, reading=True,
              ended_per_s=4.0)  # fmt: skip
FILLED = replace(SCENE, submit=IDLE, in_flight=200)


@pytest.mark.parametrize(
    ("scene", "by", "text"),
    [
        (SCENE, By.SUBMIT, "submit limit (300/m)"),
        (replace(SCENE, submit=replace(FULL, waiting=17)), By.SUBMIT, "submit limit (300/m)"),
        (replace(SCENE, submit=replace(FULL, per_s=2.0)), By.CONNECTIONS, "16 submits are open"),
        (
            replace(SCENE, submit=replace(FULL, per_s=0.0, open=0)),
            By.SUBMIT,
            "submit limit",
        ),
        (replace(SCENE, submit=replace(IDLE, is_used_up=True)), By.SUBMIT, "submit limit"),
        (replace(SCENE, submit=IDLE), By.MANIFEST, "reading the manifest"),
        (replace(SCENE, submit=IDLE, disk_share=0.8), By.DISK, "the journal is slow"),
        (replace(SCENE, submit=IDLE, cpu_share=0.97), By.PROCESSOR, "one core is busy"),
        (replace(SCENE, price=Flow(limit="1/s", waiting=9, open=1)), By.PRICE, "price limit (1/s)"),
        (FILLED, By.IN_FLIGHT, "in-flight limit (200): its jobs take their time, about 50 s each"),
        (
            replace(FILLED, status=Flow(per_s=0.83, allowed_per_s=0.83, limit="50/m,200/d")),
            By.STATUS,
            "status limit (50/m,200/d)",
        ),
        (
            replace(FILLED, status=Flow(limit="200/d", is_used_up=True)),
            By.STATUS,
            "status limit (200/d)",
        ),
        (
            replace(FILLED, download=Flow(per_s=4.0, waiting=150, open=8)),
            By.DOWNLOADS,
            "downloads: 150 wait",
        ),
        (replace(FILLED, cpu_share=0.97), By.PROCESSOR, "one core"),
        (
            replace(FILLED, reading=False),
            By.SERVICE,
            "the service: waiting for its jobs, about 50 s each",
        ),
        (replace(FILLED, reading=False, ended_per_s=0.0), By.SERVICE, "waiting for its jobs"),
        (replace(SCENE, no_room="the disk: it is full", closed="x"), By.DISK, "the disk: it is"),
        (replace(SCENE, closed="status lane closed (throttled)"), By.CLOSED, "status lane closed"),
        (replace(SCENE, credits="the credits are used up"), By.CREDITS, "credits are used up"),
        (replace(SCENE, stopping="stopping: waiting"), By.STOPPING, "stopping: waiting"),
    ],
)
def test_the_one_that_binds(scene: Scene, by: By, text: str) -> None:
    """Each scene has one answer, and it says what would be larger."""
    found = binding_of(scene)

    assert found.by is by
    assert text in found.text


SUBMIT = Binding(By.SUBMIT, "submit limit (300/m)", "300/m")
SERVICE = Binding(By.SERVICE, "the service")
CLOSED = Binding(By.CLOSED, "submit lane closed (throttled)")


def test_a_finding_must_last_to_be_shown() -> None:
    """What comes and goes from second to second leaves the line as it is."""
    watch = Watch()
    watch.saw(SUBMIT, -LASTS_S, 1.0)
    shown = []
    for second in range(20):
        watch.saw(SERVICE if second % 2 else SUBMIT, float(second), 1.0)
        assert watch.shown is not None
        shown.append(watch.shown.by)

    assert set(shown) == {By.SUBMIT}
    for second in range(20, 20 + int(LASTS_S) + 1):
        watch.saw(SERVICE, float(second), 1.0)

    assert watch.shown == SERVICE


def test_the_first_seconds_are_shown_as_they_are() -> None:
    """Before the first row is submitted it reads the manifest; nobody wants to see that longer."""
    watch = Watch()
    watch.saw(Binding(By.MANIFEST, "reading the manifest"), 0.0, 0.1)
    watch.saw(SUBMIT, 1.0, 1.0)

    assert watch.shown == SUBMIT


def test_what_a_person_must_know_is_shown_at_once() -> None:
    """A lane that closes, and one that opens again, are no flicker."""
    watch = Watch()
    watch.saw(SUBMIT, -LASTS_S, 1.0)
    for second, (seen, shown) in enumerate(
        [(SUBMIT, SUBMIT), (CLOSED, CLOSED), (SUBMIT, SUBMIT), (SERVICE, SUBMIT)]
    ):
        watch.saw(seen, float(second), 1.0)
        assert watch.shown == shown


def test_numbers_move_every_few_seconds() -> None:
    """The same thing in other words takes its place only after a while."""
    watch = Watch()
    texts = set()
    for second in range(int(4 * TEXT_S)):
        watch.saw(replace(SERVICE, text=f"the service: {second}"), float(second), 1.0)
        assert watch.shown is not None
        texts.add(watch.shown.text)

    assert len(texts) == 4


def test_shares_are_of_the_time_not_of_what_was_shown() -> None:
    """Every second counts for what bound in it; waiting for the end counts for nothing."""
    watch = Watch()
    for second in range(100):
        watch.saw(SERVICE if second % 4 == 0 else SUBMIT, float(second), 1.0)

    watch.saw(Binding(By.STOPPING, "stopping"), 100.0, 50.0)
    held = [(one.by, one.limit, one.seconds) for one in watch.held()]
    assert held == [(By.SUBMIT, "300/m", 75.0), (By.SERVICE, "", 25.0)]


@pytest.mark.parametrize(
    ("by", "rate", "can_call", "word"),
    [
        (By.SUBMIT, "given", False, "--rate"),
        (By.SUBMIT, "published", False, "the published one"),
        (By.SUBMIT, "ours", False, "publishes none"),
        (By.SUBMIT, "found", False, ""),
        (By.STATUS, "given", True, "webhooks"),
        (By.STATUS, "given", False, "--status-rate"),
        (By.IN_FLIGHT, "given", False, "--in-flight"),
        (By.CONNECTIONS, "given", False, "--connections"),
        (By.SERVICE, "given", False, ""),
    ],
)
def test_only_what_helps_is_advised(by: By, rate: str, can_call: bool, word: str) -> None:
    """The flag that is in the way, webhooks where there are any, and nothing for the service."""
    advice = advice_of(by, rate, can_call=can_call)

    assert word in advice
    assert bool(advice) == bool(word)
    assert can_call or "webhooks" not in advice


def test_a_rate_that_fades_says_nothing_of_how_long_jobs_take() -> None:
    """When hardly anything ends, no length is told: it would be of years."""
    assert replace(SCENE, in_flight=1, ended_per_s=1e-9).stay_s is None
    assert replace(SCENE, in_flight=100, ended_per_s=2.0).stay_s == 50.0
