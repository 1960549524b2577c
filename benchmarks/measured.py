"""Processes that are measured: started on a core of their own, ended by their id, accounted for.

Rule: what is measured is a command as people call it, in a process of its own. Processor time is
the kernel's account of that process and of the children it waited for. This module stays small, for
a new process starts as a copy of this one and its peak memory is never below that copy's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent
KIB_PER_MIB = 1024
BATCHER = ("-m", "batcher")
NO_UVLOOP = (
    "-c",
    "import sys; sys.modules['uvloop'] = None; from batcher.cli import main; main()",
)
FAR_ABOVE = ("--rate", "100000/s", "--status-rate", "100000/s")
PICTURE = "https://shop.example/images/%08d/front.jpg"


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core the client has, and which the server; None: whatever the system gives it."""

    client: int | None = None
    server: int | None = None

    @classmethod
    def apart(cls) -> Cores:
        """Return one core for each, where there are two and the system lets us choose."""
        if sys.platform != "linux":
            return cls()

        found = sorted(os.sched_getaffinity(0))
        return cls(found[0], found[1]) if len(found) > 1 else cls()


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process took."""

    wall_s: float
    cpu_s: float
    peak_mib: float


class Process:
    """A running command of this Python."""

    def __init__(
        self,
        words: Sequence[str | Path],
        *,
        core: int | None = None,
        env: Mapping[str, str] | None = None,
        stdout: IO[bytes] | int = subprocess.DEVNULL,
    ) -> None:
        self._words = words
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # `end` closes it
        self._began = time.perf_counter()
        self._popen = subprocess.Popen(
            [sys.executable, *map(str, words)],
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            stdout=stdout,
            stderr=self._errors,
            preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
        )
        self.pid = self._popen.pid
        self.stdout = self._popen.stdout

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; asking does not take its account away."""
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is None

    def memory_mib(self, field: str = "VmRSS") -> float:
        """Return its resident memory now, or the most it had so far (`VmHWM`)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / KIB_PER_MIB

        return 0.0  # it has just ended

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def end(self, *codes: int) -> Spent:
        """Wait for its end. Exits if its code is none of *codes* (0 if none is told)."""
        _, status, usage = os.wait4(self.pid, 0)
        wall_s = time.perf_counter() - self._began
        self._popen.returncode = code = os.waitstatus_to_exitcode(status)
        with self._errors as errors:
            errors.seek(0)
            if code not in (codes or (0,)):
                words = " ".join(map(str, self._words))
                raise SystemExit(f"{words}: exit code {code}\n{errors.read().decode()}")

        unit = KIB_PER_MIB if sys.platform == "linux" else KIB_PER_MIB**2
        return Spent(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


@dataclass(frozen=True, slots=True)
class Api:
    """The server of `server.py`, in a process of its own."""

    url: str

    def counts(self) -> dict[str, int]:
        """Return how many `submits` and `reads` came in."""
        with urllib.request.urlopen(f"{self.url}/count", timeout=60) as answer:
            counts: dict[str, int] = json.load(answer)
            return counts

    def requests(self) -> int:
        """Return how many requests came in."""
        return sum(self.counts().values())


@contextmanager
def fast_api(job_s: float, core: int | None = None) -> Iterator[Api]:
    """Serve inside the block."""
    server = Process([HERE / "server.py", "--job-s", str(job_s)], core=core, stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        yield Api(f"http://127.0.0.1:{int(server.stdout.readline())}")
    finally:
        server.stdout.close()
        server.signal(15)
        server.end(-15)


def write_manifest(path: Path, rows: int) -> Path:
    """Write a manifest of so many rows, each with its own picture."""
    with path.open("w") as file:
        for n in range(1, rows + 1):
            file.write(f'{{"id":"sku-{n:08d}","file_url":"{PICTURE % n}"}}\n')

    return path


def run_words(manifest: Path, directory: Path, url: str, *flags: str) -> list[str]:
    """Return the command that runs a manifest as fast as it can."""
    where = ("--provider", "removit", "--base-url", url, "--run-dir", str(directory))
    return ["run", str(manifest), *where, *FAR_ABOVE, "--quiet", *flags]


def run_env(folder: Path) -> dict[str, str]:
    """Return a run's environment; what it learns of the API stays in *folder*."""
    return {"REMOVIT_API_KEY": "test-key", "BATCHER_STATE_DIR": str(folder / "state")}
