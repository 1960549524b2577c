"""Real processes on a real machine: a simulated API, the command line, and what it leaves.

Nothing here looks inside batcher: it starts processes, sends signals, reads files, and asks the API
for its ledger.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OUTCOMES = ("succeeded", "failed", "exhausted", "in_doubt")
LONGEST_S = 120.0  # of any process here: a bound, so that a hang fails and does not stay
KEY = "test-key"
KEY_ENV = {"removit": "REMOVIT_API_KEY", "deapi": "DEAPI_API_KEY"}


class World:
    """One simulated API, one manifest, one run directory."""

    def __init__(self, folder: Path, api: str, url: str) -> None:
        self.folder = folder
        self.api = api
        self.url = url
        self.manifest = folder / "rows.jsonl"
        self.run = folder / "run"

    # --- What the API knows ----------------------------------------------------------------------

    def ledger(self) -> dict[str, Any]:
        """Return the API's own books."""
        with urllib.request.urlopen(f"{self.url}/_simulator/ledger", timeout=30) as answer:
            books: dict[str, Any] = json.load(answer)
            return books

    def counts(self) -> dict[str, int]:
        """Return the totals of the API's books."""
        counts: dict[str, int] = self.ledger()["counts"]
        return counts

    def change(self, what: str, text: str) -> None:
        """Change the API's `plan` or `credits`."""
        address = f"{self.url}/_simulator/{what}"
        with urllib.request.urlopen(address, data=text.encode(), timeout=30):
            pass

    # --- What a person does ----------------------------------------------------------------------

    def write_urls(self, count: int) -> None:
        """Write a manifest of so many rows, each with its own URL."""
        rows = (
            {"id": f"sku-{n}", "file_url": f"https://shop.example/{n}.jpg"} for n in range(count)
        )
        self.manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def command(self, *flags: str) -> list[str]:
        """Return the command line of the run."""
        return [
            *("run", str(self.manifest), "--provider", self.api, "--base-url", self.url),
            *("--run-dir", str(self.run), *flags),
        ]

    def start(self, *words: str, key: str | None = KEY) -> subprocess.Popen[str]:
        """Start `batcher` and return the process."""
        return subprocess.Popen(
            [sys.executable, "-m", "batcher", *words],
            cwd=self.folder,
            env=environment(self.api, key),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def batcher(self, *words: str, key: str | None = KEY) -> subprocess.CompletedProcess[str]:
        """Run `batcher` to its end."""
        process = self.start(*words, key=key)
        return finish(process)

    def go(self, *flags: str) -> subprocess.CompletedProcess[str]:
        """Run or resume the run to its end."""
        return self.batcher(*self.command(*flags))

    def go_for(self, seconds: float, sign: signal.Signals, *flags: str) -> int | None:
        """Run for a while, then send a signal; return the exit code."""
        process = self.start(*self.command(*flags))
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(sign)

        return finish(process).returncode

    def go_until_grown(self, size_bytes: int, sign: signal.Signals, *flags: str) -> int | None:
        """Run until its results have grown by so much, then send a signal; return the exit code."""
        file = self.run / "succeeded.jsonl"
        before = file.stat().st_size if file.exists() else 0
        process = self.start(*self.command(*flags))
        wait_until(
            lambda: (
                process.poll() is not None
                or (file.exists() and file.stat().st_size >= before + size_bytes)
            ),
            f"{size_bytes} bytes of results",
        )
        process.send_signal(sign)
        return finish(process).returncode

    def go_until(self, submits: int, sign: signal.Signals, *flags: str) -> int | None:
        """Run until the API has seen so many submits, then send a signal; return the exit code."""
        process = self.start(*self.command(*flags))
        wait_until(
            lambda: process.poll() is not None or self.counts()["submits"] >= submits,
            f"{submits} submits",
        )
        process.send_signal(sign)
        return finish(process).returncode

    # --- What is left ----------------------------------------------------------------------------

    def records(self, outcome: str) -> list[dict[str, Any]]:
        """Return the records of an outcome file; every line must be whole and JSON."""
        path = self.run / f"{outcome}.jsonl"
        text = path.read_bytes() if path.exists() else b""
        assert not text or text.endswith(b"\n"), f"{path} ends in a torn line"
        return [json.loads(line) for line in text.splitlines()]

    def outcomes(self) -> dict[str, str]:
        """Return the outcome of every row; two records of one row fail the test."""
        found = [
            (record["id"], outcome) for outcome in OUTCOMES for record in self.records(outcome)
        ]
        twice = [row for row, count in Counter(row for row, _ in found).items() if count > 1]
        assert not twice, f"rows with two records: {twice[:5]}"
        return dict(found)

    def counts_of_rows(self) -> dict[str, int]:
        """Return how many rows have each outcome."""
        return dict(Counter(self.outcomes().values()))

    def losses(self) -> dict[str, int]:
        """Return what must be nothing, for the figures of a proof."""
        books = self.ledger()
        twice, lost = self._paid_twice(books), self._lost(books)
        return {"paid twice": len(twice), "jobs lost": len(lost)}

    def assert_the_promise(self, rows: int) -> None:
        """No row was paid twice, no paid job is forgotten, every row has one outcome."""
        books = self.ledger()
        twice, lost = self._paid_twice(books), self._lost(books)
        assert not twice, f"paid twice: {twice[:5]}"
        assert not lost, f"paid for and forgotten: {lost[:5]}"
        assert set(self.outcomes()) == {f"sku-{n}" for n in range(rows)}

    @staticmethod
    def _paid_twice(books: dict[str, Any]) -> list[str]:
        return [name for name, trace in books["references"].items() if trace["jobs"] > 1]

    def _lost(self, books: dict[str, Any]) -> list[str]:
        records = [record for outcome in OUTCOMES for record in self.records(outcome)]
        known = {record["job_id"] for record in records}
        doubtful = {record["row"]["file_url"] for record in self.records("in_doubt")}
        return [
            job["reference"]
            for job in books["jobs"]
            if job["job_id"] not in known and job["reference"] not in doubtful
        ]


@contextmanager
def world(
    folder: Path,
    api: str = "removit",
    faults: str = "",
    seed: int = 0,
    key: str = KEY,
    words: Sequence[str] = (),
) -> Iterator[World]:
    """Start a simulated API in a process of its own, and end it; *words*: more of its options."""
    words = [
        *("-m", "tests.simulator.serve_process", api, "--faults", faults),
        *("--seed", str(seed), "--key", key, *words),
    ]
    server = subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment(api, None),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield World(folder, api, server.stdout.readline().strip())
    finally:
        server.terminate()
        server.communicate(timeout=LONGEST_S)


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for a process, and kill it if it hangs."""
    try:
        out, err = process.communicate(timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it hung; it said: {out[-2000:]} {err[-2000:]}") from None

    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def environment(api: str, key: str | None) -> Mapping[str, str]:
    """Return a small environment: no key but the given one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BATCHER_")}
    kept = {name: value for name, value in kept.items() if name not in KEY_ENV.values()}
    return kept | {"PYTHONPATH": str(ROOT)} | ({} if key is None else {KEY_ENV[api]: key})


def wait_until(condition: Any, what: str) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + LONGEST_S
    while not condition():
        assert time.monotonic() < deadline, f"it never came to this: {what}"
        time.sleep(0.02)


def peak_memory_kib(words: Sequence[str], api: str, folder: Path) -> int:
    """Run `batcher` and return the most memory it held, in KiB."""
    with (folder / "output.txt").open("w") as output:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "batcher", *words],
            dict(environment(api, KEY)),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
            ],
        )
        _, status, usage = os.wait4(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0, (folder / "output.txt").read_text()
    return usage.ru_maxrss
