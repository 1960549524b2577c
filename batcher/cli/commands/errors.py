"""`batcher errors`: why rows did not succeed, one cause at a time, and what to do about each.

Rule: it reads the outcome files beside whoever works on the run, in flat memory; nothing is
written, locked or asked of the API.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from batcher.adapters.runfile import read_run_file
from batcher.cli.failure import say, without_keys
from batcher.cli.flags.wishes import existing_run
from batcher.cli.parts import counters_of, lengths_of, parts_of
from batcher.cli.program import program
from batcher.cli.wrapping import wrapped
from batcher.core.lifecycle import State
from batcher.core.model import ErrorKind
from batcher.report.text import command_text, count_text, path_word, plain, rows_text

if TYPE_CHECKING:
    from batcher.core.settings import Frozen
    from batcher.report.failures import Group

PATTERNS_MAX = 8  # of one kind, for a person
ENDS = {
    State.FAILED: "failed",
    State.EXHAUSTED: "exhausted",
    State.IN_DOUBT: "in doubt",
}
EPILOG = """\b
Examples:
  batcher errors runs/photos-removit
  batcher errors runs/photos-removit --kind rejected
  batcher errors runs/photos-removit --json | jq 'select(.count > 100)'

Rows that have no outcome yet, or that were tried again and succeeded, are not among them.
Lines are broken on a terminal only: into a pipe each goes whole, for grep. Programs take --json.
"""


@click.command(epilog=EPILOG)
@click.argument("run")
@click.option(
    "--kind",
    type=click.Choice([str(kind) for kind in ErrorKind]),
    metavar="KIND",
    help="Only this kind of error, such as rejected or job_timeout.",
)
@click.option("--json", is_flag=True, help="One JSON object a line, for each group.")
def command(run: str, kind: str | None, json: bool) -> int:
    """Say why rows of the run in the directory RUN did not succeed, and what to do about it.

    Rows are grouped by kind of error and by message; ids, numbers and addresses in a message count
    as equal. Each group has its number of rows, the file that holds them, and one of them as an
    example. It can be asked while the run goes on.
    """
    from batcher.report.failures import Failures, group_json, read_failures, rows_of

    directory = existing_run(run)
    frozen, _ = read_run_file(directory.run_file)
    failures, parts = Failures(without_keys, kind), parts_of(directory)
    for part in parts:
        read_failures(part.path, lengths_of(part), failures)

    kinds = failures.by_kind()
    for groups in kinds:
        if json:
            for group in groups:
                advice = _hint(group), _next(group, directory.path, frozen)
                click.echo(msgspec.json.encode(group_json(group, *advice)))
        else:
            for line, indent in _told(groups, directory.path, frozen):
                click.echo(wrapped(line, indent))

    rows = counters_of(parts).get("rows", 0)
    count = rows_text(sum(map(rows_of, kinds)))
    what = "did not succeed" if kind is None else f"ended with {kind}"
    say(f"{count} {f'of {count_text(rows)} ' if rows else ''}{what}")
    if failures.unreadable:
        say(f"{count_text(failures.unreadable)} lines of the outcome files are no records")

    return 0


def _told(groups: Sequence[Group], run: Path, frozen: Frozen) -> Iterator[tuple[str, int]]:
    """Yield what a person reads of one kind of error: each line, and how deep it goes on."""
    from batcher.report.advice import meaning_of
    from batcher.report.failures import rows_of

    first = groups[0].key
    meaning = meaning_of(first.kind)
    rows = f"{rows_text(rows_of(groups))} {ENDS[first.outcome]}"
    yield f"{plain(first.kind, 40)}: {rows}{f' ({meaning})' if meaning else ''}", 2
    digits = max(len(count_text(group.count)) for group in groups)
    for group in groups[:PATTERNS_MAX]:
        said = f"{_answer(group)}{plain(group.pattern, 400)}"
        yield f"  {count_text(group.count):>{digits}}  {said}", digits + 2
        yield f"  {'':>{digits}}  for example {_example(group)}", 0

    rest = groups[PATTERNS_MAX:]
    if rest:
        more = f"{count_text(len(rest))} more messages ({rows_text(rows_of(rest))})"
        yield f"  {'':>{digits}}  and {more}: --json has them all", 0

    yield f"  {_hint(groups[0])}", 0
    following = _next(groups[0], run, frozen)
    if following is not None:
        yield f"  next: {following}", 2

    yield "", 0


def _answer(group: Group) -> str:
    """Return what the API answered beside its message."""
    key, told = group.key, []
    if key.http_status is not None:
        told.append(f"HTTP {key.http_status}")

    if key.code is not None and key.code != group.pattern:
        told.append(f"code {plain(key.code, 40)}")

    return f"{', '.join(told)}: " if told else ""


def _example(group: Group) -> str:
    example = group.example
    parts = [f"{plain(example.id, 120)} (line {count_text(example.line)})"]
    parts += [f"job {plain(example.job_id, 120)}"] if example.job_id else []
    if example.error is not None and example.error.request_id:
        parts.append(f"request {plain(example.error.request_id, 120)}")

    return ", ".join(parts)


def _hint(group: Group) -> str:
    from batcher.report.advice import hint_of

    return hint_of(group.key.kind, group.key.outcome)


def _next(group: Group, run: Path, frozen: Frozen) -> str | None:
    """Return what to type about the rows of a group; None = there is nothing to type yet."""
    from batcher.report.rerun import rerun_command

    key, where = group.key, path_word(run)
    match key.outcome:
        case State.EXHAUSTED if key.kind in {str(kind) for kind in ErrorKind}:
            return command_text(program(), "retry", where, "--kind", key.kind)
        case State.EXHAUSTED:
            return command_text(program(), "retry", where)
        case State.IN_DOUBT:
            return command_text(program(), "doubt", "list", where)
        case State.FAILED if key.kind in (ErrorKind.INVALID_ROW, ErrorKind.INVALID_REQUEST):
            return rerun_command(run, frozen, program())
        case _:
            return None
