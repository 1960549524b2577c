"""Webhooks with real processes and sockets: the API calls, calls again, and lies now and then."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.e2e.world import World, world

pytestmark = pytest.mark.e2e

ROWS = 150
ROW = {"prompt": "a shoe", "model": "Flux1schnell", "steps": 4, "seed": -1}
FAULTS = (
    "duration=lognormal:1:0.5,drop_after=0.1,garbled=0.03,hook_retry_scale=0.01,hook_delay=0.2,"
    "hook_duplicate=0.2,hook_lost=0.05,hook_bad_signature=0.05,hook_unsigned=0.03,hook_garbled=0.03"
)


def free_port() -> int:
    """Return a port that nobody listens at right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def flags(port: int, *more: str) -> tuple[str, ...]:
    """Return the flags of a run that is called at a port, through a tunnel that speaks https."""
    return (
        *("--set", "task=generations", "--set", "tier=premium", "--set", "width=512"),
        *("--set", "height=512", "--rate", "60/s", "--webhook-listen", f"127.0.0.1:{port}"),
        *("--webhook-url", "https://hooks.example/batcher", *more),
    )


def write_rows(here: World) -> None:
    """Write prompts, each its own row."""
    rows = ({"id": f"sku-{n}", **ROW, "prompt": f"shoe {n}"} for n in range(ROWS))
    here.manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_lost_answers_are_claimed_and_polls_are_few(tmp_path: Path) -> None:
    """Every job whose answer was lost finds its row by its call; a job costs about one read."""
    port = free_port()
    via = ("--webhook-via", f"http://127.0.0.1:{port}")
    with world(tmp_path, api="deapi", faults=FAULTS, words=via) as here:
        write_rows(here)
        ended = here.go(*flags(port, "--claim-wait", "8s", "--job-timeout", "20s"))
        books = here.ledger()

        lost = {job["job_id"] for job in books["jobs"] if not job["delivered"]}
        assert len(lost) > 10
        known = {record["job_id"] for record in here.records("succeeded")}
        assert len(known & lost) > len(lost) // 2, ended.stderr
        assert books["counts"]["duplicates"] == 0
        assert known | {None} >= {record["job_id"] for record in here.records("in_doubt")}
        assert set(here.outcomes()) == {f"sku-{n}" for n in range(ROWS)}
        reads = json.loads((here.run / "summary.json").read_text())["status_reads"]
        assert reads < 1.5 * len(books["jobs"]), "polling is only the safety net"


def test_a_call_finds_its_row_after_a_kill(tmp_path: Path) -> None:
    """Killed with submits open: the next process is called for them, and no job is in doubt.

    An intent may be durable and its submit not have left: such a row has no job, and nobody calls.
    """
    port = free_port()
    via = ("--webhook-via", f"http://127.0.0.1:{port}")
    faults = "duration=1.5,latency=0.3,hook_retry_scale=0.02"
    with world(tmp_path, api="deapi", faults=faults, words=via) as here:
        write_rows(here)
        assert here.go_until(60, SIGKILL, *flags(port)) == -SIGKILL
        ended = here.go(*flags(port, "--claim-wait", "10s"))
        jobs, counts = here.ledger()["jobs"], here.counts_of_rows()

        assert ended.returncode in (0, 3), ended.stderr
        assert counts.pop("succeeded") == len(jobs)
        assert counts in ({}, {"in_doubt": ROWS - len(jobs)})
        assert here.counts()["duplicates"] == 0
        assert any(not job["delivered"] for job in jobs)
