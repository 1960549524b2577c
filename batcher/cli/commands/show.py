"""`batcher show`: the whole story of one row, whatever stands it is in.

Rule: it reads beside whoever works on the run; nothing is written, locked or asked of the API.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.cli.failure import without_keys
from batcher.cli.flags.wishes import existing_run
from batcher.cli.parts import is_owned, lengths_of, parts_of
from batcher.cli.program import program
from batcher.cli.wrapping import wrapped
from batcher.core.errors import UsageError
from batcher.core.lifecycle import OUTCOMES, State
from batcher.report.text import plain

if TYPE_CHECKING:
    from batcher.adapters.sqlite.reader import JournalReader
    from batcher.core.journal import Held
    from batcher.core.settings import Frozen, Settings
    from batcher.report.story import Found

LABEL_CELLS = 10
EPILOG = """\b
Examples:
  batcher show runs/photos-removit sku-00012
  batcher show runs/photos-removit 019c1e2f          the id of its job will do
  batcher show runs/photos-removit sku-00012 --line 47
  batcher show runs/photos-removit sku-00012 --json | jq .attempts

Status reads are counted in the outcome record; while a row is in flight nobody else knows them.
"""


@click.command(epilog=EPILOG)
@click.argument("run")
@click.argument("row_id", metavar="ID")
@click.option(
    "--line",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of several rows with this id, the one on this line of the manifest.",
)
@click.option("--json", is_flag=True, help="One JSON object.")
def command(run: str, row_id: str, line: int | None, json: bool) -> int:
    """Tell everything that is known of the row ID of the run in the directory RUN.

    Its line of the manifest, every submit with its answer and its cost, its job, its outcome, what
    the log says of it, result addresses and files, and what to do next. ID may also be the id of
    the row's job. It can be asked while the run goes on.
    """
    from batcher.report.money import currency_of
    from batcher.report.story import story_of
    from batcher.report.story_lines import story_lines

    directory = existing_run(run)
    if not is_text(row_id):
        raise UsageError(f"{run}: has no row {plain(row_id)!r}; ids are UTF-8")

    frozen, settings = read_run_file(directory.run_file)
    parts = parts_of(directory)
    with _journals(parts) as journals:
        found = _found(journals, row_id, line) or _of_job(journals, row_id)
        if found is None:
            raise UsageError(_unknown(journals, directory, row_id, line))

    story = story_of(found)
    running = is_owned(directory, parts)
    following = _next(story, found, directory.path, frozen, settings, is_running=running)
    if json:
        click.echo(without_keys(msgspec.json.encode(story | following).decode()))
        return 0

    for told in story_lines(story, currency_of(frozen)):
        click.echo(wrapped(without_keys(told), LABEL_CELLS))

    if following["look_for"] is not None:
        click.echo(wrapped(str(following["look_for"]), LABEL_CELLS))

    click.echo(wrapped(f"  next      {following['next']['text']}", LABEL_CELLS))
    for each in following["next"]["commands"]:
        click.echo(f"            {each}")

    return 0


def is_text(argument: str) -> bool:
    """Whether an argument is UTF-8: bytes that are not come as lone surrogates."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False

    return True


Journals = Sequence[tuple[RunDirectory, "JournalReader"]]


@contextlib.contextmanager
def _journals(parts: Sequence[RunDirectory]) -> Iterator[Journals]:
    """Open the journals of all parts; a run that has not begun has none."""
    from batcher.adapters.sqlite import SqliteJournal

    with contextlib.ExitStack() as stack:
        yield [
            (part, stack.enter_context(contextlib.closing(SqliteJournal.read(part.journal))))
            for part in parts
            if part.journal.exists()
        ]


def _found(journals: Journals, row_id: str, line: int | None) -> Found | None:
    """Return the row with this id; of a line that repeats an id, its record."""
    for part, journal in journals:
        held = journal.find(row_id)
        if held is not None and line in (None, held.ticket.row.line):
            return _with_files(part, journal, held)

    return None if line is None else _repetition(journals, row_id, line)


def _repetition(journals: Journals, row_id: str, line: int) -> Found | None:
    """Return the record of a line that has the id of an earlier one: it was never sent."""
    from batcher.report.story import Found, record_of

    for part, _ in journals:
        record = record_of(part.path, lengths_of(part), State.FAILED, row_id, line)
        if record is not None:
            return Found(part.path, None, (), record)

    return None


def _of_job(journals: Journals, job_id: str) -> Found | None:
    """Return the row that has a job of this id, if its outcome is known."""
    from batcher.report.story import find_record, needle_of

    needle = needle_of("job_id", job_id)
    for part, journal in journals:
        record = find_record(
            part.path, lengths_of(part), OUTCOMES, lambda r: r.get("job_id") == job_id, needle
        )
        held = None if record is None else journal.find(str(record["id"]))
        if held is not None:
            return _with_files(part, journal, held)

    return None


def _with_files(part: RunDirectory, journal: JournalReader, held: Held) -> Found:
    from batcher.report.story import Found, events_of, record_of

    row = held.ticket.row
    record = record_of(part.path, journal.outputs(), held.state, row.id, row.line)
    events, before = events_of(part.log, row.id)
    charges = tuple(journal.charges_of(row.n))
    return Found(part.path, held, charges, record, events, before)


def _unknown(journals: Journals, run: RunDirectory, row_id: str, line: int | None) -> str:
    """Return one line for an id that no row has, with those that were perhaps meant."""
    from batcher.report.near import near_ids

    where = "" if line is None else f" on line {line}"
    known = next((held for _, j in journals if (held := j.find(row_id)) is not None), None)
    if known is not None:
        return f"{run.path}: {plain(row_id)!r} is on line {known.ticket.row.line}, not{where}"

    near = near_ids(row_id, lambda guess: any(j.find(guess) is not None for _, j in journals))
    meant = f"; did you mean {' or '.join(repr(plain(each)) for each in near)}?" if near else ""
    return f"{run.path}: has no row {plain(row_id)!r}{where}{meant}"


def _next(
    story: Mapping[str, Any],
    found: Found,
    run: Path,
    frozen: Frozen,
    settings: Settings,
    *,
    is_running: bool,
) -> dict[str, Any]:
    """Return what to do next, and of a row in doubt what to look for."""
    from batcher.cli.commands.doubt.listing import evidence
    from batcher.providers import PROVIDERS
    from batcher.report.story_lines import look_for_line, next_step

    text, commands = next_step(story, run, frozen, program(), is_running=is_running)
    look = None
    if found.held is not None and found.state is State.IN_DOUBT:
        known = PROVIDERS.get(frozen.provider)
        title = frozen.provider if known is None else known.facts.title
        look = look_for_line(evidence(found.held, settings.submit_timeout_s)["look_for"], title)

    return {"look_for": look, "next": {"text": text, "commands": commands}}
