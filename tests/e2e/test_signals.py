"""Signals at any moment, and two processes that want the same run at the same moment.

`BATCHER_SIGNALS=100` sends more of them, `BATCHER_OWNERS=50` starts more pairs; `make soak` does.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path
from random import Random
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, Signals

import pytest

from tests.e2e.world import World, finish, wait_until, world

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

SIGNALS = int(os.environ.get("BATCHER_SIGNALS", "4"))
OWNERS = int(os.environ.get("BATCHER_OWNERS", "1"))
ROWS_EACH = 100
FAULTS = "duration=lognormal:0.6:0.6,latency=lognormal:0.1:0.5,drop_after=0.01,lag=0.1"

# What is sent, and how a process may end by it: told, or (before it listens, or by KILL) killed.
KINDS: tuple[tuple[tuple[Signals, ...], frozenset[int]], ...] = (
    ((SIGINT,), frozenset({130, -SIGINT})),
    ((SIGTERM,), frozenset({143, -SIGTERM})),
    ((SIGINT, SIGINT), frozenset({130, -SIGINT})),
    ((SIGTERM, SIGKILL), frozenset({143, -SIGTERM, -SIGKILL})),
    ((SIGHUP,), frozenset({143, -SIGHUP})),
)
FINISHING = re.compile(r"finishing (\d+) running submit")


def test_signals_at_any_moment_cost_nothing(tmp_path: Path) -> None:
    """Whatever comes whenever: the code says so, nothing new is sent, and a resume ends it all."""
    rng = Random(143)
    rows = SIGNALS * ROWS_EACH
    heard = 0
    with world(tmp_path, faults=FAULTS) as here:
        here.write_urls(rows)
        for n in range(SIGNALS):
            signs, codes = KINDS[n % len(KINDS)]
            process = here.start(*here.command("--rate", "100/s"))
            heard += leave(here, process, signs, rng)
            ended = finish(process)
            assert ended.returncode in codes, (signs, ended.returncode, ended.stderr)
            assert "Traceback" not in ended.stderr, ended.stderr

        ended = here.go("--rate", "500/s")

        assert heard >= SIGNALS // 2
        assert ended.returncode in (0, 3), ended.stderr
        here.assert_the_promise(rows)


def leave(
    here: World, process: subprocess.Popen[str], signs: tuple[Signals, ...], rng: Random
) -> bool:
    """Send the signals, the first after a while; True if the process said what it does about it.

    From that moment on no submit arrives at the API but those that were open then.
    """
    if rng.random() < 0.8:
        submits = here.counts()["submits"] + rng.randrange(1, ROWS_EACH // 2)
        wait_until(
            lambda: process.poll() is not None or here.counts()["submits"] >= submits, "submits"
        )
    else:
        time.sleep(rng.uniform(0.0, 1.0))  # it may not even listen yet

    for sign in signs:
        process.send_signal(sign)
        time.sleep(rng.choice((0.0, 0.01, 0.3)))

    open_then = finishing(process)
    said_at = time.time()
    process.wait()
    if open_then is None:
        return False

    late = [at for at in here.ledger()["submits_at"] if at > said_at]
    assert len(late) <= open_then, f"{len(late)} submits after the signal, {open_then} were open"
    return True


def finishing(process: subprocess.Popen[str]) -> int | None:
    """Read what a process says up to how many submits it waits for; None if it never says it."""
    assert process.stderr is not None
    said = map(FINISHING.search, iter(process.stderr.readline, ""))
    return next((int(match[1]) for match in said if match), None)


def test_two_processes_at_once_are_one_owner(tmp_path: Path) -> None:
    """Started at the same instant, in a new run too: one works, the other leaves with 5."""
    with world(tmp_path, faults="duration=0.3,latency=0.01") as here:
        for turn in range(1, OWNERS + 1):
            here.write_urls(turn * 20)
            pair = [here.start(*here.command("--rate", "500/s")) for _ in range(2)]
            ended = [finish(process) for process in pair]
            codes = sorted(process.returncode for process in ended)
            assert codes == [0, 5], [process.stderr for process in ended]
            here.assert_the_promise(turn * 20)
