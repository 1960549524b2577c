"""A command at the end of a run: bounded, without a shell, its failure told and no more."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from batcher.adapters.finish import Interruption, run_command

run = partial(run_command, interruption=Interruption())
ENVIRON = {"PATH": os.environ["PATH"], "MARK": "a b"}


def test_it_gets_its_words_its_environment_and_its_input(tmp_path: Path) -> None:
    """No shell reads the words, and nothing of our own environment is there but what is given."""
    script = (
        "import os, sys; open(sys.argv[1], 'w').write("
        "repr((sys.argv[2:], os.environ.get('MARK'), os.environ.get('HOME'), sys.stdin.read())))"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "seen"), "$MARK; echo", "*"]

    assert run(words, ENVIRON, b"given\n", timeout_s=30) is None
    expected = (["$MARK; echo", "*"], "a b", None, "given\n")
    assert (tmp_path / "seen").read_text() == repr(expected)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sh", "-c", "exit 7"], "ended with exit code 7"),
        (["sh", "-c", "kill -9 $$"], "was ended by signal 9"),
        (["no-such-command-anywhere"], "cannot be started: No such file or directory"),
        (["with\0nul"], "cannot be started"),
    ],
)
def test_a_failure_is_told(words: list[str], told: str) -> None:
    """Whatever goes wrong is one text and no exception."""
    assert told in (run(words, ENVIRON, b"", timeout_s=30) or "")


def test_a_command_that_reads_nothing_is_fine() -> None:
    """More on its input than a pipe holds does not hang and is no failure."""
    assert run(["true"], ENVIRON, b"x" * 1_000_000, timeout_s=30) is None


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """A child of the command that ignores the polite signal is gone too."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ours = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    # The grandchild holds the pipe open for as long as it lives.
    script = f"exec 3>{pipe}; trap '' TERM; (trap '' TERM; sleep 600) & wait"
    told = run(["sh", "-c", script], ENVIRON, b"", timeout_s=0.2)

    assert told == "took longer than 0.2 s and was ended"
    os.set_blocking(ours, True)
    assert os.read(ours, 1) == b""  # which comes when nobody has it open any more
    os.close(ours)


def test_an_interruption_is_never_missed() -> None:
    """Before the command is started, and while it runs: politely first, then at once."""
    early, polite, rude = Interruption(), Interruption(), Interruption()
    early()
    before = run_command(["true"], ENVIRON, b"", timeout_s=30, interruption=early)
    # Each command sends us the signal that a person would send.
    ends = {signal.SIGUSR1: polite, signal.SIGUSR2: rude}
    kept = {number: signal.signal(number, handler) for number, handler in ends.items()}
    try:
        words = ["sh", "-c", "kill -USR1 $PPID; sleep 600"]
        once = run_command(words, ENVIRON, b"", timeout_s=30, interruption=polite)
        words = ["sh", "-c", "trap '' TERM; kill -USR2 $PPID; sleep 1; kill -USR2 $PPID; sleep 600"]
        twice = run_command(words, ENVIRON, b"", timeout_s=30, interruption=rude)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)

    assert (before, once, twice) == (
        "was not run: interrupted",
        "was interrupted",
        "was interrupted",
    )
    assert (polite.came, rude.came) == (1, 2)
