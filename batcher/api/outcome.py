"""Outcome records as values: what became of each row.

Rule: the fields are those of the record (`docs/cli.md`); what a later version adds is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import msgspec

from batcher.adapters.rundir import OUTCOME_NAMES, RunDirectory
from batcher.api.following import Following
from batcher.core.errors import StorageError, UsageError

OutcomeWord = Literal["succeeded", "failed", "exhausted", "in_doubt"]


class Result(msgspec.Struct, frozen=True):
    """What a job handed out: addresses, files that were fetched, or text."""

    urls: dict[str, str] = {}
    files: dict[str, str] = {}
    text: str | None = None
    warnings: dict[str, list[str]] = {}
    ignored: list[str] = []


class RowProblem(msgspec.Struct, frozen=True):
    """Why a row did not succeed. `kind` is one of a few words, `message` is for people."""

    kind: str
    message: str
    http_status: int | None = None
    code: str | None = None
    fields: dict[str, list[str]] | None = None
    retriable: bool = False
    request_id: str | None = None


class Attempts(msgspec.Struct, frozen=True):
    """How many requests a row took."""

    submit: int = 0
    status: int = 0
    download: int = 0


class Times(msgspec.Struct, frozen=True):
    """When what happened, ISO 8601 in UTC; `job_s` from acceptance to the read that saw the end."""

    submitted: str | None = None
    accepted: str | None = None
    done_seen: str | None = None
    collected: str | None = None
    job_s: float | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What became of one row."""

    id: str
    line: int
    outcome: OutcomeWord
    provider: str
    job_id: str | None = None
    result: Result | None = None
    error: RowProblem | None = None
    refund: str | None = None
    refund_raw: str | None = None
    cost: float | None = None
    attempts: Attempts = Attempts()
    time: Times = Times()
    row: dict[str, Any] | None = None  # as it stood in the manifest; None: it could not be read

    @property
    def succeeded(self) -> bool:
        """Whether there is a result."""
        return self.outcome == "succeeded"

    @property
    def urls(self) -> dict[str, str]:
        """The addresses of the results by name; empty if there is none."""
        return {} if self.result is None else self.result.urls

    @property
    def files(self) -> dict[str, str]:
        """The fetched files by name, relative to the run directory where they lie in it."""
        return {} if self.result is None else self.result.files


_decoder = msgspec.json.Decoder(Outcome)


def decoded(line: bytes) -> Outcome:
    """Read one record. Raises `StorageError` if it is none."""
    try:
        return _decoder.decode(line)
    except msgspec.MsgspecError as error:
        raise StorageError(f"a line of an outcome file is no outcome record: {error}") from error


def outcomes(run_dir: str | PathLike[str]) -> Iterator[Outcome]:
    """Yield every outcome that a run has so far, in the order of the files, in flat memory.

    It can be asked while another process works on the run. Raises `UsageError` if the directory
    holds no run.
    """
    directory = RunDirectory(Path(run_dir))
    if not directory.is_run:
        raise UsageError(f"{directory.path}: is no run directory; it has no run.toml")

    for line in Following(directory).lines(OUTCOME_NAMES):
        yield decoded(line)
