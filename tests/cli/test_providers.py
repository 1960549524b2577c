"""`providers` says of each API what a person must know before the first run."""

from __future__ import annotations

import json

from click.testing import CliRunner

from batcher.cli.app import cli
from batcher.providers import PROVIDERS


def said(*words: str) -> str:
    """Return what the command prints."""
    done = CliRunner().invoke(cli, ["providers", *words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_money_and_calls_are_told_of_each() -> None:
    """Whether prices and balance can be asked for, and whether the API calls by itself."""
    assert "tells prices and the balance; takes no submit below 0.49 USD" in said("deapi")
    assert "makes signed ones (webhooks)" in said("deapi")
    assert "--cost-per-job takes their place" in said("removit")
    assert "makes none, so jobs are polled" in said("removit")


def test_a_terminal_of_80_columns_is_wide_enough() -> None:
    """Nothing is wrapped by the terminal itself, which would break the table."""
    assert max(map(len, [*said("deapi").splitlines(), *said("removit").splitlines()])) <= 80


def test_each_task_is_listed_with_what_it_takes() -> None:
    """A task of one parameter is not shown with those of another; settings are told apart."""
    told = said("deapi").splitlines()
    at = told.index("  upscales: enlarge an image")

    assert told[at + 1] == "    model"
    assert any(line.startswith("  api ") and "--set only" in line for line in told)
    assert any(line.startswith("  tier ") and "--set only" in line for line in told)


def test_all_of_it_as_json() -> None:
    """One object for each API, with the same keys in all of them."""
    found = {one["name"]: one for one in json.loads(said("--json"))}

    assert found.keys() == PROVIDERS.keys()
    assert found["deapi"].keys() == found["removit"].keys()
    deapi, removit = found["deapi"], found["removit"]
    assert (deapi["prices"], deapi["webhooks"], deapi["currency"]) == (True, True, "USD")
    assert (removit["prices"], removit["webhooks"], removit["tasks"]) == (False, False, {})
    assert deapi["tasks"]["ocr"]["parameters"][:2] == ["model", "language"]
    assert deapi["limits"]["price"]
