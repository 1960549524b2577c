"""Reading a manifest to find what is wrong with it, without sending anything.

Rule: what `run` would reject is found here in the same way, because both ask the same `RowCheck`;
on top of it come warnings, and rows whose id an earlier one has. Memory: 16 bytes a row, for that.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from batcher.adapters.manifest import Manifest, open_manifest
from batcher.core.journal import Entry
from batcher.core.model import RowError
from batcher.engine.rows import ProviderCheck, row_error
from batcher.providers.base import Files, Problem, Provider

BUCKETS = 256
UNREADABLE = "unreadable"  # what is wrong with a line of which no field can be named

Unit = Literal["line", "row", "file"]
Usable = Callable[[int, Mapping[str, object], Files], None]  # line, own values, files


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about one line. `rows` is how many lines a warning is about."""

    line: int
    field: str  # empty: the line itself
    message: str
    id: str | None = None
    has_own_id: bool = False
    unit: Unit = "line"  # what `line` counts: lines of text, rows of a table, files of a folder
    warning: bool = False
    rows: int = 1


@dataclass(slots=True)
class Totals:
    """What a survey has found so far."""

    rows: int = 0
    bad: int = 0
    warnings: int = 0
    fields: Counter[str] = field(default_factory=Counter)  # bad rows by what is wrong in them
    first: Entry | None = None  # the first row that can be used

    @property
    def good(self) -> int:
        """Rows that can be used."""
        return self.rows - self.bad


def survey(
    source: str,
    provider: Provider,
    totals: Totals,
    *,
    limit: int | None = None,
    usable: Usable = lambda _line, _values, _files: None,
) -> Iterator[Finding]:
    """Read the manifest *source* and yield what is wrong with it, filling *totals* on the way.

    `usable` is called with each row that can be used. Raises `UsageError` if it cannot be read.
    """
    manifest = open_manifest(source)
    for finding in _found(manifest, _WarningCheck(provider, usable), totals, limit):
        unit: Unit = "file" if manifest.is_folder else "row" if manifest.is_table else "line"
        yield replace(finding, unit=unit)


def _found(
    manifest: Manifest, check: _WarningCheck, totals: Totals, limit: int | None
) -> Iterator[Finding]:
    ids = _Ids()
    for entry in manifest.entries(check, limit=limit):
        totals.rows += 1
        check.stood_at(entry)
        if not entry.derived:
            ids.add(entry.id, entry.line)

        if entry.problem is not None:
            yield from _count(totals, list(_findings(entry, entry.problem)))
        elif totals.first is None:
            totals.first = entry

    for line in ids.repeated():
        yield from _count(totals, [Finding(line, "id", "another row before it has the same id")])

    for warning in check.warnings():
        totals.warnings += 1
        yield warning


def _count(totals: Totals, findings: list[Finding]) -> list[Finding]:
    totals.bad += 1
    totals.fields.update({finding.field or UNREADABLE for finding in findings})
    return findings


def _findings(entry: Entry, problem: RowError) -> Iterator[Finding]:
    if not problem.fields:
        message = problem.message.removeprefix(f"line {entry.line}").lstrip(": ")
        yield Finding(entry.line, "", message, entry.id, not entry.derived)
        return

    for name, messages in problem.fields.items():
        for message in messages:
            text = message.removeprefix(f"{name} ")
            yield Finding(entry.line, name, text, entry.id, not entry.derived)


class _WarningCheck(ProviderCheck):
    """The check of a run, which also gathers what `run` does not care about."""

    def __init__(self, provider: Provider, usable: Usable) -> None:
        super().__init__(provider)
        self._dialect = provider
        self._usable = usable
        self._row: tuple[Mapping[str, object], Files] | None = None  # if it can be used
        self._of_this_row: list[Problem] = []
        self._first: dict[str, Finding] = {}
        self._rows: Counter[str] = Counter()

    def fault(self, values: Mapping[str, object], files: Files) -> RowError | None:
        """Return why a row cannot be used, and remember what is merely odd."""
        problems = self._dialect.problems(values, files)
        self._of_this_row = [problem for problem in problems if problem.warning]
        hard = [problem for problem in problems if not problem.warning]
        self._row = None if hard else (values, files)
        return row_error(hard) if hard else None

    def stood_at(self, entry: Entry) -> None:
        """Note which row was checked last: only the reader knows it."""
        for problem in self._of_this_row:
            self._rows[problem.field] += 1
            own = not entry.derived
            found = Finding(entry.line, problem.field, problem.message, entry.id, own, warning=True)
            self._first.setdefault(problem.field, found)

        if self._row is not None:
            self._usable(entry.line, *self._row)

        self._of_this_row, self._row = [], None

    def warnings(self) -> list[Finding]:
        """Return one warning for each column, with the first line that has it."""
        return [replace(found, rows=self._rows[name]) for name, found in self._first.items()]


class _Ids:
    """Finds ids that come twice, by 64 bits of their hash: no two of ten million meet by chance."""

    def __init__(self) -> None:
        self._buckets = [(array("Q"), array("Q")) for _ in range(BUCKETS)]

    def add(self, row_id: str, line: int) -> None:
        """Note an id and where it stands."""
        digest = hashlib.blake2b(row_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        hashes, lines = self._buckets[digest[0]]
        hashes.append(int.from_bytes(digest, "big"))
        lines.append(line)

    def repeated(self) -> list[int]:
        """Return the lines whose id stands in an earlier one, in order."""
        found: list[int] = []
        for hashes, lines in self._buckets:
            seen: set[int] = set()
            for number, line in zip(hashes, lines, strict=True):
                if number in seen:
                    found.append(line)

                seen.add(number)

        return sorted(found)
