"""The flags that set how a run goes about it: one line here for each field of `Settings`.

Rule: no number stands here. A default is read from `Settings`, so help and behaviour cannot differ,
and a flag that was not given leaves the field alone: on `resume`, to what the run was started with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click
import msgspec

from batcher.cli.values import (
    NONE,
    count,
    duration,
    failure_limit,
    instant,
    or_none,
    rate,
    whole_number,
)
from batcher.core.settings import Settings

C = TypeVar("C", bound=Callable[..., Any])

DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(Settings)}


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. `field` is the one of `Settings` that it sets; a `kind` of None makes a switch."""

    section: str
    name: str
    field: str
    help: str
    kind: Any = None  # what click takes for a type
    metavar: str | None = None

    @property
    def parameter(self) -> str:
        """The name that click gives the value, and that it has in `batcher.toml`."""
        return self.name.removeprefix("--").replace("-", "_")


IN_FLIGHT = "Rows in flight: at most this many jobs are open at the API."
PACE, REQUEST, ROW, RUN = "Pace", "One request", "One row", "The whole run"

FLAGS = (
    Flag(
        PACE,
        "--rate",
        "rate",
        "Submits at most, in place of the provider's published limit: 300/m, or 5/m,100/d.",
        or_none(rate),
        "N/UNIT",
    ),
    Flag(PACE, "--status-rate", "status_rate", "Status reads at most.", or_none(rate), "N/UNIT"),
    Flag(PACE, "--in-flight", "in_flight", IN_FLIGHT, count, "N"),
    Flag(PACE, "--connections", "connections", "Requests open at once.", count, "N"),
    Flag(
        REQUEST,
        "--submit-timeout",
        "submit_timeout_s",
        "Wait so long for the answer to a submit; after that the row is in doubt.",
        duration,
    ),
    Flag(
        REQUEST,
        "--status-timeout",
        "status_timeout_s",
        "Wait so long for the answer to a status read.",
        duration,
    ),
    Flag(
        REQUEST,
        "--download-stall",
        "download_stall_s",
        "Give a download up that stands still for so long.",
        duration,
    ),
    Flag(
        REQUEST,
        "--download-bytes-max",
        "download_bytes_max",
        "Refuse a result file that is larger.",
        count,
        "BYTES",
    ),
    Flag(
        ROW,
        "--job-timeout",
        "job_timeout_s",
        "Follow a job for so long; after that its row is exhausted, and `retry` looks again.",
        duration,
    ),
    Flag(
        ROW,
        "--max-attempts",
        "max_attempts",
        "Submits of one row that are refused for now (a 429 does not count).",
        count,
        "N",
    ),
    Flag(
        ROW,
        "--on-doubt",
        "on_doubt",
        "What to do with a row of which nobody knows whether it was paid for: hold it for you, or "
        "submit it again (see --max-duplicates).",
        click.Choice(["hold", "resubmit"]),
    ),
    Flag(
        ROW,
        "--max-duplicates",
        "max_duplicates",
        "With --on-doubt resubmit: rows of this run that may be paid for twice.",
        whole_number,
        "N",
    ),
    Flag(
        ROW,
        "--on-500",
        "on_500",
        "deAPI advises to send again after a 500 in its own words: do that, or hold the row.",
        click.Choice(["retry", "hold"]),
    ),
    Flag(
        ROW,
        "--allow-changed",
        "allow_changed",
        "On a resume, send rows that changed before their submit as they are now.",
    ),
    Flag(
        ROW,
        "--allow-private",
        "allow_private",
        "Fetch result files from private and loopback addresses too; implied by a base URL there.",
    ),
    Flag(RUN, "--limit", "limit", "The run is the first N rows.", or_none(count), "N"),
    Flag(
        RUN,
        "--max-jobs",
        "max_jobs",
        "Stop after so many jobs, counted over the whole run.",
        or_none(count),
        "N",
    ),
    Flag(
        RUN,
        "--max-failures",
        "max_failures",
        "Stop after so many failed rows, or a share of them: 100 or 5%.",
        or_none(failure_limit),
        "N|P%",
    ),
    Flag(
        RUN,
        "--max-wait",
        "max_wait_s",
        "If the API asks for a longer wait, stop and say when to come back.",
        duration,
    ),
    Flag(
        RUN,
        "--max-outage",
        "max_outage_s",
        "Stop after the API could not be reached for so long.",
        duration,
    ),
    Flag(
        RUN,
        "--max-duration",
        "max_duration_s",
        "Stop this process after so long.",
        or_none(duration),
    ),
    Flag(
        RUN,
        "--finish-by",
        "finish_by",
        "Stop then: 06:00 is the next six o'clock here; or a date and time in ISO form.",
        or_none(instant),
    ),
    Flag(
        RUN,
        "--wait-for-credits",
        "wait_for_credits",
        "When the credits run out, stay and ask now and then instead of stopping.",
    ),
    Flag(
        RUN,
        "--grace",
        "grace_s",
        "After the first Ctrl-C, let running submits be answered for so long.",
        duration,
    ),
    Flag(
        RUN,
        "--new-key",
        "new_key",
        "The API key differs from the one of the run's start, and is of the same account.",
    ),
)


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
    for flag in reversed(FLAGS):
        function = _option(flag)(function)

    return function


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
    if value is None or isinstance(value, bool):
        return ""

    return duration_flag(value) if flag.field.endswith("_s") else f"{value}"


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
        field: None if value == NONE else value
        for field, value in given.items()
        if value is not None
    }
