"""A crash anywhere is like none: every row ends as it would have ended without it.

The API's faults depend on the row and on how often it was submitted or its job was read, never on
the time or on other rows. So a run that dies again and again must come to the very same records as
one that never died: outcome, job, error, results, and how many submits it took. The only exception
are rows whose submit was open when the process died: they are in doubt, and no others.
`BATCHER_SEEDS=4000` tries 1,000 of its own; a failing seed is in the test's id.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from batcher.core.lifecycle import OUTCOMES
from tests.engine.harness import FLUX, Death, Night, prompt
from tests.support.figures import Figures

pytestmark = pytest.mark.virtual

SEEDS = int(os.environ.get("BATCHER_SEEDS", "60")) // 4
ROWS = 12
LIVES_MAX = 60
TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+:\d]*")

# Nothing here depends on the time: no limits of rates, no throttles, no stuck jobs, no lag.
FAULTS = (
    "duration=lognormal:3:0.8,latency=lognormal:0.1:1,no_connect=0.05,drop_before=0.05,"
    "drop_after=0.06,garbled=0.03,hang=0.02,503=0.15,500=0.02,error_before=0.05,status_error=0.1,"
    "status_drop=0.05,status_garbled=0.05,unknown_word=0.1,rejected=0.15,hollow=0.1,"
    "refund_unconfirmed=0.3,partial=0.1,html=0.3"
)
SETTINGS: Mapping[str, Any] = {"max_attempts": 3, "max_outage_s": 1e6, "job_timeout_s": 1e6}
SAME = ("outcome", "id", "line", "job_id", "row", "result", "error", "refund", "cost")


def night(folder: Path, seed: int, rng: Random) -> Night:
    """Return a run of rows, the same one for the same seed."""
    folder.mkdir()
    is_deapi = seed % 3 == 0
    found = Night(
        folder,
        provider="deapi" if is_deapi else "removit",
        params=FLUX if is_deapi else {},
        faults=f"{FAULTS},retryable=0.5" if is_deapi else FAULTS,
        seed=seed,
    )
    found.settings = {
        **SETTINGS,
        "in_flight": rng.choice([1, 3, 200]),
        "connections": rng.choice([1, 4, 32]),
        "rate": rng.choice(["3/s", "1000/s"]),
    }
    found.write_rows(
        [prompt(n) for n in range(ROWS)] if is_deapi else [_url(n) for n in range(ROWS)]
    )
    return found


def _url(n: int) -> dict[str, object]:
    return {"id": f"r{n}", "file_url": f"https://shop.example/{n}.jpg"}


def any_death(rng: Random) -> Death:
    """Return a death at a random time, or at a random write in one of three ways."""
    if rng.random() < 0.4:
        return Death(at_s=rng.uniform(0.0, 8.0))

    return Death(at_write=rng.randint(1, 30), after=rng.random() < 0.5, torn=rng.random() < 0.5)


def fates(night: Night) -> dict[str, dict[str, Any]]:
    """Return what the records say of every row, without times."""
    return {
        record["id"]: _timeless({name: record[name] for name in SAME})
        | {"submits": record["attempts"]["submit"]}
        for outcome in OUTCOMES
        for record in night.records(outcome)
    }


def _timeless(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record without the times that stand in an API's messages."""
    found: dict[str, Any] = json.loads(TIMES.sub("(a time)", json.dumps(record)))
    return found


async def die_often(night: Night, rng: Random) -> tuple[int, set[str]]:
    """Let process after process die; return how many did, and the rows they left open."""
    left: set[str] = set()
    for deaths in range(LIVES_MAX):
        if await night.doomed_process(any_death(rng), submit_timeout_s=5.0):
            return deaths, left

        with night.unmended_books() as (journal, _):
            left |= {ticket.row.id for ticket in journal.unanswered(0, ROWS)}

        await anyio.sleep(rng.uniform(0.0, 20.0))

    return LIVES_MAX, left


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_crash_anywhere_is_like_none(seed: int, tmp_path: Path, figures: Figures) -> None:
    """Whatever the seed: the same records, but for rows whose submit a crash cut off."""
    calm = night(tmp_path / "calm", seed, Random(seed))
    assert await calm.process(submit_timeout_s=5.0) is None
    rng = Random(seed)
    rough = night(tmp_path / "rough", seed, rng)
    deaths, left_open = await die_often(rough, rng)
    assert await rough.process(submit_timeout_s=5.0) is None

    expected, found = fates(calm), fates(rough)
    doubtful = {row for row in left_open if found[row]["outcome"] == "in_doubt"}
    others = {row for row in expected if row not in doubtful and found.get(row) != expected[row]}
    calmly = calm.simulation.ledger.jobs_per_reference()
    roughly = rough.simulation.ledger.jobs_per_reference()
    surplus = {row: jobs for row, jobs in roughly.items() if jobs > calmly[row]}
    figures.add(
        "crash equals no crash",
        {
            "seeds": 1,
            "crashes": deaths,
            "rows": len(expected),
            "left in doubt by a crash": len(left_open),
            "rows that ended otherwise": len(others),
            "jobs more than without": len(surplus),
        },
    )
    assert found.keys() == expected.keys()
    assert {row: found[row] for row in others} == {row: expected[row] for row in others}
    assert doubtful == left_open
    assert surplus == {}
