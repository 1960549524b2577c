"""Flags for a run that nobody looks at: what is told at its end, to whom, and what counts as bad.

Rule: they belong to one process of a run and are kept in no file of it. They are read, and whatever
cannot work is refused, before anything is made or sent. The address of `--notify` is a secret.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import click

from batcher.adapters.rundir import RunDirectory, absolute_path
from batcher.cli.failure import hiding
from batcher.cli.flags.callbacks import PORT_MAX
from batcher.cli.flags.given import SectionOption
from batcher.cli.flags.origin import is_loopback
from batcher.cli.flags.values import AUTO, NONE, or_none
from batcher.cli.night.fail_on import Condition, conditions
from batcher.core.errors import UsageError
from batcher.core.secret import Secret

C = TypeVar("C", bound=Callable[..., Any])
When = Literal["always", "trouble"]

SECTION = "Unattended runs"
WATCHED = "Watched runs"
IN_RUN = "in-run"  # `--metrics` without a file
METRICS_NAME = "metrics.prom"
LOOPBACK = "127.0.0.1"
ADDRESS_CHARS_MAX = 4_096
ADDRESS_FORM = "write https://…, or an address of apprise such as mailtos://…"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_LISTEN = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):)?([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Night:
    """What surrounds one process of a run."""

    fail_on: tuple[Condition, ...] = ()
    on_finish: tuple[str, ...] = ()  # a command's words
    notify: Secret | None = None  # an address
    notify_when: When = "trouble"
    metrics: Path | None = None
    metrics_port: str | None = None  # HOST:PORT
    dashboard: str | None = None  # HOST:PORT or `auto`
    is_private: bool = True  # the file of `metrics` lies in the run directory, like its others


# --- How the values are read ---------------------------------------------------------------------


def command_words(value: Any) -> tuple[str, ...]:
    """Read a command as a shell splits it; `batcher.toml` may give a list of its words."""
    if isinstance(value, list | tuple):
        words = tuple(str(word) for word in value)
    else:
        try:
            words = tuple(shlex.split(str(value)))
        except ValueError as error:
            raise click.BadParameter(f"{str(value)[:80]!r} is no command: {error}") from error

    if not words or not words[0] or any("\0" in word for word in words):
        raise click.BadParameter("names no command; write it as in a shell: 'mail-me --to ann'")

    return words


def notify_address(value: Any) -> str:
    """Read the address that is told; what is refused is not quoted, because it may hold a token."""
    text = str(value).strip()
    if not _SCHEME.fullmatch(text) or not text.isprintable() or len(text) > ADDRESS_CHARS_MAX:
        raise click.BadParameter(f"is no address: {ADDRESS_FORM}")

    try:
        url = urlsplit(text)
        _ = url.port  # raises for one that is no number
    except ValueError:
        raise click.BadParameter(f"has a host or a port that is none: {ADDRESS_FORM}") from None

    if url.scheme.lower() in ("http", "https") and not url.hostname:
        raise click.BadParameter(f"names no host: {ADDRESS_FORM}")

    if url.scheme.lower() == "http" and not is_loopback(text):
        raise click.BadParameter(
            "plain http is for this machine alone (127.0.0.1, ::1, localhost): write https://…"
        )

    return text


def is_web(address: Secret) -> bool:
    """Return whether an address is told by a POST of our own; all others are apprise's."""
    return urlsplit(address.reveal()).scheme.lower() in ("http", "https")


def listening(value: Any) -> str:
    """Read `9464`, `127.0.0.1:9464` or `[::1]:9464`; port 0 is a free one."""
    text = str(value).strip()
    found = _LISTEN.fullmatch(text)
    if found is None or int(found[2]) > PORT_MAX:
        raise click.BadParameter(
            f"{text[:80]!r} is no port of this machine: write 9464, or HOST:9464 for others too"
        )

    return f"{found[1] or LOOPBACK}:{int(found[2])}"


def dashboard_address(value: Any) -> str:
    """Read where the dashboard is shown; `auto`, and the flag alone, leave it to batcher."""
    return AUTO if value is True or str(value).strip().lower() == AUTO else listening(value)


# --- The flags -----------------------------------------------------------------------------------


