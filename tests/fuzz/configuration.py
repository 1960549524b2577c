"""Harnesses for what stands in files and flags that a person or an earlier process wrote.

Rule: a bad one is a `UsageError` (or click's own) with one line; a damaged `summary.json` is none.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from batcher.adapters.keys import read_key
from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import differences, read_run_file
from batcher.cli.flags import values
from batcher.cli.flags.callbacks import listen_address, webhook_url
from batcher.cli.flags.config_file import read_config
from batcher.cli.flags.origin import checked_base_url
from batcher.cli.flags.table import FLAGS
from batcher.core.errors import UsageError
from batcher.core.pacing.rates import parse_rate
from batcher.report.closing import state_lines
from batcher.report.summary import brought_to, read_summary
from tests.fuzz.scratch import scratch, written

NOW = 1_790_000_000.0
KNOWN = (*(flag.parameter for flag in FLAGS), "set", "provider", "base_url", "download")
READERS: tuple[Callable[[Any], Any], ...] = (
    *(values.amount, values.claim_wait, values.count, values.duration, values.failure_limit),
    *(values.instant, values.job_cost, values.key_value, values.names, values.rate),
    *(values.whole_number, listen_address, webhook_url, checked_base_url, parse_rate),
)
"""What a flag's text, or a value of `batcher.toml`, is read by."""


def run_file(data: bytes) -> None:
    """Read `run.toml`."""
    path = written("run.toml", data)
    with suppress(UsageError):
        frozen, _settings = read_run_file(path)
        assert differences(frozen, frozen) == []


def config(data: bytes) -> None:
    """Read `batcher.toml`, and each of its values as that of any flag."""
    with suppress(click.ClickException):
        read_config(written("batcher.toml", data), KNOWN)

    with suppress(ValueError, RecursionError):  # what TOML cannot be read was told above
        for value in tomllib.loads(data.decode()).values():
            _read_values(value)


def flag(data: bytes) -> None:
    """Read a flag's value: a rate, a duration, an amount, an address, a time."""
    _read_values(data.decode("utf-8", "surrogateescape"))


def summary(data: bytes) -> None:
    """Read `summary.json`, and say what it says."""
    found = read_summary(written("summary.json", data).parent)
    if found is not None:
        found = brought_to(found, NOW, "2026-11-22T06:00:00Z")
        for line in state_lines(found, Path("runs/a"), "a"):
            assert line.isprintable(), "a stranger paints on the terminal"


def holder(data: bytes) -> None:
    """Read who holds a run: `run.lock`."""
    written("run.lock", data)
    RunDirectory(scratch()).owned_since()


def key(data: bytes) -> None:
    """Read an API key."""
    path = written("key", data)
    path.chmod(0o600)
    with suppress(UsageError):
        found = read_key("A_KEY", str(path), {})
        assert found.reveal().isascii()
        assert found.reveal().isprintable()
        assert " " not in found.reveal()


def _read_values(value: Any) -> None:
    for read in READERS:
        if isinstance(value, str) or read not in (checked_base_url, parse_rate):
            with suppress(UsageError, click.ClickException, ValueError):  # click tells a ValueError
                read(value)
