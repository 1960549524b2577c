"""`kill -9` at any moment, then the same command again.

`BATCHER_KILLS=500` kills more often; `make soak` does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, Signals

import pytest

from tests.e2e.world import KEY, World, environment, finish, wait_until, world
from tests.support.figures import Figures

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

KILLS = int(os.environ.get("BATCHER_KILLS", "24"))
ROWS_PER_KILL = 40
RESULTS_BYTES_MAX = 24_000  # of a life: some 30 rows, however long a start takes
FAULTS = "duration=lognormal:0.6:0.6,latency=lognormal:0.01:1,drop_after=0.01,503=0.01,lag=0.1"


def test_random_kills_cost_nothing(tmp_path: Path, figures: Figures) -> None:
    """Whenever it dies: one job a row, every paid job known, every row in one whole file."""
    rng = Random(20261122)
    rows = KILLS * ROWS_PER_KILL
    with world(tmp_path, faults=FAULTS) as here:
        here.write_urls(rows)
        killed = 0
        for _ in range(KILLS):
            if rng.random() < 0.2:  # most likely while it starts
                code = here.go_for(rng.uniform(0.0, 1.0), SIGKILL, "--rate", "120/s")
            else:
                life = rng.randrange(1, RESULTS_BYTES_MAX)
                code = here.go_until_grown(life, SIGKILL, "--rate", "120/s")

            killed += code == -SIGKILL

        begun = len(here.outcomes())
        ended = here.go("--rate", "500/s")

        found = {"kills": killed, "rows": rows, "ended by then": begun, **here.losses()}
        figures.add("kill -9 at random times", found)
        assert killed >= min(KILLS, 20)
        assert ended.returncode in (0, 3), ended.stderr
        here.assert_the_promise(rows)


@pytest.mark.parametrize(
    ("sign", "code"), [(SIGINT, 130), (SIGTERM, 143), (SIGHUP, 143)], ids=["INT", "TERM", "HUP"]
)
def test_a_signal_ends_a_run_gracefully(sign: Signals, code: int, tmp_path: Path) -> None:
    """Open submits are answered, none takes their place, the code says so, a resume ends it."""
    with world(tmp_path, faults="latency=lognormal:1:0.6,duration=1") as here:
        here.write_urls(100)
        assert here.go_until(8, sign, "--rate", "1000/s", "--connections", "8") == code
        assert here.counts()["submits"] == here.counts()["jobs"] == 8
        assert here.records("in_doubt") == []

        here.change("plan", "duration=0.5")
        ended = here.go("--rate", "500/s")

        assert ended.returncode == 0, ended.stderr
        here.assert_the_promise(100)


def test_nohup_is_obeyed(tmp_path: Path) -> None:
    """A run that was started to survive a hang-up survives it."""
    with world(tmp_path, faults="duration=0.5") as here:
        here.write_urls(120)
        words = ["nohup", sys.executable, "-m", "batcher", *here.command("--rate", "60/s")]
        process = subprocess.Popen(
            words,
            cwd=tmp_path,
            env=environment(here.api, KEY),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: here.counts()["submits"] > 5, "submits")
        process.send_signal(SIGHUP)

        assert finish(process).returncode == 0
        here.assert_the_promise(120)


def test_two_signals_end_it_now(tmp_path: Path) -> None:
    """The second signal waits for nothing, and still loses nothing."""
    with world(tmp_path, faults="latency=20,duration=1") as here:
        here.write_urls(100)
        process = here.start(*here.command("--rate", "60/s"))
        assert process.stderr is not None
        process.stderr.readline()
        here_submits(here, 5)
        process.send_signal(SIGINT)
        assert "again to stop now" in process.stderr.readline()
        process.send_signal(SIGINT)
        process.communicate(timeout=60)

        assert process.returncode == 130
        here.change("plan", "duration=0.2")
        assert here.go("--rate", "500/s").returncode == 3
        here.assert_the_promise(100)
        assert here.records("in_doubt")


def here_submits(here: World, count: int) -> None:
    """Wait until the API has seen so many submits."""
    wait_until(lambda: here.counts()["submits"] >= count, f"{count} submits")


def test_a_deleted_log_of_the_journal_is_refused(tmp_path: Path) -> None:
    """After a kill the write-ahead log holds paid job ids: without it nothing is sent."""
    with world(tmp_path, faults="duration=60") as here:
        here.write_urls(200)
        here.go_until(50, SIGKILL, "--rate", "100/s")
        before = here.counts()
        (here.run / "journal.db-wal").unlink()
        refused = here.go("--rate", "100/s")

        assert refused.returncode == 74
        assert "journal.db-wal is gone" in refused.stderr
        assert here.counts() == before
        assert before["jobs"] > 0
