"""What `run`, `check`, `resume` and `retry` have in common: options, and the values made of them.

Rule: flag > environment (`BATCHER_…`, one flat name for each flag) > `batcher.toml` > default. For
a run that exists, its `run.toml` stands where `batcher.toml` and the defaults stand for a new one.
"""

from __future__ import annotations

import difflib
import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from click.core import ParameterSource

from batcher.adapters.rundir import RunDirectory, absolute_path, default_run_directory
from batcher.adapters.runfile import read_run_file
from batcher.cli.driving.screen import PROGRESS, Screen
from batcher.cli.failure import hiding, say
from batcher.cli.flags.config_file import NAME, read_config
from batcher.cli.flags.given import SectionedCommand, given_settings
from batcher.cli.flags.known import ProviderName, find_provider
from batcher.cli.flags.origin import checked_base_url, is_loopback
from batcher.cli.flags.values import SetOption, count, key_value, one_of_each, or_auto
from batcher.core.errors import UsageError
from batcher.core.secret import Secret
from batcher.core.settings import Frozen, Settings
from batcher.providers import provider_named

C = TypeVar("C", bound=Callable[..., Any])

PREFIX = "BATCHER"
IN_RUN = "in-run"  # `--download` without a folder
STDIN = "-"
QUOTES = 20  # questions for prices; the meanest account has 200 a day
NEAR = 0.8  # difflib's ratio from which a name counts as mistyped

# What may be written down once: the options of `run`, by the names of their parameters.
RUN_OPTIONS = (
    *("api_key_file", "base_url", "download", "dry_run", "json", "log_level"),
    *("progress", "provider", "quiet", "run_dir", "set", "workers"),
    *("dashboard", "fail_on", "metrics", "metrics_port"),
    *("notify", "notify_file", "notify_when", "on_finish"),
    *(name.removesuffix("_s") for name in Settings.__struct_fields__),
)
HELP = frozenset({"-h", "--help"})
LEVELS = ("debug", "info", "warning", "error")

provider_option = click.option(
    "--provider",
    type=ProviderName(),
    required=True,
    help="The API; `batcher providers` says more about each.",
)
set_option = click.option(
    "--set",
    cls=SetOption,
    type=key_value,
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the API for all rows; a row's own value wins. May be given again.",
)
run_dir_option = click.option(
    "--run-dir", metavar="DIR", help="Where the run lives. [runs/<manifest>-<provider>]"
)
workers_option = click.option(
    "--workers",
    type=or_auto(count),
    metavar="N|auto",
    help="Processes that share the run, for rates that one cannot reach. A run keeps its number. "
    "[1]",
)
quotes_option = click.option(
    "--quotes",
    type=count,
    default=QUOTES,
    metavar="N",
    help=f"With --preflight: ask for so many prices at most and estimate the rest. [{QUOTES}]",
)
limit_option = click.option("--limit", type=count, metavar="N", help="Only the first N rows.")
key_file_option = click.option(
    "--api-key-file",
    metavar="FILE",
    help="Read the API key from a file that only you can read, instead of the environment.",
)


base_url_option = click.option(
    "--base-url", metavar="URL", help="Another address of the API. [the provider's own]"
)
download_option = click.option(
    "--download",
    metavar="DIR",
    is_flag=False,
    flag_value=IN_RUN,
    help="Fetch the result files, into DIR or else into downloads/ of the run directory.",
)


def screen_options(function: C) -> C:
    """Give a command the flags that say what is shown."""
    for option in (
        click.option(
            "--log-level",
            type=click.Choice(LEVELS),
            default="info",
            help="Events from this level on go to log.jsonl and to --json. [info]",
        ),
        click.option(
            "--progress",
            type=click.Choice(PROGRESS),
            default="auto",
            help="How the run is shown on standard error: painted, lines, JSON, or not. [auto]",
        ),
        click.option("--json", is_flag=True, help="Events on standard output, as JSON."),
        click.option("--quiet", "-q", is_flag=True, help="Say nothing unless something is wrong."),
    ):
        function = option(function)

    return function


