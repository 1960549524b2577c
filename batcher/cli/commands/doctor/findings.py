"""What `batcher doctor` finds: one line for each thing, and what to do about it.

Rule: `bad` keeps a run from working, `warn` may surprise one at night, `ok` is as it should be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from batcher.cli.wrapping import wrapped
from batcher.report.text import plain

State = Literal["ok", "warn", "bad"]
CHARS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    text: str
    mend: str = ""  # what to do; of one that is ok nothing

    def as_json(self) -> dict[str, str]:
        """Return the object of `--json`."""
        return {**asdict(self)}


def ok(name: str, text: str) -> Finding:
    """Return one that is as it should be."""
    return Finding(name, "ok", text)


def warn(name: str, text: str, mend: str) -> Finding:
    """Return one that may surprise."""
    return Finding(name, "warn", text, mend)


def bad(name: str, text: str, mend: str) -> Finding:
    """Return one that keeps a run from working."""
    return Finding(name, "bad", text, mend)


def laid_out(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield lines for people; what to do stands below what is wrong."""
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        text = f"{finding.state:<4}  {finding.name:<{width}}  {plain(finding.text, CHARS_MAX)}"
        yield wrapped(text, width + 8)
        if finding.mend:
            yield wrapped(f"      {'':<{width}}  {plain(finding.mend, CHARS_MAX)}", 0)
