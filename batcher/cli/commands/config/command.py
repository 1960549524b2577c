"""`batcher config`: which settings hold here, where each comes from, and whether they can be used.

Rule: nothing is read but settings, nothing is written or sent. The value of a secret is not shown,
only whether there is one and where it stands.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import click
import msgspec

from batcher.cli.commands.config.show import Line, lines_of, problems_of, run_lines
from batcher.cli.commands.run.command import command as run_command
from batcher.cli.exits import OK, UNUSABLE
from batcher.cli.flags.config_file import NAME
from batcher.cli.flags.wishes import ConfiguredCommand, existing_run
from batcher.report.text import plain

NOT_SETTINGS = ("json", "dry_run")  # flags of `run` that say what this one call does
VALUE_CHARS_MAX = 200
EPILOG = """\b
Examples:
  batcher config show --origin
  batcher config show --origin --provider removit --rate 5/s
  batcher config show runs/photos-removit --origin
  batcher config check
"""


@click.group(epilog=EPILOG)
def command() -> None:
    """Show every setting and where it comes from, or check what is written down.

    A flag counts most, then its variable, then batcher.toml, then the default.
    """


def _settings_of_run() -> list[click.Parameter]:
    """Return the flags of `run`, none of which is required here."""
    found: list[click.Parameter] = []
    for param in run_command.params:
        if isinstance(param, click.Option) and param.name not in NOT_SETTINGS:
            own = copy.copy(param)
            own.required = False
            found.append(own)

    return found


class ShowCommand(ConfiguredCommand):
    """`config show`: it takes the flags of `run`, to say what would come of them."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params += _settings_of_run()


@command.command("show", cls=ShowCommand, short_help="Every setting, its value, its origin.")
@click.argument("run", required=False)
@click.option(
    "--origin", is_flag=True, allow_from_autoenv=False, help="Say where each value comes from."
)
@click.option(
    "--json", is_flag=True, allow_from_autoenv=False, help="One JSON array, one object a setting."
)
def show(run: str | None, origin: bool, json: bool, **flags: Any) -> int:
    """Show the settings that a run in this folder would have, or with which RUN goes on.

    The flags of `run` may be given, to see what becomes of them.
    """
    ctx = click.get_current_context()
    if run is None:
        shown = lines_of(ctx, flags, Path(NAME), os.environ)
    else:
        shown = run_lines(ctx, flags, existing_run(run), os.environ)

    if json:
        click.echo(msgspec.json.encode([line.as_json() for line in shown]))
        return OK

    for text in laid_out(shown, with_origin=origin):
        click.echo(text)

    return OK


@command.command("check", short_help="Whether batcher.toml and the variables can be used.")
def check() -> int:
    """Check batcher.toml of this folder and the BATCHER_ variables, all of it.

    Exit code 0: all can be used; 2: some cannot, and each is told.
    """
    path = Path(NAME)
    problems = problems_of(run_command, path, os.environ)
    for problem in problems:
        click.echo(plain(problem, 1_000))

    if not problems:
        there = "can be used" if path.exists() else "is not here, and needs not be"
        click.echo(f"{NAME} {there}; the variables can be used")

    return UNUSABLE if problems else OK


def laid_out(lines: list[Line], *, with_origin: bool) -> list[str]:
    """Return the settings as a table."""
    names = max(len(line.name) for line in lines)
    values = [plain(line.value, VALUE_CHARS_MAX) for line in lines]
    width = min(max(map(len, values)), 30)
    return [
        f"{line.name:<{names}}  {value:<{width}}  {plain(line.origin, VALUE_CHARS_MAX)}".rstrip()
        if with_origin
        else f"{line.name:<{names}}  {value}"
        for line, value in zip(lines, values, strict=True)
    ]
