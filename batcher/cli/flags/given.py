"""What click makes of the table of flags, and what was given of them.

Rule: a flag that was not given leaves its field alone: on `resume`, to what the run was started
with. The word `none` puts a field back to its default, which is no such limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
import msgspec

from batcher.cli.flags.table import FLAGS, Flag
from batcher.cli.flags.values import NONE
from batcher.core.settings import Settings

C = TypeVar("C", bound=Callable[..., Any])

DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(Settings)}


class SectionOption(click.Option):
    """An option that stands under a heading in `--help`."""

    def __init__(self, *args: Any, section: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose `--help` shows its options under headings."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        # click keeps the first help option that it makes: it must not depend on who asks first.
        given = attributes.get("context_settings") or {}
        attributes["context_settings"] = {"help_option_names": ["-h", "--help"], **given}
        super().__init__(*args, **attributes)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those without a heading first."""
        sections: dict[str, list[tuple[str, str]]] = {"": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections.setdefault(getattr(param, "section", ""), []).append(record)

        for section, records in sections.items():
            with formatter.section(section or "Options"):
                formatter.write_dl(records)


def settings_flags(function: C) -> C:
    """Give a command all flags of `FLAGS`."""
    return chosen_flags(*(flag.name for flag in FLAGS))(function)


def chosen_flags(*names: str) -> Callable[[C], C]:
    """Give a command some flags of `FLAGS`."""

    def decorate(function: C) -> C:
        for flag in reversed(FLAGS):
            function = _option(flag)(function) if flag.name in names else function

        return function

    return decorate


def _option(flag: Flag) -> Callable[[C], C]:
    default = _default_text(flag)
    name = flag.name if flag.kind is not None else f"{flag.name}/--no-{flag.name[2:]}"
    return click.option(
        name,
        flag.parameter,
        cls=SectionOption,
        section=flag.section,
        type=flag.kind,
        metavar=flag.metavar,
        default=None,
        help=f"{flag.help} [{default}]" if default else flag.help,
    )


def _default_text(flag: Flag) -> str:
    value = DEFAULTS.get(flag.field)
    if value is None or value == () or isinstance(value, bool):
        return ""

    if flag.metavar == "SIZE":
        return size_flag(value)

    return duration_flag(value) if flag.field.endswith("_s") else f"{value}"


def size_flag(size_bytes: int) -> str:
    """Return a size as a flag takes it: `256MB`."""
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size_bytes >= size and size_bytes % size == 0:
            return f"{size_bytes // size}{unit}"

    return f"{size_bytes}"


def duration_flag(seconds: float) -> str:
    """Return a duration as a flag takes it: `15m`, `90s`."""
    for size, unit in ((3_600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"

    return f"{seconds:g}s"


def given_settings(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of `Settings` that a flag, the environment or `batcher.toml` sets."""
    given = {flag.field: parameters.get(flag.parameter) for flag in FLAGS}
    return {
        field: DEFAULTS[field] if value == NONE else value
        for field, value in given.items()
        if value is not None
    }
