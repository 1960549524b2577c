"""What the proofs counted, added up over a whole session and told at its end.

Rule: a proof says what it counted before it judges it, so that a red one does not hide its figures.
They travel as user properties of a test's report, which xdist carries from its workers one report
at a time: a worker that dies takes only its open test along.

A proof asks for the fixture `figures` and adds: `figures.add("kill -9", {"kills": 24, "lost": 0})`.
Numbers of one name are added; those given to `most` are compared, and the largest is told. With
`BATCHER_FIGURES=file` the session also appends one line of JSON to that file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

PROPERTY = "figures"
MOST = " at most"  # ends the name of a number that is compared and not added
FAILED = "FAILED TESTS"
FILE = "BATCHER_FIGURES"

Number = int | float


class Figures:
    """What one test counts."""

    def __init__(self, properties: list[tuple[str, object]]) -> None:
        self._properties = properties

    def add(self, proof: str, numbers: Mapping[str, Number]) -> None:
        """Add to what *proof* has counted so far."""
        self._properties.append((PROPERTY, [proof, dict(numbers)]))

    def most(self, proof: str, numbers: Mapping[str, Number]) -> None:
        """Tell the largest of all that were given under a name."""
        self.add(proof, {f"{name}{MOST}": number for name, number in numbers.items()})


class Sums:
    """What all tests of a session have counted."""

    def __init__(self) -> None:
        self.proofs: dict[str, dict[str, Number]] = {}

    def take(self, report: Any) -> None:
        """Take the figures of a test, with the report of its end."""
        if report.when == "call" and report.failed:
            self._count_failure(report.user_properties)

        if report.when != "teardown":  # the last one has what all phases noted
            return

        for proof, numbers in _noted(report.user_properties):
            for name, number in numbers.items():
                self._add(proof, name, number)

    def lines(self) -> list[str]:
        """Return the table, a line for each proof."""
        width = max(map(len, self.proofs), default=0)
        return [
            f"{proof:{width}}  {', '.join(f'{number:,} {name}' for name, number in numbers)}"
            for proof, numbers in ((p, _failures_last(self.proofs[p])) for p in sorted(self.proofs))
        ]

    def _add(self, proof: str, name: str, number: Number) -> None:
        numbers = self.proofs.setdefault(proof, {})
        before = numbers.get(name, 0)
        numbers[name] = max(before, number) if name.endswith(MOST) else before + number

    def _count_failure(self, properties: Iterable[tuple[str, Any]]) -> None:
        for proof in {proof for proof, _ in _noted(properties)}:
            self._add(proof, FAILED, 1)


def _failures_last(numbers: Mapping[str, Number]) -> list[tuple[str, Number]]:
    return sorted(numbers.items(), key=lambda item: item[0] == FAILED)


def _noted(properties: Iterable[tuple[str, Any]]) -> list[tuple[str, dict[str, Number]]]:
    return [(value[0], value[1]) for name, value in properties if name == PROPERTY]


class Teller:
    """The plugin: takes reports, and tells the sums at the end of the session."""

    def __init__(self) -> None:
        self.sums = Sums()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one report; under xdist the workers' come here too."""
        self.sums.take(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the table, and append it to the file that `BATCHER_FIGURES` names."""
        if not self.sums.proofs:
            return

        terminalreporter.section("figures")
        for line in self.sums.lines():
            terminalreporter.write_line(line)

        if name := os.environ.get(FILE):
            with Path(name).open("a", encoding="utf-8") as file:
                file.write(json.dumps(self.sums.proofs) + "\n")


def tell_figures(config: pytest.Config) -> None:
    """Tell figures in this session, unless it is a worker whose controller does."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Teller(), "batcher-figures")
