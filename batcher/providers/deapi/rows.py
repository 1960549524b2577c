"""What can be wrong with a row for deAPI, found before anything is sent.

Rule: here stands what is documented for every model. What the row's own model adds stands in
`deapi_models` and is known only once the catalogue was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from batcher.providers import parameters
from batcher.providers.base import Files, Problem
from batcher.providers.deapi.tasks import PARAMETERS, TASKS, Task, Version
from batcher.providers.reading import raw_of

SETTINGS: Final = ("task", "tier", "api")  # names of `--set` that are never sent
COLUMNS: Final = (
    *parameters.OWN_COLUMNS,
    "task",
    *(parameter.name for parameter in PARAMETERS),
)
KNOWN: Final = frozenset(COLUMNS)
NOT_SENT: Final = {  # the API's own names that rows may well have
    "webhook_url": "is not sent: --webhook-url sets it for the whole run",
    "webhook_secret": "is not sent: batcher makes its own for each run",
    "scale": "is not sent: the model has its own factor, and some refuse a request that names one",
}


def no_task(word: object) -> Problem:
    """Return the problem of a row whose task is missing or unknown."""
    allowed = f"allowed are: {', '.join(TASKS)}"
    if word:
        return Problem("task", f'is "{raw_of(word)}"; {allowed}')

    return Problem("task", f"is missing; set it in the row or with --set task=…; {allowed}")


def row_problems(
    task: Task,
    version: Version,
    values: Mapping[str, object],
    sent: Mapping[str, object],
    files: Files,
) -> Iterator[Problem]:
    """Yield what is wrong with a row: its own *values*, and what would be *sent*."""
    yield from _file_problems(task, values, files)
    yield from parameters.faults(task.parameters, sent)
    yield from _missing_from_version(version, values)
    if KNOWN.issuperset(values):
        return

    yield from parameters.near_misses(COLUMNS, values)
    for name, why in NOT_SENT.items():
        if values.get(name) not in (None, ""):
            yield Problem(name, why, warning=True)


def _missing_from_version(version: Version, values: Mapping[str, object]) -> Iterator[Problem]:
    """Yield the parameters that this version of the API does not know."""
    for name in sorted(version.lacks) if version.lacks else ():
        if values.get(name) not in (None, ""):
            yield Problem(name, lacking(version))


def lacking(version: Version) -> str:
    """Say what to do about a parameter that a version does not know."""
    return f"version {version.name} of the API does not know it: leave it out, or set --set api=v2"


def _file_problems(task: Task, values: Mapping[str, object], files: Files) -> Iterator[Problem]:
    """Yield what is wrong with a row's files: absent, of no use, or not such as are taken."""
    if task.upload is None:
        if files:
            yield Problem("file", f"{task.name} takes none; it is not sent", warning=True)
    elif files:
        yield from task.upload.problems(files)
    elif values.get("file_url"):
        yield Problem("file", f"is missing: {task.name} takes a local image and no file_url")
    else:
        yield Problem("file", f"is missing: {task.name} takes an image")
