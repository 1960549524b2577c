"""`batcher bench`: load an API at a given rate and say how it bears it.

Rule: underneath it is an ordinary run in an ordinary directory, with all that a run promises; what
is its own are the moments at which jobs are started, and the table at the end. It spends money, so
its caps have no defaults, and it says what it will spend before it does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from batcher.adapters.rundir import RunDirectory
from batcher.cli.exits import UNUSABLE, run_exit_code
from batcher.cli.failure import say, without_keys
from batcher.cli.flags.given import chosen_flags
from batcher.cli.flags.values import some_time
from batcher.cli.flags.wishes import (
    ConfiguredCommand,
    base_url_option,
    frozen_of,
    key_file_option,
    key_source,
    new_settings,
    provider_option,
    screen_of,
    screen_options,
    set_option,
)
from batcher.cli.program import program
from batcher.core.errors import UsageError
from batcher.core.load import Load, Step, steps_of
from batcher.core.money import amount, nanos
from batcher.core.settings import Frozen, Settings
from batcher.providers import PROVIDERS, provider_named
from batcher.report.text import command_text, count_text, duration_text, path_word

if TYPE_CHECKING:
    from batcher.cli.driving.drive import Ended
    from batcher.core.secret import Secret

LEAD_S = 3.0  # before the first job is due: until then the run has been opened
HASTE = 10.0  # times the highest rate: so fast those leave that were held up
FLAGS = (
    *("--max-jobs", "--max-cost", "--cost-per-job", "--status-rate", "--connections"),
    *("--submit-timeout", "--status-timeout", "--job-timeout", "--max-failures", "--grace"),
)
CONNECTIONS = 256  # half of them submit: that many may hang before one more must wait
EPILOG = """\b
Examples:
  batcher bench photos.jsonl --provider removit --rate 5/s --max-jobs 300
      --duration 60s --cost-per-job 0.05 --max-cost 15
  batcher bench photos.jsonl --provider removit --rate 1/s,2/s,5/s
      --duration 30s --max-jobs 240 --yes
  batcher compare runs/bench-monday runs/bench-tuesday

