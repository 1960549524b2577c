"""The group of all commands: which there are, and what becomes of an exception.

Rule: a command's module is imported when the command is called. One place turns whatever went wrong
into one clear line on standard error and the exit code that belongs to it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click

from batcher import __version__
from batcher.cli.ending import end
from batcher.cli.exits import PIPE_CLOSED
from batcher.cli.failure import ReaderGone, exit_code_of, silence_stdout
from batcher.cli.process import prepare_end, prepare_process

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SECTIONS = {
    "Run": {
        "run": "Submit every row and follow its job; the same again resumes.",
        "resume": "Go on with a run from its directory alone.",
        "retry": "Take the exhausted rows of a run up again.",
    },
    "Before it": {
        "check": "Check every row of a manifest: no network, nothing spent.",
        "plan": "Say how long a manifest takes, why so long, and what it costs.",
        "doctor": "Look whether this machine, the key and the API are fit.",
        "providers": "List the APIs that are known, with their parameters.",
    },
    "Look at it": {
        "status": "Say how a run stands, also while it goes on.",
        "errors": "Say why rows did not succeed, and what to do about it.",
        "show": "Tell everything that is known of one row.",
        "runs": "List the runs in a folder, the newest first.",
        "dashboard": "Show a run in the browser: live, and afterwards as a replay.",
        "report": "Write a page: how it went, why, and what to do next.",
        "compare": "Say what differs between runs, and what is chance.",
    },
    "Settle it": {
        "doubt": "Decide rows of which nobody knows whether they were paid for.",
        "refunds": "List what was paid for without a result, for support.",
    },
    "Try it": {
        "demo": "See a whole run: no key, no network, nothing spent.",
        "simulate": "Serve a faithful local copy of an API, with faults on demand.",
        "bench": "Load an API at a given rate, and say how it bears it.",
    },
    "Set it up": {
        "config": "Show every setting and where it comes from.",
        "completion": "Print the script that lets a shell finish words.",
    },
}
COMMANDS = {name: about for section in SECTIONS.values() for name, about in section.items()}

VARIABLE = "_BATCHER_COMPLETE"  # click's own name: how a shell asks for words
EPILOG = """\b
Start here:
  batcher demo
  batcher check photos.jsonl --provider removit
  batcher plan photos.jsonl --provider removit
  batcher run photos.jsonl --provider removit
  batcher status runs/photos-removit

Each command has examples: batcher run --help
"""


class Commands(click.Group):
    """Commands that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None

        module = import_module(f"batcher.cli.commands.{cmd_name}")
        if hasattr(module, "__path__"):
            module = import_module(f"{module.__name__}.command")

        command = cast("click.Command", module.command)
        command.name = cmd_name
        return _finishing(command) if VARIABLE in os.environ else command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that *args* begin with; of a mistyped one the nearest is told."""
        near = [] if args[0] in COMMANDS else get_close_matches(args[0], COMMANDS, n=1)
        if near:
            ctx.fail(f"No such command {args[0]!r} (did you mean {near[0]!r}?).")

        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that go on like *incomplete*, without importing them."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=about)
            for name, about in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what they are for, without importing them."""
        name_cells = max(map(len, COMMANDS))
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(name_cells), text) for name, text in section.items()]
                )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a closed pipe is told apart before click sees it."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            raise ReaderGone from error

        return result

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run the command that *args* name and leave the process with its exit code."""
        try:
            result = super().main(args, prog_name, complete_var, False, **extra)
            code = result if isinstance(result, int) else 0
        except ReaderGone:
            silence_stdout()
            code = PIPE_CLOSED
        except BaseException as error:
            code = exit_code_of(error)

        end(code)
        sys.exit(code)


def _finishing(command: click.Command) -> click.Command:
    """Return a command for a shell that wants a word of it finished."""
    from batcher.cli.commands.completion import with_words

    return with_words(command)


@click.command(
    "batcher",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(__version__, "--version", message="batcher %(version)s")
def cli() -> None:
    """Process a manifest through an API that answers with job ids.

    Every row is submitted once, every job is followed to its end, and the run can be killed at any
    instant: it never pays twice for a row and never forgets a job that was paid for.
    """


def main() -> NoReturn:
    """Run `batcher`."""
    prepare_process()
    try:
        cli.main(prog_name="batcher")
    finally:
        prepare_end()
