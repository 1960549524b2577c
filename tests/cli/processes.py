"""batcher and the simulator as real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEY = "s3cret-key-of-the-test"
LIMIT_S = 60.0


@dataclass
class Api:
    """A simulated API. `counts` is its ledger, once it has ended."""

    base_url: str
    counts: dict[str, int] = field(default_factory=dict)


@dataclass
class Shell:
    """Runs batcher in one folder, against one API, with a key in the environment."""

    folder: Path
    base_url: str = ""
    key: str = KEY

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment of the commands: nobody's settings, our key."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith("BATCHER_")}
        keys = {"REMOVIT_API_KEY": self.key, "DEAPI_API_KEY": self.key}
        return {**ours, **keys, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}

    def start(self, *words: str, pipe: bool = False) -> subprocess.Popen[str]:
        """Start a command whose output is read while it runs; *pipe*: its input stays open."""
        return subprocess.Popen(
            [sys.executable, "-m", "batcher", *words],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.PIPE if pipe else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def do(self, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "batcher", *words],
            cwd=self.folder,
            env=self.environ,
            input=given,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def run_words(self, *more: str, manifest: str = "m.jsonl") -> list[str]:
        """Return `run` against the API, fast."""
        return [
            *("run", manifest, "--provider", "removit", "--base-url", self.base_url),
            *("--rate", "100/s", *more),
        ]

    def write_manifest(self, rows: int, name: str = "m.jsonl") -> None:
        """Write rows r1, r2, … ."""
        lines = (
            f'{{"id":"r{n}","file_url":"https://a.example/{n}.jpg"}}\n' for n in range(1, rows + 1)
        )
        (self.folder / name).write_text("".join(lines))


@contextmanager
def simulated(faults: str, *, seed: int = 0, provider: str = "removit") -> Iterator[Api]:
    """Serve a simulated API from a process of its own."""
    words = ["simulate", "--provider", provider, "--seed", str(seed), "--key", KEY]
    child = subprocess.Popen(
        [sys.executable, "-m", "batcher", *words, "--faults", faults],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout is not None
    try:
        export, command = child.stdout.readline(), child.stdout.readline()
        assert export == f"export {provider.upper()}_API_KEY={KEY}\n"
        found = re.search(r"--base-url (\S+)", command)
        assert found is not None, command
        api = Api(found[1])
        yield api
    finally:
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=LIMIT_S)

    assert child.returncode == 0
    for line in out.splitlines():
        count = re.fullmatch(r"(.+?) +([\d,]+)(  \(.*\))?", line)
        assert count is not None, line
        api.counts[count[1]] = int(count[2].replace(",", ""))


def read_until(child: subprocess.Popen[str], event: str, times: int = 1) -> None:
    """Read a command's events (`--json`) until one has come so many times."""
    assert child.stdout is not None
    for line in child.stdout:
        times -= f'"event":"{event}"' in line
        if not times:
            return

    raise AssertionError(f"{event} never came; {child.stderr.read() if child.stderr else ''}")
