"""`batcher doubt`: a person decides what becomes of rows that may have been paid for.

Rule: deciding is all that happens here; nothing is sent before `batcher resume`.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import click
import msgspec

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.cli.deciding import Part, by_part, decide_all, deciding, refuse_shared_job
from batcher.cli.failure import say
from batcher.cli.flags.wishes import STDIN, existing_run
from batcher.cli.parts import parts_of
from batcher.cli.program import program
from batcher.cli.wrapping import wrapped
from batcher.core.errors import UsageError
from batcher.providers import PROVIDERS
from batcher.report.text import command_text, path_word, rows_text

C = TypeVar("C", bound=Callable[..., Any])

EPILOG = """\b
Examples:
  batcher doubt list runs/photos-removit
  batcher doubt adopt runs/photos-removit sku-7 019c1e2f    its job was found
  batcher doubt resubmit runs/photos-removit sku-8 sku-9    no job: send again
  batcher doubt fail runs/photos-removit --all              close as failed
  batcher resume runs/photos-removit

A row is in doubt when it was sent and its answer was lost: the API may have
made a job and charged for it. It is never sent again on its own, because that
might pay twice.
"""
LABEL_CELLS = 11
UNKNOWN_JOB = "a job that the API does not know fails its row for good"
FROM_HELP = "Read the rows from FILE, one a line; - is standard input."


@click.group(epilog=EPILOG)
def command() -> None:
    """List the rows of a run that are in doubt, and decide them.

    Deciding is done between two runs; `batcher resume` then acts on it.
    """


@command.command("list", short_help="Show the rows in doubt, with all evidence.")
@click.argument("run")
@click.option("--json", is_flag=True, help="One JSON object a line, for each row.")
def list_(run: str, json: bool) -> int:
    """Show every row of RUN that is in doubt, with all that is known of its submit."""
    from batcher.adapters.sqlite import SqliteJournal
    from batcher.cli.commands.doubt.listing import evidence, evidence_lines, held_rows

    directory = existing_run(run)
    frozen, settings = read_run_file(directory.run_file)
    title = PROVIDERS[frozen.provider].facts.title
    count = 0
    for part in parts_of(directory):
        if not part.journal.exists():
            continue

        with contextlib.closing(SqliteJournal.read(part.journal)) as journal:
            for held in held_rows(journal):
                count += 1
                found = evidence(held, settings.submit_timeout_s)
                lines = [msgspec.json.encode(found)] if json else evidence_lines(found, title)
                for line in lines:
                    click.echo(line if json else wrapped(str(line), LABEL_CELLS))

    say(f"{rows_text(count)} in doubt{_choices(directory) if count else ''}")
    return 0


def _choices(directory: RunDirectory) -> str:
    run = path_word(directory.path)
    return (
        ". Decide each:\n"
        f"  {command_text(program(), 'doubt', 'adopt', run)} ID JOB_ID   its job was found\n"
        f"  {command_text(program(), 'doubt', 'resubmit', run)} ID…     no job: send it again\n"
        f"  {command_text(program(), 'doubt', 'fail', run)} ID…         close it as failed"
    )


@command.command(short_help="Give a row the job that you found for it.")
@click.argument("run")
@click.argument("row_id", metavar="ID", required=False)
@click.argument("job_id", metavar="JOB_ID", required=False)
@click.option("--from", "source", metavar="FILE", help=f"{FROM_HELP} ID<tab>JOB_ID, or JSON.")
@click.option("--note", default="", help="On what evidence; it is kept in the journal.")
def adopt(run: str, row_id: str | None, job_id: str | None, source: str | None, note: str) -> int:
    """Give the row ID the job JOB_ID that you found for it; `resume` then follows that job.

    A job that the API does not know fails the row for good: look twice at what you type.
    """
    from batcher.engine.books.decide import adopt as adopt_row

    if (row_id is None or job_id is None) == (source is None):
        raise click.UsageError("give ID and JOB_ID, or --from FILE")

    pairs = [(row_id or "", job_id or "")] if source is None else list(_pairs(source))
    directory = existing_run(run)
    with deciding(directory) as parts:
        for row, job in pairs:
            part = by_part(parts, [row])[0][0]
            refuse_shared_job(parts, part, job)
            adopt_row(part.journal, part.outcomes, row, job, note=note, at=time.time())

    _tell(directory, len(pairs), f"will be followed by the job you gave; {UNKNOWN_JOB}")
    return 0


def _choosing_rows(function: C) -> C:
    for option in (
        click.option("--note", default="", help="On what evidence; it is kept in the journal."),
        click.option("--from", "source", metavar="FILE", help=f"{FROM_HELP} An id, or JSON."),
        click.option("--all", "everything", is_flag=True, help="All rows in doubt."),
        click.argument("row_ids", metavar="[ID]...", nargs=-1),
        click.argument("run"),
    ):
        function = option(function)

    return function


@command.command(short_help="Submit rows again.")
@_choosing_rows
def resubmit(run: str, note: str, **chosen: Any) -> int:
    """Submit rows again: you know that there is no job, or you accept to pay twice."""
    from batcher.engine.books.decide import resubmit as resubmit_rows

    row_ids = _chosen(**chosen)
    directory = existing_run(run)

    def decide(part: Part, ids: list[str] | None) -> int:
        return resubmit_rows(part.journal, part.outcomes, ids, note=note, at=time.time())

    with deciding(directory) as parts:
        count = decide_all(parts, row_ids, decide)

    _tell(directory, count, "will be submitted again")
    return 0


@command.command(short_help="Close rows as failed.")
@_choosing_rows
def fail(run: str, note: str, **chosen: Any) -> int:
    """Close rows as failed, without knowing more: nothing is sent for them any more."""
    from batcher.engine.books.decide import give_up

    row_ids = _chosen(**chosen)
    directory = existing_run(run)
    provider = read_run_file(directory.run_file)[0].provider

    def decide(part: Part, ids: list[str] | None) -> int:
        at = time.time()
        return give_up(part.journal, part.outcomes, ids, provider=provider, note=note, at=at)

    with deciding(directory) as parts:
        count = decide_all(parts, row_ids, decide)

    _tell(directory, count, "closed as failed", resume=False)
    return 0


def _tell(directory: RunDirectory, count: int, what: str, *, resume: bool = True) -> None:
    say(f"{rows_text(count)} {what}")
    if resume and count:
        say(f"next: {command_text(program(), 'resume', path_word(directory.path))}")


def _chosen(row_ids: tuple[str, ...], source: str | None, everything: bool) -> list[str] | None:
    """Return the ids that are meant; None = all."""
    if bool(row_ids) + (source is not None) + everything != 1:
        raise click.UsageError("give ids, or --from FILE, or --all")

    if everything:
        return None

    return list(row_ids) if source is None else [row_id for row_id, _ in _decisions(source)]


def _pairs(source: str) -> Iterator[tuple[str, str]]:
    for number, (row_id, job_id) in enumerate(_decisions(source), 1):
        if not job_id:
            raise UsageError(f"{source}: decision {number} ({row_id!r}) has no job id")

        yield row_id, job_id


def _decisions(source: str) -> Iterator[tuple[str, str]]:
    """Yield (id, job id or nothing) from lines of JSON, or of text with a tab between them."""
    for number, line in enumerate(_lines(source), 1):
        if not line.strip():
            continue

        if not line.lstrip().startswith("{"):
            row_id, _, job_id = line.strip("\r\n").partition("\t")
            yield row_id.strip(), job_id.strip()
            continue

        try:
            found = msgspec.json.decode(line, type=dict[str, object])
            yield str(found["id"]), str(found.get("job_id") or "")
        except (msgspec.MsgspecError, KeyError, RecursionError) as error:
            raise UsageError(f"{source}, line {number}: is no JSON object with an id") from error


def _lines(source: str) -> Iterable[str]:
    try:
        if source == STDIN:
            return sys.stdin.read().splitlines()

        with open(source, encoding="utf-8") as file:  # noqa: PTH123 - a name, as the user wrote it
            return file.read().splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"{source}: cannot be read: {error}") from error
