"""What may change when a run goes on, and what is refused: a decision for every single setting.

A new field of `Frozen` or `Settings` is not in these tables, and that makes a test red: whoever
adds one decides here whether it may change under a run that has paid for rows already.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import differences, read_run_file
from batcher.cli.driving.beginning import begin_or_resume
from batcher.core.errors import UsageError
from batcher.core.secret import Secret
from batcher.core.settings import Frozen, Settings
from batcher.engine.session import open_session
from tests.engine.harness import Night
from tests.support.figures import Figures
from tests.support.logs import Events

ORIGIN = '"https://removit.eu"'
FROZEN = Frozen(
    provider="removit",
    base_url="https://removit.eu",
    manifest="/m/rows.jsonl",
    params={"mode": "params", "size": 1, "deep": {"list": [1, None]}},
    download="/d",
)
PARAMS = FROZEN.params
SETTINGS = Settings()

# What a run is about: whatever differs is refused, with this line.
REFUSED: tuple[tuple[str, object, str], ...] = (
    ("provider", "deapi", '--provider: the run has "removit", the command says "deapi"'),
    (
        "base_url",
        "https://x.io",
        f'--base-url: the run has {ORIGIN}, the command says "https://x.io"',
    ),
    (
        "base_url",
        "http://removit.eu",
        f'--base-url: the run has {ORIGIN}, the command says "http://removit.eu"',
    ),
    (
        "manifest",
        "/m/rows.csv",
        'the manifest: the run has "/m/rows.jsonl", the command says "/m/rows.csv"',
    ),
    ("manifest", "-", 'the manifest: the run has "/m/rows.jsonl", the command says "-"'),
    ("download", None, '--download: the run has "/d", the command says none'),
    ("download", "/e", '--download: the run has "/d", the command says "/e"'),
    ("shards", 2, "--workers: the run has none, the command says 2"),
    ("shard", 0, "the shard: the run has none, the command says 0"),
    (
        "params",
        {**PARAMS, "mode": "clipping"},
        '--set mode: the run has "params", the command says "clipping"',
    ),
    ("params", {**PARAMS, "size": 1.0}, "--set size: the run has 1, the command says 1.0"),
    ("params", {**PARAMS, "size": True}, "--set size: the run has 1, the command says true"),
    ("params", {**PARAMS, "size": "1"}, '--set size: the run has 1, the command says "1"'),
    ("params", {**PARAMS, "new": None}, "--set new: the run has none, the command says null"),
    (
        "params",
        {**PARAMS, "deep": {"list": [1]}},
        '--set deep: the run has {"list": [1, null]}, the command says {"list": [1]}',
    ),
    (
        "params",
        {"mode": "params", "deep": PARAMS["deep"]},
        "--set size: the run has 1, the command says none",
    ),
)

# How a run goes about it: may change with every resume, and the new value is kept. Why each may.
MAY_CHANGE: dict[str, object] = {
    # The pace is a matter of today's account and machine; caps of a day are counted by the journal.
    "rate": "5/m,100/d",
    "status_rate": "9/s",
    "in_flight": 7,
    "connections": "auto",
    # One request: what has been sent is answered already, or in doubt.
    "submit_timeout_s": 1.0,
    "status_timeout_s": 2.0,
    "download_stall_s": 3.0,
    "download_bytes_max": 4,
    "variants": ("clipping",),
    # One row: attempts and duplicates are counted by the journal, over all processes.
    "max_attempts": 6,
    "job_timeout_s": 7.0,
    "on_doubt": "resubmit",
    "max_duplicates": 8,
    "on_500": "hold",
    "allow_changed": True,
    "allow_private": True,
    "new_key": True,
    # The whole run: jobs, costs and failures are counted by the journal, over all processes.
    "limit": 9,
    "max_jobs": 10,
    "max_cost": 11.5,
    "cost_per_job": 0.12,
    "quote": True,
    "max_failures": "5%",
    "min_free": 13,
    "max_wait_s": 14.0,
    "max_outage_s": 15.0,
    "max_duration_s": 16.0,
    "finish_by": 2_000_000_000.0,
    "wait_for_credits": True,
    # Webhooks: a row that waits for a call keeps its own secret in the journal.
    "webhook_listen": "127.0.0.1:8000",
    "webhook_url": "https://hooks.example",
    "claim_wait_s": 17.0,
    "grace_s": 18.0,
}


def begun(folder: Path) -> RunDirectory:
    """Return the directory of a run that was begun."""
    directory = RunDirectory(folder / "run")
    directory.create()
    begin_or_resume(directory, FROZEN, SETTINGS)
    return directory


def test_every_field_has_its_decision(figures: Figures) -> None:
    """A field that stands in no table, or in one that it has left, is not decided."""
    decided = {name for name, _, _ in REFUSED} | MAY_CHANGE.keys()
    figures.add("settings on resume", {"fields decided": len(decided)})
    assert {name for name, _, _ in REFUSED} == set(Frozen.__struct_fields__)
    assert set(MAY_CHANGE) == set(Settings.__struct_fields__)


@pytest.mark.parametrize(("name", "value", "line"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_a_run_is_about_cannot_change(
    name: str, value: Any, line: str, tmp_path: Path
) -> None:
    """One line says old and new; the run stays as it is, and its own command goes on."""
    directory = begun(tmp_path)
    before = directory.run_file.read_bytes()
    changed = msgspec.structs.replace(FROZEN, **{name: value})
    assert differences(FROZEN, changed) == [line]
    with pytest.raises(UsageError) as refused:
        begin_or_resume(directory, changed, SETTINGS)

    assert str(refused.value) == (
        f"{directory.path} holds another run; give this one its own --run-dir, or go on with that "
        f"one by `batcher resume`: {line}"
    )
    assert directory.run_file.read_bytes() == before
    begin_or_resume(directory, FROZEN, SETTINGS)


@pytest.mark.parametrize(("name", "value"), MAY_CHANGE.items(), ids=list(MAY_CHANGE))
def test_how_it_goes_about_it_may_change(name: str, value: Any, tmp_path: Path) -> None:
    """The run goes on with the new value, keeps it, and takes the old one again."""
    directory = begun(tmp_path)
    changed = msgspec.structs.replace(SETTINGS, **{name: value})
    assert changed != SETTINGS
    for settings in (changed, SETTINGS):
        begin_or_resume(directory, FROZEN, settings)
        assert read_run_file(directory.run_file) == (FROZEN, settings)


def test_several_differences_are_all_told() -> None:
    """Every line, in a fixed order: nobody mends one to meet the next."""
    changed = Frozen(provider="deapi", base_url="https://api.deapi.ai", manifest="-")
    assert [line.partition(":")[0] for line in differences(FROZEN, changed)] == [
        *("--provider", "--base-url", "the manifest", "--download"),
        *("--set deep", "--set mode", "--set size"),
    ]


@pytest.mark.virtual
async def test_the_account_cannot_change(tmp_path: Path) -> None:
    """The key of another account is refused once there are jobs; `--new-key` says it is none."""
    night = Night(tmp_path)
    frozen = Frozen(provider="removit", base_url="http://127.0.0.1:9", manifest=str(night.manifest))
    directory = RunDirectory(night.directory)

    async def begin(key: str, **settings: Any) -> None:
        async with open_session(
            directory, frozen, Settings(**settings), Secret(key, "REMOVIT_API_KEY"), log=Events()
        ):
            pass

    night.write_urls(2)
    await begin("wrong")
    await begin("one")  # a first key may simply have been wrong
    await night.process()
    with pytest.raises(UsageError) as refused:
        await begin("two")

    assert str(refused.value) == (
        "the API key in REMOVIT_API_KEY is not the one this run began with; jobs of one account "
        "cannot be read with the key of another. If it is a new key of the same account, pass "
        "--new-key"
    )
    await begin("one")
    await begin("two", new_key=True)
    await begin("two")
