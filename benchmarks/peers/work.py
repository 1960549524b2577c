"""What all adapters share: the command line, the rows, and the file of outcomes.

Rule: standard library only, since every peer's environment runs it. An outcome is one line of JSON
with the row's `id` and `outcome`: `done`, `failed` (the peer told of it) or `in_doubt` (the peer
said that a job may exist). A row that is already `done` in the file is left out when the same
command is started again, as anybody's script would do it; what a peer keeps itself is its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

SUBMITS_PER_S, READS_PER_S = 40, 100  # the limits of the API, as its documentation would say them
JOB_S = 4.0  # and how long a job takes, more or less
# The pause between two reads of a job: 40 jobs a second of 4 s each then make 80 reads a second.
PAUSE_S = 2.0
SLOTS = 250  # rows worked on at a time, where a peer keeps a slot for the whole of a row's work


@dataclass(frozen=True, slots=True)
class Work:
    """Rows to do against one API, and a folder for whatever a peer keeps."""

    rows: list[dict[str, str]]
    folder: Path
    url: str
    variant: str  # "" is what the documentation of the peer advises

    @property
    def outcomes(self) -> Path:
        """Return the file of outcomes."""
        return self.folder / "outcomes.jsonl"

    def todo(self) -> list[dict[str, str]]:
        """Return the rows that are not done yet."""
        done = {line["id"] for line in outcomes(self.folder) if line["outcome"] == "done"}
        return [row for row in self.rows if row["id"] not in done]

    def writer(self) -> Writer:
        """Open the file of outcomes to go on with it."""
        return Writer(self.outcomes.open("a"))


class Writer:
    """Writes outcomes, each at once."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, row: str, outcome: str, **more: object) -> None:
        """Write one outcome and hand it to the system."""
        self._file.write(json.dumps({"id": row, "outcome": outcome, **more}, default=repr) + "\n")
        self._file.flush()


async def spaced(rows: list[dict[str, str]]) -> AsyncIterator[dict[str, str]]:
    """Yield rows at the limit of submits, for peers without one; a late start is made up for."""
    begin = time.monotonic()
    for n, row in enumerate(rows):
        await asyncio.sleep(max(0.0, begin + n / SUBMITS_PER_S - time.monotonic()))
        yield row


def read_work() -> Work:
    """Read the command line: MANIFEST FOLDER URL [VARIANT]."""
    parser = argparse.ArgumentParser()
    parser.add_argument("manifest", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("url")
    parser.add_argument("variant", nargs="?", default="")
    told = parser.parse_args()
    rows = [json.loads(line) for line in told.manifest.read_text().splitlines()]
    return Work(rows, told.folder, told.url, told.variant)


def outcomes(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the outcomes in a folder; a torn last line is no outcome."""
    path = folder / "outcomes.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            yield json.loads(line)
        except ValueError:
            print(f"torn line in {path}", file=sys.stderr)