Every job is paid for like any other. Ctrl-C ends it; `resume` collects what is open.
"""


def rates(value: Any) -> tuple[float, ...]:
    """Read `5/s`, or several steps: `1/s,2/s,5/s`; return jobs a second."""
    from batcher.core.pacing.rates import parse_rate

    try:
        windows = parse_rate(str(value)).windows
    except UsageError as error:
        raise click.BadParameter("write 5/s, or steps joined by commas: 1/s,2/s,5/s") from error

    return tuple(window.count / window.period_s for window in windows)


@click.command(cls=ConfiguredCommand, epilog=EPILOG)
@click.argument("manifest")
@provider_option
@click.option(
    "--rate",
    "load",
    type=rates,
    required=True,
    metavar="N/UNIT,…",
    help="Jobs started, whatever becomes of them; several are steps, one after the other.",
)
@click.option(
    "--duration",
    "lasting",
    type=some_time,
    required=True,
    metavar="DURATION",
    help="How long each step lasts.",
)
@click.option("--run-dir", "home", metavar="DIR", help="Where the run lives. [a new runs/bench-…]")
@base_url_option
@set_option
@key_file_option
@click.option("--yes", is_flag=True, help="Do not ask before money is spent.")
@chosen_flags(*FLAGS)
@screen_options
def command(manifest: str, **flags: Any) -> int:
    """Start jobs of the rows of MANIFEST at a constant rate, and say how the API bears it.

    Jobs are started at exact moments, however long earlier ones take, and every time is counted
    from that moment: what had to wait is not hidden. The rows come again until there are enough.
    --max-jobs must be given, and --max-cost wherever a price is known.
    """
    directory = RunDirectory(_home(manifest, flags))
    if directory.path.exists():
        raise UsageError(f"{directory.path}: is there already; a load test needs a new directory")

    from batcher.cli.commands.bench.rows import NAME, check_rows

    path = directory.path.absolute() / NAME
    frozen = frozen_of(str(path), {**flags, "download": None}, directory)
    wishes = {**flags, "connections": flags["connections"] or CONNECTIONS}
    settings = new_settings(wishes, frozen.base_url)
    steps = _steps(flags, frozen, settings)
    jobs = sum(step.jobs for step in steps)
    settings = msgspec.structs.replace(
        settings, rate=_rate_text(max(step.per_s for step in steps)), in_flight=jobs
    )
    check_rows(manifest, provider_named(frozen.provider, frozen.params), jobs)
    read_again = key_source(PROVIDERS[frozen.provider].facts.key_env, flags["api_key_file"])
    key = read_again()
    if not _is_agreed(flags, frozen, settings, steps):
        say("nothing was sent")
        return UNUSABLE

    return _bench(manifest, flags, directory, (frozen, settings, steps), key)


def _home(manifest: str, flags: Mapping[str, Any]) -> Path:
    if flags["home"]:
        return Path(flags["home"])

    name = f"bench-{flags['provider']}-{datetime.now():%Y%m%d-%H%M%S}"
    names = (name if n == 1 else f"{name}-{n}" for n in count(1))
    return next(path for path in (Path("runs") / each for each in names) if not path.exists())


def _steps(flags: Mapping[str, Any], frozen: Frozen, settings: Settings) -> tuple[Step, ...]:
    """Return the steps of the load, within its caps. Raises `UsageError` without those."""
    if settings.max_jobs is None:
        raise UsageError("--max-jobs: must be given; a load test pays for every job")

    has_price = provider_named(frozen.provider, frozen.params).account is not None
    if settings.max_cost is None and (has_price or settings.cost_per_job is not None):
        raise UsageError("--max-cost: must be given, because a price is known; such as 5")

    jobs_max = settings.max_jobs
    if settings.max_cost is not None and settings.cost_per_job is not None:
        jobs_max = min(jobs_max, nanos(settings.max_cost) // nanos(settings.cost_per_job))

    steps = steps_of(flags["load"], flags["lasting"], jobs_max)
    if not steps:
        raise UsageError("--max-cost: is not enough for one job")

    return steps


def _rate_text(per_s: float) -> str:
    """Return a rate as `run.toml` has it: what is left goes at it, on a resume."""
    text = f"{per_s:.9f}".rstrip("0").rstrip(".")
    return f"{text}/s" if per_s >= 0.001 else f"{per_s * 3_600:.6f}/h"


# --- What it will spend ------------------------------------------------------------------------


def _is_agreed(
    flags: Mapping[str, Any], frozen: Frozen, settings: Settings, steps: tuple[Step, ...]
) -> bool:
    """Whether somebody wants to spend it. Raises `UsageError` if there is nobody to be asked."""
    for line in _plan(flags, frozen, settings, steps):
        say(line)

    if flags["yes"]:
        return True

    if not sys.stdin.isatty():
        raise UsageError("nobody is there to agree; pass --yes if this is meant")

    return click.confirm("Go on?", err=True)


def _plan(
    flags: Mapping[str, Any], frozen: Frozen, settings: Settings, steps: tuple[Step, ...]
) -> Iterator[str]:
    jobs = sum(step.jobs for step in steps)
    paces = ", ".join(f"{step.per_s:.3g}/s" for step in steps)
    lasts_s = steps[-1].starts_s + steps[-1].lasts_s
    yield f"{count_text(jobs)} jobs at {frozen.base_url}: {paces}, {duration_text(lasts_s)}"
    wanted = sum(step.jobs for step in steps_of(flags["load"], flags["lasting"], sys.maxsize))
    if jobs < wanted:
        yield f"cut off by its caps; all of it would be {count_text(wanted)} jobs"

    if settings.cost_per_job is not None:
        yield f"they cost up to {amount(jobs * nanos(settings.cost_per_job)):,.2f}"
    elif settings.max_cost is not None:
        yield f"they cost {settings.max_cost:,g} at most; the API is asked for their prices"
    else:
        yield "what they cost is not known; --cost-per-job and --max-cost would bound it"


# --- The run -----------------------------------------------------------------------------------


def _bench(
    manifest: str,
    flags: Mapping[str, Any],
    directory: RunDirectory,
    run: tuple[Frozen, Settings, tuple[Step, ...]],
    key: Secret,
) -> int:
    from batcher.adapters.runfile import write_run_file
    from batcher.cli.commands.bench import load as bench_load
    from batcher.cli.commands.bench import rows
    from batcher.cli.commands.bench.arrivals import Arrivals
    from batcher.cli.driving.beginning import owned
    from batcher.cli.driving.drive import Drive, conduct
    from batcher.cli.loop import run_async

    frozen, settings, steps = run
    read_again = key_source(PROVIDERS[frozen.provider].facts.key_env, flags["api_key_file"])
    with owned(directory, (rows.NAME, bench_load.NAME)):
        write_run_file(directory.run_file, frozen, settings)
        provider = provider_named(frozen.provider, frozen.params)
        jobs = sum(step.jobs for step in steps)
        rows.write_rows(directory.path / rows.NAME, manifest, provider, jobs)
        load = Load(time.time() + LEAD_S, steps)
        bench_load.write_load(directory, load)
        hasty = _rate_text(HASTE * max(step.per_s for step in steps))
        job = Drive(
            directory,
            frozen,
            msgspec.structs.replace(settings, rate=hasty),
            key,
            screen_of(flags),
            read_again,
            starts=Arrivals(load, time.time),
        )
        ended = run_async(partial(conduct, job))

    _tell(directory, job.title, ended, is_json=flags["json"])
    return run_exit_code(ended.summary, ended.signal)


def _tell(directory: RunDirectory, title: str, ended: Ended, *, is_json: bool) -> None:
    """Say how the run ended, on standard error, and what was measured, on standard output."""
    from batcher.cli.commands.compare import read_one
    from batcher.report.closing import error_lines, state_lines
    from batcher.report.compare.document import document
    from batcher.report.compare.lines import compared, lines_of

    summary = msgspec.structs.replace(ended.summary, held_back=())
    lines = state_lines(summary, directory.path, title, program())
    if summary.succeeded < summary.rows:
        lines += error_lines(ended.errors)

    for line in (*lines, *_next(directory, ended)):
        click.echo(ended.redaction.text(line), err=True)

    comparison = compared([read_one(str(directory.path), "A")])
    if is_json:
        click.echo(without_keys(document(comparison).decode()))
    else:
        for line in lines_of(comparison):
            click.echo(without_keys(line))


def _next(directory: RunDirectory, ended: Ended) -> Iterator[str]:
    """Yield what to type: jobs that were paid for are collected, and no more are made."""
    summary, run = ended.summary, path_word(directory.path)
    made = summary.jobs_accepted + summary.in_doubt
    if summary.state == "stopped" and summary.accepted:
        resume = command_text(program(), "resume", run, "--max-jobs", str(max(1, made)))
        yield f"next: {resume}  # collects open jobs, makes no more"

    yield f"later: {command_text(program(), 'compare', run)}"
