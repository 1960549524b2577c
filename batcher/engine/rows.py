"""What the manifest asks of a provider: the type of a cell, and what is wrong with a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from batcher.core.model import ErrorKind, RowError
from batcher.providers.base import Files, Problem, Provider


class ProviderCheck:
    """The manifest's `RowCheck`, answered by a dialect.

    `warn` is called with every problem that is only a warning, such as a mistyped column.
    """

    def __init__(
        self, provider: Provider, warn: Callable[[Problem], None] = lambda _problem: None
    ) -> None:
        self._provider = provider
        self._warn = warn

    def typed(self, values: Mapping[str, str]) -> Mapping[str, object]:
        """Return a row of texts with each value in its parameter's type."""
        return self._provider.typed(values)

    def fault(self, values: Mapping[str, object], files: Files) -> RowError | None:
        """Return why a row cannot be used, or None: all its problems in one error."""
        faults = []
        for problem in self._provider.problems(values, files):
            if problem.warning:
                self._warn(problem)
            else:
                faults.append(problem)

        return row_error(faults) if faults else None


def row_error(problems: list[Problem]) -> RowError:
    """Return the error of a row that has *problems*."""
    fields: dict[str, list[str]] = {}
    for problem in problems:
        fields.setdefault(problem.field, []).append(problem.message)

    message = "; ".join(f"{problem.field}: {problem.message}" for problem in problems)
    return RowError(ErrorKind.INVALID_ROW, message, fields=fields)
