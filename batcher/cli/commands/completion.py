"""`batcher completion`: what a shell needs to finish words of a command line.

Rule: click does the work; added here is what it cannot know: which folders are runs, and where a
file or a folder is meant. Nothing is asked of an API, and nothing is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from batcher.cli.app import VARIABLE

PROGRAM = "batcher"
SHELLS = ("bash", "zsh", "fish")
RUNS = Path("runs")
RUNS_MAX = 200  # shown at a time
EPILOG = """\b
Examples:
  eval "$(batcher completion bash)"      for this shell alone
  batcher completion zsh > ~/.zfunc/_batcher
  batcher completion fish > ~/.config/fish/completions/batcher.fish

For good, bash reads ~/.local/share/bash-completion/completions/batcher; zsh
wants fpath+=~/.zfunc before compinit.
"""

PATHS = {"FILE": "file", "DIR": "dir"}  # what help calls a value -> what the shell looks for


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> int:
    """Print the script that lets SHELL finish words: commands, flags, their values, and runs."""
    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"no completion for {shell}")

    root = click.get_current_context().find_root().command
    click.echo(completion(root, {}, PROGRAM, VARIABLE).source())
    return 0


def with_words(command: click.Command) -> click.Command:
    """Return *command* with what is known of the words that its arguments and flags take."""
    for param in command.params:
        if isinstance(param.type, click.Choice) or getattr(param, "is_flag", False):
            continue

        words = _words(param)
        if words is not None:
            param.type = words

    if isinstance(command, click.Group):
        for below in command.commands.values():
            with_words(below)

    return command


def _words(param: click.Parameter) -> Word | None:
    if isinstance(param, click.Argument):
        known: dict[str, Word] = {"run": RunWord(), "manifest": PathWord("file")}
        return known.get(param.name or "")

    if param.metavar in PATHS:
        return PathWord(PATHS[param.metavar])

    special = [word for word in ("auto", "none") if word in _taken(param)]
    return FixedWord(special) if special else None


def _taken(param: click.Parameter) -> str:
    """Return the words that a flag takes besides values, as far as its table says."""
    from batcher.cli.flags.table import FLAGS

    for flag in FLAGS:
        if flag.parameter == param.name:
            is_limit = getattr(flag.kind, "__wrapped__", None) is not None
            return f"{flag.metavar or ''} {'none' if is_limit else ''}"

    return ""


class Word(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """Any text: while a word is being finished, the others are not judged."""

    name = "word"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return *value* as it is."""
        return value


class PathWord(Word):
    """A file or a folder, which the shell itself finds."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Leave it to the shell."""
        return [CompletionItem(incomplete, type=self._kind)]


class FixedWord(Word):
    """A value, or one of a few words that take its place."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return those words that go on like *incomplete*."""
        return [CompletionItem(word) for word in self._words if word.startswith(incomplete)]


class RunWord(Word):
    """The directory of a run."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the runs that go on like *incomplete*; if there are none, any folder will do."""
        found = sorted(_runs(incomplete))[:RUNS_MAX]
        return [CompletionItem(path) for path in found] or [CompletionItem(incomplete, type="dir")]


def _runs(incomplete: str) -> set[str]:
    """Return runs beside what was typed, and those in `runs/`, where they are unless told."""
    head, _, _ = incomplete.rpartition("/")
    folders = {Path(head) if head or not incomplete.startswith("/") else Path("/"), RUNS}
    found = {str(child) for folder in folders for child in _children(folder)}
    return {name for name in found if name.startswith(incomplete)}


def _children(folder: Path) -> list[Path]:
    try:
        return [child for child in folder.iterdir() if (child / "run.toml").exists()]
    except OSError:
        return []
