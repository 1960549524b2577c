"""`batcher refunds`: what was paid for without a result, for a talk with the API's support.

Rule: it reads the journal beside whoever works on the run, a page of rows at a time; nothing is
written, locked or asked of the API.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batcher.adapters.runfile import read_run_file
from batcher.cli.failure import say
from batcher.cli.flags.wishes import existing_run
from batcher.cli.parts import parts_of

if TYPE_CHECKING:
    from batcher.core.journal import Charge

PAGE_ROWS = 500
EPILOG = """\b
Examples:
  batcher refunds runs/photos-removit > refunds.csv
  batcher refunds runs/photos-removit --unconfirmed
  batcher refunds runs/photos-deapi --json | jq 'select(.cost > 0.01)'

\b
The columns:
  row_id, line    the row, and where it stands in the manifest
  job_id          what to ask the support for; empty: its answer was lost
  request_id      the API's own id of the call, if it told one
  submitted       when, in UTC
  cost, currency  what was quoted or charged; empty: no price is known
  refund          done, already_done, unconfirmed; empty: nothing was said
  refund_raw      the API's own word for it
  outcome         failed, exhausted; in_doubt: nobody knows whether there is a
                  job; given_up: the row was submitted again since
  error_kind, error_code, message   why there is no result

In CSV a cell that begins with = + - @ or an apostrophe has an apostrophe put in
front, ids too: a spreadsheet would compute it. JSON has everything as it is.
"""


@click.command(epilog=EPILOG)
@click.argument("run")
@click.option(
    "--unconfirmed",
    is_flag=True,
    help="Only what a person must look at: not said to be refunded, or in doubt.",
)
@click.option("--json", is_flag=True, help="One JSON object a line instead of CSV.")
def command(run: str, unconfirmed: bool, json: bool) -> int:
    """List what the run in the directory RUN paid for without a result.

    One line for every job that failed, was lost or was given up, and for every submit in doubt, in
    the order of the rows; the sums go to standard error. It can be asked while the run goes on.
    """
    from batcher.report.money import currency_of
    from batcher.report.refunds import (
        Sums,
        csv_header,
        csv_line,
        json_line,
        must_be_looked_at,
    )

    directory = existing_run(run)
    frozen, _ = read_run_file(directory.run_file)
    currency, sums = currency_of(frozen), Sums()
    if not json:
        click.echo(csv_header(), nl=False)

    journals = [part.journal for part in parts_of(directory)]
    for charge in itertools.chain.from_iterable(map(_charges, journals)):
        if unconfirmed and not must_be_looked_at(charge):
            continue

        sums.add(charge)
        line = json_line(charge, currency) + b"\n" if json else csv_line(charge, currency)
        click.echo(line, nl=False)

    say(sums.text(currency))
    return 0


def _charges(path: Path) -> Iterator[Charge]:
    """Yield every charge of a run, by row; a run that has not begun has none."""
    from batcher.adapters.sqlite import SqliteJournal

    if not path.exists():
        return

    with contextlib.closing(SqliteJournal.read(path)) as journal:
        after = 0
        while page := journal.charges(after, PAGE_ROWS):
            yield from page
            after = page[-1].n
