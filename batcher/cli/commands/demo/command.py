"""`batcher demo`: a whole run against the simulator, in one process: no key, no network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batcher.cli.exits import BUG, OK, signal_exit_code
from batcher.cli.program import program
from batcher.core.errors import UsageError
from batcher.report.text import command_text, count_text, path_word, plain, rows_text

if TYPE_CHECKING:
    from batcher.adapters.rundir import RunDirectory
    from batcher.cli.commands.demo.play import End

EPILOG = """\b
Examples:
  batcher demo
  batcher demo --rows 1000 --speed 4
  batcher demo --seed 7 --dir /tmp/demo

Exit code: 0 if every row came to exactly one outcome and none was paid for twice, although some
rows fail by design; 1 if not.
"""
PROVIDER = "removit"
RATE_PER_S = 40.0  # at speed 1
JOB_S = 1.2  # half of the jobs take longer
PATH_CHARS_MAX = 1_000


@click.command(epilog=EPILOG)
@click.option("--rows", type=click.IntRange(1, 100_000), default=200, help="How many. [200]")
@click.option("--seed", type=int, default=1, help="Another seed, other faults. [1]")
@click.option("--dir", "folder", metavar="DIR", help="Where. [a new runs/demo-…]")
@click.option("--speed", type=click.FloatRange(0.1, 100), default=1.0, help="So much faster. [1]")
def command(rows: int, seed: int, folder: str | None, speed: float) -> int:
    """See a whole run: 200 rows against a simulated API that drops answers, throttles and fails.

    Everything happens in this process and on this machine. The screen shows the run; then you are
    told where its files are and what the API's own ledger says of it.
    """
    from batcher.adapters.rundir import RunDirectory
    from batcher.cli.commands.demo.play import Stage, play

    stamp = datetime.now().strftime("demo-%Y%m%d-%H%M%S")
    home = Path(folder) if folder else _new(Path("runs"), stamp)
    manifest = _written(home, rows)
    directory = RunDirectory(_new(home, "run"))
    directory.create()
    with directory.lock(time.time()):
        end = play(Stage(directory, PROVIDER, manifest, faults(speed), seed, RATE_PER_S * speed))

    for line in told(end, directory.path, _page(directory)):
        click.echo(line)

    if end.signal is not None:
        return signal_exit_code(end.signal)

    return OK if end.kept_promise else BUG


def faults(speed: float) -> str:
    """Return what goes wrong: the simulator's flaky preset, its jobs as fast as the demo."""
    from batcher.simulator.presets import PRESETS

    own = {
        "duration": f"lognormal:{JOB_S / speed:g}:0.6",
        "429": "0.01",  # each one closes the lane for everybody
        "retry_after_s": "1",
        "drop_before": "0.01",
        "drop_after": "0.01",
    }
    kept = [item for item in PRESETS["flaky"].split(",") if item.partition("=")[0] not in own]
    return ",".join([*kept, *(f"{knob}={value}" for knob, value in own.items())])


def told(end: End, directory: Path, page: Path | None) -> Iterator[str]:
    """Yield what was seen, in which files, what the ledger says, and what to try next."""
    from batcher.report.closing import state_lines

    ledger, run, batcher = end.ledger, path_word(directory), program()
    yield from state_lines(end.summary, directory, f"demo, {PROVIDER}", batcher)
    yield ""
    yield (
        f"The API's own ledger: {rows_text(ledger['references'])} seen, "
        f"{count_text(ledger['submits'])} submits arrived,"
    )
    yield (f"{count_text(ledger['jobs'])} jobs made, {rows_text(ledger['duplicates'])} paid twice.")
    lost = ledger["undelivered"]
    if lost:
        yield f"Of these, jobs made and charged whose answer got lost: {count_text(lost)}."
        yield "Their rows are held in doubt and not sent again."

    yield ""
    yield "Look at it:"
    if page is not None:
        yield f"  in a browser: {plain(page, PATH_CHARS_MAX)}"

    if end.summary.in_doubt:
        yield f"  {command_text(batcher, 'doubt', 'list', run)}"

    yield f"  {command_text(batcher, 'status', run, '--json')}"
    yield f"  {command_text('head', '-n', '1', path_word(directory / 'succeeded.jsonl'))}"
    yield "Then with your own rows, still for nothing:"
    yield f"  {command_text(batcher, 'simulate', '--provider', PROVIDER)}"


def _page(directory: RunDirectory) -> Path | None:
    """Make the report page of the run; None if that fails, which spoils no demonstration."""
    from batcher.adapters.atomic import write_atomically
    from batcher.cli.commands.report import NAME, page_of

    path = directory.path / NAME
    try:
        write_atomically(path, page_of(directory, path))
    except Exception:
        return None

    return path


def _written(home: Path, rows: int) -> Path:
    manifest = home / "manifest.jsonl"
    try:
        home.mkdir(parents=True, exist_ok=True)
        manifest.write_text("".join(_manifest(rows)), "utf-8")
    except OSError as error:
        where = error.filename or manifest
        raise UsageError(
            f"{where}: {error.strerror}; name a folder that can be written to with --dir"
        ) from error

    return manifest


def _manifest(rows: int) -> Iterator[str]:
    for n in range(1, rows + 1):
        url = f"https://images.example.com/shop/{n:05}.jpg"
        yield f'{{"id":"sku-{n:05}","file_url":"{url}","mode":"clipping"}}\n'


def _new(folder: Path, name: str) -> Path:
    """Return a path in *folder* that does not exist: the name, or the name and a number."""
    names = (name if n == 1 else f"{name}-{n}" for n in count(1))
    return next(path for path in (folder / each for each in names) if not path.exists())
