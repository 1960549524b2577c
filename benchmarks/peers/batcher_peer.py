"""batcher itself: `batcher run` with the limits of the API, nothing else set.

Variant `resubmit` adds `--on-doubt resubmit --max-duplicates ROWS`: a submit whose answer was lost
is sent again, as most peers do it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers.work import READS_PER_S, SUBMITS_PER_S, read_work

SAID = {"succeeded": "done", "failed": "failed", "exhausted": "failed", "in_doubt": "in_doubt"}


def main() -> None:
    """Become the command."""
    work = read_work()
    words = [
        *("run", str(work.folder / "rows.jsonl"), "--provider", "removit", "--base-url", work.url),
        *("--run-dir", str(work.folder / "run"), "--quiet"),
        *("--rate", f"{SUBMITS_PER_S}/s", "--status-rate", f"{READS_PER_S}/s"),
        *("--in-flight", "1000"),
    ]
    if work.variant:
        words += ["--on-doubt", work.variant, "--max-duplicates", str(len(work.rows))]

    environment = {**os.environ, "REMOVIT_API_KEY": "test-key"}
    os.execve(sys.executable, [sys.executable, "-m", "batcher", *words], environment)


def outcomes(folder: Path) -> Iterator[dict[str, str]]:
    """Yield what the four files of a run say."""
    for name, outcome in SAID.items():
        path = folder / "run" / f"{name}.jsonl"
        for line in path.read_text().splitlines() if path.exists() else ():
            yield {"id": json.loads(line)["id"], "outcome": outcome}


if __name__ == "__main__":
    main()
