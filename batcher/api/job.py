"""From the arguments of a call to a run that can begin: read like the flags of `batcher run`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

import click
import msgspec

from batcher.adapters.rundir import RunDirectory, absolute_path
from batcher.api.rows import NAME, write_rows
from batcher.cli.commands.run.command import command
from batcher.cli.driving.beginning import begin_or_resume, owned
from batcher.cli.flags.contradictions import refuse_contradictions
from batcher.cli.flags.wishes import frozen_of, key_source, new_settings, run_path
from batcher.core.errors import UsageError
from batcher.core.secret import Secret
from batcher.core.settings import Frozen, Settings
from batcher.providers import PROVIDERS

Rows = Iterable[Mapping[str, object]]
Manifest = str | PathLike[str] | Rows

# Flags that say what a person sees, or that begin something beside the run.
NOT_HERE = (
    *("dry_run", "help", "json", "quiet", "progress", "workers"),
    *("dashboard", "fail_on", "metrics", "metrics_port"),
    *("notify", "notify_file", "notify_when", "on_finish"),
)


@dataclass(frozen=True, slots=True)
class Job:
    """A run that is about to go on in this process."""

    directory: RunDirectory
    frozen: Frozen
    settings: Settings
    read_key: Callable[[], Secret]
    rows: Rows | None
    log_level: str

    @contextmanager
    def opened(self) -> Iterator[Secret]:
        """Own the run directory, with everything in it that the run begins with; yield the key."""
        key = self.read_key()
        beside = () if self.rows is None else (NAME,)
        with owned(self.directory, beside, self.frozen.download):
            begin_or_resume(self.directory, self.frozen, self.settings)
            if self.rows is not None:
                write_rows(self.directory.path / NAME, self.rows)

            yield key


def job_of(manifest: Manifest, provider: str, flags: Mapping[str, object]) -> Job:
    """Read the arguments of a call. Raises `UsageError` for what the command would refuse."""
    is_file = isinstance(manifest, str | PathLike)
    source = fspath(manifest) if isinstance(manifest, str | PathLike) else f"rows-{provider}.jsonl"
    params = flags.get("set") or {}
    if not isinstance(params, Mapping) or not all(isinstance(name, str) for name in params):
        raise UsageError("set: give a mapping of parameters, such as {'mode': 'clipping'}")

    told = _parsed(source, provider, {k: v for k, v in flags.items() if k != "set"})
    directory = RunDirectory(run_path(source, told))
    if not is_file:
        source = str(absolute_path(directory.path / NAME))

    frozen = frozen_of(source, told, directory)
    frozen = msgspec.structs.replace(frozen, params={**frozen.params, **params})
    settings = new_settings(told, frozen.base_url)
    refuse_contradictions(frozen, settings)
    source_of_key = key_source(PROVIDERS[frozen.provider].facts.key_env, told["api_key_file"])
    rows = None if isinstance(manifest, str | PathLike) else manifest
    return Job(directory, frozen, settings, source_of_key, rows, told["log_level"])


def _parsed(source: str, provider: str, flags: Mapping[str, object]) -> dict[str, Any]:
    """Return the parameters of `batcher run`, read by its own parser."""
    words = ["--provider", provider]
    for name, value in flags.items():
        words += _words(name, value)

    words += ["--", source]  # whose name may begin with a dash

    try:
        context = command.make_context("batcher", words)
    except click.ClickException as error:
        raise UsageError(error.format_message()) from error

    return context.params


def _words(name: str, value: object) -> list[str]:
    """Return a keyword argument as the words of its flag."""
    flag = "--" + name.replace("_", "-")
    if name in NOT_HERE:
        raise UsageError(f"{name}: belongs to the command line")

    if value is None or value is False:
        return []

    if value is True:
        return [flag]

    values = value if isinstance(value, list | tuple) else [value]
    return [word for each in values for word in (flag, str(each))]
