"""Exit codes: the published table, row by row."""

from __future__ import annotations

import errno
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals
from typing import Any

import click
import pytest

from batcher.cli.exits import run_exit_code
from batcher.cli.failure import Crashed, exit_code_of, without_keys
from batcher.core.errors import Fenced, IllegalMove, RunBusy, StorageError, UsageError
from batcher.core.model import StopReason
from batcher.report.summary import Stopped, Summary

CAME_TO: list[dict[str, Any]] = [{"succeeded": 3}, {"failed": 1, "pending": 2}]
RESUMABLE = [reason for reason in StopReason if reason is not StopReason.INTERRUPTED]


@pytest.mark.parametrize(
    ("summary", "code"),
    [
        ({"rows": 3, "succeeded": 3}, 0),
        ({}, 0),  # an empty manifest
        ({"rows": 3, "succeeded": 2, "failed": 1}, 3),
        ({"rows": 3, "succeeded": 2, "exhausted": 1}, 3),
        ({"rows": 3, "succeeded": 2, "in_doubt": 1}, 3),
        ({"rows": 3, "succeeded": 2, "pending": 1}, 3),  # it vanished from the manifest
    ],
)
def test_a_run_that_came_to_its_end(summary: dict[str, Any], code: int) -> None:
    """0 only if every row succeeded."""
    assert run_exit_code(Summary(state="finished", **summary)) == code


@pytest.mark.parametrize("reason", RESUMABLE)
def test_a_run_that_stopped(reason: StopReason) -> None:
    """4 for every reason, whatever its rows came to."""
    for rows in CAME_TO:
        assert run_exit_code(Summary(stopped=Stopped(reason, "why"), **rows)) == 4


@pytest.mark.parametrize(("signal", "code"), [(SIGINT, 130), (SIGTERM, 143), (SIGHUP, 143)])
def test_a_run_that_was_interrupted(signal: Signals, code: int) -> None:
    """130 or 143, also if it was stopping for another reason already."""
    for reason in StopReason:
        assert run_exit_code(Summary(stopped=Stopped(reason, "why")), signal) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no"), 2),
        (click.UsageError("no"), 2),
        (click.BadParameter("no"), 2),
        (RunBusy("in use"), 5),
        (Fenced("taken over"), 5),
        (StorageError("disk"), 74),
        (OSError(errno.ENOSPC, "No space left on device", "x"), 74),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), 2),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 2),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (IllegalMove("pending", "accept"), 1),
        (RuntimeError("oops"), 1),
        (ExceptionGroup("of tasks", [ValueError("x"), ExceptionGroup("y", [UsageError("no")])]), 2),
        (BaseExceptionGroup("of tasks", [KeyboardInterrupt()]), 130),
        (Crashed("Traceback\nValueError: x\n", Path("log.jsonl")), 1),
    ],
)
def test_whose_fault_it_was(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind of failure has its code; only a bug shows a traceback, on standard error."""
    assert exit_code_of(error) == code

    out, err = capsys.readouterr()
    assert out == ""
    assert ("a bug in batcher" in err) == (code == 1)
    assert len(err.splitlines()) <= 1 or code == 1


def test_no_key_in_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The value of a key variable is taken out of whatever a bug prints."""
    monkeypatch.setenv("REMOVIT_API_KEY", "s3cret-value")

    assert exit_code_of(RuntimeError("sent s3cret-value to nobody")) == 1
    assert "s3cret" not in capsys.readouterr().err
    assert without_keys("s3cret-value") == "***"