class ConditionsOption(SectionOption):
    """`--fail-on`, which may be given again; its variable holds all, joined by commas."""

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Return the text of the variable, blanks and all, or None."""
        text = self.resolve_envvar_value(ctx)
        return None if text is None else [text]


def night_options(function: C) -> C:
    """Give a command the flags for unattended runs."""
    for option in reversed(_OPTIONS):
        function = option(function)

    return function


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--fail-on",
        cls=ConditionsOption,
        section=SECTION,
        type=or_none(conditions),
        multiple=True,
        metavar="'COUNT>N|N%'",
        help="Exit code 3 only if there are more such rows (failed, exhausted, in_doubt, pending) "
        "than N or N% of all: 'failed>1%'. [any row that did not succeed]",
    ),
    click.option(
        "--on-finish",
        cls=SectionOption,
        section=SECTION,
        type=or_none(command_words),
        metavar="COMMAND",
        help="Run this once at the end, whatever the end; without a shell.",
    ),
    click.option(
        "--notify",
        cls=SectionOption,
        section=SECTION,
        type=or_none(notify_address),
        metavar="URL",
        help="POST the summary there at the end; an address with a token is better put into "
        "BATCHER_NOTIFY or --notify-file.",
    ),
    click.option(
        "--notify-file",
        cls=SectionOption,
        section=SECTION,
        metavar="FILE",
        help="Read the address of --notify from a file that only you can read.",
    ),
    click.option(
        "--notify-when",
        cls=SectionOption,
        section=SECTION,
        type=click.Choice(["always", "trouble"]),
        default="trouble",
        help="Tell of every end, or only of one that needs a person. [trouble]",
    ),
    click.option(
        "--metrics",
        cls=SectionOption,
        section=SECTION,
        metavar="FILE",
        is_flag=False,
        flag_value=IN_RUN,
        help="Keep numbers for Prometheus in FILE, or else in metrics.prom of the run directory.",
    ),
    click.option(
        "--metrics-port",
        cls=SectionOption,
        section=SECTION,
        type=or_none(listening),
        metavar="[HOST:]PORT",
        help="Show them at /metrics of this port too, and /health beside them.",
    ),
    click.option(
        "--dashboard",
        cls=SectionOption,
        section=WATCHED,
        type=or_none(dashboard_address),
        metavar="[HOST:]PORT",
        is_flag=False,
        flag_value=AUTO,
        help="Show the run in a browser; the address is printed. [127.0.0.1:8787, or a free port]",
    ),
)


# --- What was given ------------------------------------------------------------------------------


def night_of(flags: Mapping[str, Any], directory: RunDirectory) -> Night:
    """Return what was asked for. Raises `UsageError` for what can never work."""
    given = flags["fail_on"]
    metrics, is_private = _metrics(flags["metrics"], directory)
    return Night(
        fail_on=() if NONE in given else tuple(one for several in given for one in several),
        on_finish=_command(flags["on_finish"]),
        notify=_address(flags),
        notify_when=flags["notify_when"],
        metrics=metrics,
        metrics_port=None if flags["metrics_port"] == NONE else flags["metrics_port"],
        dashboard=None if flags["dashboard"] == NONE else flags["dashboard"],
        is_private=is_private,
    )


def _command(words: Any) -> tuple[str, ...]:
    if words is None or words == NONE:
        return ()

    if shutil.which(words[0]) is None:
        raise UsageError(
            f"--on-finish: there is no command {words[0][:200]!r} here; it is run without a shell: "
            "for one, write 'sh -c \"…\"'"
        )

    return tuple(words)


def _address(flags: Mapping[str, Any]) -> Secret | None:
    text, file = flags["notify"], flags["notify_file"]
    if file is not None and file.strip().lower() != NONE:
        from batcher.adapters.keys import read_secret_file

        if text is not None and text != NONE:
            raise UsageError("--notify and --notify-file: give one of them")

        address = hiding(read_secret_file(file, "address"))
        try:
            notify_address(address.reveal())
        except click.BadParameter as error:
            raise UsageError(f"--notify-file {file}: {error.message}") from None
    elif text is None or text == NONE:
        return None
    else:
        address = hiding(Secret(text, "--notify"))

    if not is_web(address):
        from batcher.adapters.notify import refuse_without_apprise

        refuse_without_apprise()

    return address


def _metrics(given: Any, directory: RunDirectory) -> tuple[Path | None, bool]:
    """Return where the numbers are kept, and whether that is a private place."""
    if given is None or str(given).strip().lower() == NONE:
        return None, True

    if given in (IN_RUN, True):
        return directory.path / METRICS_NAME, True

    from batcher.adapters.textfile import refuse_unwritable

    path = absolute_path(given)
    refuse_unwritable(path, "--metrics")
    return path, path.parent == absolute_path(directory.path)
