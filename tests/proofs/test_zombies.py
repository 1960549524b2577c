"""A process that was stopped, taken over, and wakes up again must not act for the run any more."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGINT, SIGSTOP

import pytest

from tests.e2e.world import finish, wait_until, world
from tests.support.figures import Figures

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

ROUNDS = int(os.environ.get("BATCHER_ZOMBIES", "1"))
ROWS_PER_ROUND = 500


def test_a_zombie_pays_for_nothing(tmp_path: Path, figures: Figures) -> None:
    """Its locks are gone, another process went on: it finds a newer epoch and leaves with 5."""
    rng = Random(5)
    rows = ROUNDS * ROWS_PER_ROUND
    with world(tmp_path, faults="duration=0.3,latency=0.01") as here:
        here.write_urls(rows)
        for _ in range(ROUNDS):
            before = here.counts()["submits"]
            zombie = here.start(*here.command("--rate", "100/s"))
            alive_until = before + rng.randrange(20, 120)
            wait_until(lambda until=alive_until: here.counts()["submits"] > until, "submits")
            zombie.send_signal(SIGSTOP)
            assert here.go("--rate", "100/s").returncode == 5  # its locks are still held
            for name in ("run.lock", ".alive"):
                (here.run / name).unlink()

            heir = here.start(*here.command("--rate", "20/s"))
            wait_until(lambda: (here.run / ".alive").exists(), "the heir has begun")
            taken = here.counts()["submits"]
            wait_until(
                lambda of=heir, at=taken: of.poll() is not None or here.counts()["submits"] > at,
                "the heir submits, or is refused",
            )
            has_taken_over = here.counts()["submits"] > taken
            zombie.send_signal(SIGCONT)
            if not has_taken_over:  # the heir was refused: it is the owner still, and would go on
                zombie.send_signal(SIGINT)

            woken = finish(zombie)
            heir.send_signal(SIGINT)
            refused = "another process writes" in finish(heir).stderr
            assert has_taken_over or refused  # it was stopped in the middle of a transaction
            assert not has_taken_over or woken.returncode == 5, woken.stderr

        ended = here.go("--rate", "1000/s")
        figures.add("stopped processes that woke up", {"rounds": ROUNDS, **here.losses()})
        assert ended.returncode in (0, 3), ended.stderr
        here.assert_the_promise(rows)
