"""`batcher simulate`: what its help lists and what it refuses."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from batcher.cli.commands.simulate import command
from batcher.simulator import PRESETS, FaultPlan

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "simulator.md"


def test_the_help_lists_every_knob_and_preset() -> None:
    """One line each, as they are typed, in groups."""
    told = CliRunner().invoke(command, ["--help"]).output
    lines = [line.split() for line in told.splitlines() if line.strip()]
    for knob in fields(FaultPlan):
        assert sum(line[0] == knob.name for line in lines) == 1, knob.name

    assert f"presets: {', '.join(PRESETS)}" in told
    assert "  Webhooks (deapi):" in told.splitlines()


def test_the_page_speaks_of_every_knob_and_preset() -> None:
    """docs/simulator.md has each by name."""
    text = PAGE.read_text(encoding="utf-8")
    names = [*(knob.name for knob in fields(FaultPlan)), *PRESETS]
    assert [name for name in names if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0: only a loopback address"),
        (["--webhook-via", "https://example.com"], "--webhook-via https://example.com: only"),
        (["--webhook-via", "http://10.0.0.1:80"], "--webhook-via http://10.0.0.1:80: only"),
        (["--webhook-via", "127.0.0.1:80"], "--webhook-via 127.0.0.1:80: only"),
    ],
)
def test_nothing_leaves_this_machine(arguments: list[str], told: str) -> None:
    """Neither the server nor its calls."""
    result = CliRunner().invoke(command, ["--provider", "deapi", *arguments])
    assert result.exit_code == 2
    assert told in result.output
