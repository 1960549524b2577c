"""Somebody edits the manifest between processes that die: what was paid stays paid once.

Any number of lines are appended, edited, deleted, moved, repeated or put back before each process,
which then comes to its end, or dies. Every version of a row has a picture of its own, so the API's
ledger tells which version of it was sent. `BATCHER_EDITS=1000` tries more; the seed is in the id.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from batcher.core.errors import UsageError
from batcher.core.lifecycle import OUTCOMES
from tests.engine.harness import Death, Night
from tests.support.figures import Figures

pytestmark = pytest.mark.virtual

SEEDS = int(os.environ.get("BATCHER_EDITS", "16"))
ROWS = 12
PROCESSES = 5
FAULTS = "duration=lognormal:2:1,latency=lognormal:0.1:1,drop_after=0.05,503=0.1,hang=0.03,lag=0.2"

WAY = "--allow-changed"  # what the refusal names as the way on

Line = tuple[str, int]  # an id, and which version of the row with that id


@dataclass
class Editor:
    """Somebody who cannot leave a file alone."""

    rng: Random
    lines: list[Line] = field(default_factory=lambda: [(f"r{n}", 0) for n in range(ROWS)])
    made: int = ROWS
    edits: int = 0

    def edit(self) -> None:
        """Change the file a few times."""
        changes = (self.append, self.change, self.delete, self.move, self.repeat, self.restore)
        for _ in range(self.rng.randint(0, 4)):
            self.rng.choice(changes)()
            self.edits += 1

    def append(self) -> None:
        """Add a row at the end."""
        self.lines.append((f"r{self.made}", 0))
        self.made += 1

    def change(self) -> None:
        """Make another version of a row."""
        at, (name, version) = self._any()
        self.lines[at] = (name, version + 1)

    def restore(self) -> None:
        """Put the first version of a row back."""
        at, (name, _) = self._any()
        self.lines[at] = (name, 0)

    def delete(self) -> None:
        """Take a line away, but for the last one."""
        if len(self.lines) > 1:
            del self.lines[self._any()[0]]

    def move(self) -> None:
        """Put a line somewhere else."""
        at, line = self._any()
        del self.lines[at]
        self.lines.insert(self.rng.randint(0, len(self.lines)), line)

    def repeat(self) -> None:
        """Have a line twice, or another version of its row beside it."""
        _, (name, version) = self._any()
        where = self.rng.randint(0, len(self.lines))
        self.lines.insert(where, (name, version + self.rng.randint(0, 1)))

    def _any(self) -> tuple[int, Line]:
        at = self.rng.randrange(len(self.lines))
        return at, self.lines[at]


def write(night: Night, lines: list[Line]) -> None:
    """Write the manifest; a picture belongs to one version of one row."""
    night.write_rows([{"id": name, "file_url": url(name, version)} for name, version in lines])


def url(name: str, version: int) -> str:
    """Return the picture of a version of a row."""
    return f"https://shop.example/{name}/{version}.jpg"


async def process(night: Night, rng: Random, *, allow: bool) -> bool:
    """Let one process go to its end, or die; return whether it was refused for an edited row."""
    settings: dict[str, Any] = {"submit_timeout_s": 5.0, "allow_changed": allow, "rate": "1/s"}
    try:
        if rng.random() < 0.2:
            await night.process(**settings)
        else:
            await night.doomed_process(Death(at_s=rng.uniform(0.2, 6.0)), **settings)
    except (UsageError, ExceptionGroup) as refused:
        leaves = refused.exceptions if isinstance(refused, ExceptionGroup) else [refused]
        if all(isinstance(leaf, UsageError) and WAY in str(leaf) for leaf in leaves):
            return True

        raise

    return False


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_random_edits_pay_for_no_row_twice(
    seed: int, tmp_path: Path, figures: Figures
) -> None:
    """One job an id, of a version that stood in the file; every row of the file has its end."""
    rng = Random(seed)
    night = Night(tmp_path, faults=FAULTS, seed=seed)
    editor, ledger = Editor(rng), night.simulation.ledger
    stray: set[str] = set()
    refused = 0
    for _ in range(PROCESSES):
        write(night, editor.lines)
        before = {name: trace.submits for name, trace in ledger.references.items()}
        refused += await process(night, rng, allow=rng.random() < 0.5)
        stray |= submitted(night, before) - {url(*line) for line in editor.lines}
        await anyio.sleep(rng.uniform(0.0, 20.0))
        editor.edit()

    write(night, editor.lines)
    assert await night.process(submit_timeout_s=5.0, allow_changed=True) is None

    jobs = Counter(name.split("/")[3] for name in (job.reference for job in ledger.jobs.values()))
    twice = [name for name, count in jobs.items() if count > 1]
    figures.add(
        "random edits of a manifest",
        {
            "runs": 1,
            "edits": editor.edits,
            "refused": refused,
            "paid twice": len(twice),
            "sent without a line": len(stray),
        },
    )
    assert not twice
    assert not stray
    night.assert_every_paid_job_is_known()
    ended = {record["id"] for outcome in OUTCOMES for record in night.records(outcome)}
    assert {name for name, _ in editor.lines} <= ended


def submitted(night: Night, before: dict[str, int]) -> set[str]:
    """Return the pictures that were submitted since."""
    traces = night.simulation.ledger.references.items()
    return {name for name, trace in traces if trace.submits > before.get(name, 0)}