class ConfiguredCommand(SectionedCommand):
    """A command whose options may also come from the environment and from `batcher.toml`."""

    reads_file = True

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Put what `batcher.toml` says below flags and environment."""
        is_meant = not HELP.intersection(args) and not extra.get("resilient_parsing")
        if self.reads_file and is_meant:
            extra["default_map"] = read_config(Path(NAME), RUN_OPTIONS)

        if is_meant:
            warn_of_variables(os.environ, [param.name or "" for param in self.params])

        try:
            return super().make_context(info_name, args, parent, auto_envvar_prefix=PREFIX, **extra)
        except click.BadParameter as error:
            raise _with_source(error) from None


def warn_of_variables(environ: Mapping[str, str], own: Iterable[str]) -> None:
    """Tell of each variable that is nearly one of ours: a limit that does nothing costs money.

    *own* are the options of this command, which `run` need not have.
    """
    known = [name.upper() for name in (*RUN_OPTIONS, *own)]
    given = [name.removeprefix(f"{PREFIX}_") for name in environ if name.startswith(f"{PREFIX}_")]
    for name in sorted(set(given).difference(known)):
        for near in difflib.get_close_matches(name, known, 1, NEAR):
            say(f"warning: {PREFIX}_{name} is not known; did you mean {PREFIX}_{near}?")


def _with_source(error: click.BadParameter) -> click.UsageError:
    """Return an error that names where the bad value stands, if that is not the command itself."""
    if error.ctx is None or error.param is None or error.param.name is None:
        return error

    name = error.param.name
    match error.ctx.get_parameter_source(name):
        case ParameterSource.ENVIRONMENT:
            where = f"{PREFIX}_{name.upper()}"
        case ParameterSource.DEFAULT_MAP:
            where = f"{NAME}: {name.replace('_', '-')}"
        case _:
            return error

    return click.UsageError(f"{where}: {error.message}", error.ctx)


class ResumingCommand(ConfiguredCommand):
    """The same for a run that exists: its own `run.toml` is its configuration."""

    reads_file = False


def key_source(key_env: str, key_file: str | None) -> Callable[[], Secret]:
    """Return a reader of the API key that can be called again, when the key was replaced."""
    from batcher.adapters.keys import read_key

    reads = itertools.count()
    return lambda: hiding(read_key(key_env, key_file, os.environ, again=next(reads) > 0))


def screen_of(flags: Mapping[str, Any]) -> Screen:
    """Return what is to be shown."""
    return Screen(flags["quiet"], flags["json"], flags["log_level"], flags["progress"])


def run_path(manifest: str, flags: Mapping[str, Any]) -> Path:
    """Return where the run of a manifest lives."""
    chosen = flags["run_dir"]
    return Path(chosen) if chosen else default_run_directory(manifest, flags["provider"])


def frozen_of(manifest: str, flags: Mapping[str, Any], directory: RunDirectory) -> Frozen:
    """Return what a new run is about. Raises `UsageError` for what can never work."""
    params = dict(one_of_each(flags["set"]))
    facts = provider_named(flags["provider"], params).facts
    download = flags["download"]
    if download is not None:
        folder = directory.downloads if download in (IN_RUN, True) else Path(download)
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--download {folder}: is a file, not a folder")

        download = str(absolute_path(folder))

    return Frozen(
        provider=facts.name,
        base_url=checked_base_url(flags["base_url"] or facts.base_url),
        manifest=manifest if manifest == STDIN else str(absolute_path(manifest)),
        params=params,
        download=download,
    )


def new_settings(flags: Mapping[str, Any], base_url: str) -> Settings:
    """Return how a new run goes about it."""
    given = given_settings(flags)
    if is_loopback(base_url):
        given.setdefault("allow_private", True)

    return Settings(**given)  # type: ignore[arg-type]  # each flag's type is that of its field


def resumed_settings(stored: Settings, flags: Mapping[str, Any], now: float) -> Settings:
    """Return how an existing run goes on: as before, but for what is given now.

    A `finish_by` that is over belonged to the night before.
    """
    given = given_settings(flags)
    if stored.finish_by is not None and stored.finish_by <= now:
        given.setdefault("finish_by", None)

    return msgspec.structs.replace(stored, **given)


def existing_run(text: str) -> RunDirectory:
    """Return the run directory that a person names. Raises `UsageError` if it is none."""
    directory = RunDirectory(Path(text))
    if not directory.is_run:
        raise UsageError(f"{text}: is no run directory; it has no run.toml")

    find_provider(read_run_file(directory.run_file)[0].provider)
    return directory
