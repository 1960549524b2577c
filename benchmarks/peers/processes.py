"""The processes of a run: the server, and one or two lives of a peer with what they took.

Rule: a peer gets a session of its own, so that ending it ends what it started and nothing else, and
an environment with nothing of ours in it: a path to programs and its own folder as its home.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers import server
from benchmarks.peers.environments import ROOT

PATIENCE = 12  # times the ideal, then a peer is killed: its exit code says so
LOOK_S = 0.05


@dataclass(slots=True)
class Life:
    """What the processes of one run took, together."""

    cpu_s: float = 0.0
    rss_mib: float = 0.0
    codes: list[int] = field(default_factory=list)


@contextmanager
def serving(faults: str) -> Iterator[str]:
    """Run the server in a process of its own; yield its base URL."""
    command = [sys.executable, str(Path(server.__file__)), "--faults", faults]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def ledger_of(url: str) -> dict[str, Any]:
    """Return what the server noted: its counts, and every job by its id."""
    with urllib.request.urlopen(f"{url}/ledger", timeout=30) as answer:
        ledger: dict[str, Any] = json.load(answer)

    return ledger


def live(
    command: list[str],
    folder: Path,
    life: Life,
    ideal_s: float,
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Run a command to its end, until *is_over* says to kill it, or until patience ends."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    until = time.monotonic() + PATIENCE * ideal_s + 30
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )

    try:
        status, usage = _followed(process.pid, life, lambda: time.monotonic() > until or is_over())
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise

    process.returncode = os.waitstatus_to_exitcode(status)
    life.codes.append(process.returncode)
    life.cpu_s += usage.ru_utime + usage.ru_stime


def _followed(
    pid: int, life: Life, is_over: Callable[[], bool]
) -> tuple[int, resource.struct_rusage]:
    while True:
        life.rss_mib = max(life.rss_mib, _peak_mib(pid))
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, usage

        if is_over():
            os.killpg(pid, signal.SIGKILL)  # the session that `live` started
            _, status, usage = os.wait4(pid, 0)
            return status, usage

        time.sleep(LOOK_S)


def _peak_mib(pid: int) -> float:
    """Return the most memory a process has had so far; rusage would count ours at its start."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0

    peaks = [line.split()[1] for line in text.splitlines() if line.startswith("VmHWM")]
    return int(peaks[0]) / 1024 if peaks else 0.0
