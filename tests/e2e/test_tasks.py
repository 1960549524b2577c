"""Every task of both APIs, with real processes: what is paid for is on disk or known in doubt."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.world import OUTCOMES, ROOT, World, world

pytestmark = pytest.mark.e2e

ROWS = int(os.environ.get("BATCHER_TASK_ROWS", "120"))  # of each task; `make soak`: 500
IMAGE = ROOT / "sample_manifests" / "images" / "disc-red.png"
PICTURE = {"prompt": "a shoe", "model": "Flux1schnell", "steps": 4, "seed": -1}
SIZE = {"width": 512, "height": 512}
EDIT = {"prompt": "blue", "model": "QwenImageEdit_Plus_NF4", "steps": 20, "seed": 1}
CANARY = "77|canary-0f5b1c2d9e"

# Answers are lost, URLs are dead before the files can all be fetched, file hosts stumble.
NIGHT = (
    "duration=0.4,drop_after=0.03,url_expires_s=2,file_error=0.03,file_cut=0.03,status_error=0.02"
)
FAST = ("--rate", "2000/s", "--status-rate", "3000/s", "--in-flight", "300", "--download")


def images(folder: Path, count: int) -> Iterator[str]:
    """Write pictures that differ, and yield their names."""
    for n in range(count):
        (folder / f"{n}.png").write_bytes(IMAGE.read_bytes() + n.to_bytes(4, "big"))
        yield f"{n}.png"


def rows_of(task: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a task."""
    match task:
        case "removit":
            for n in range(ROWS):
                yield {"file_url": f"https://shop.example/{n}.jpg", "output_format": "webp"}
        case "generations":
            for n in range(ROWS):
                yield {**PICTURE, **SIZE, "prompt": f"shoe {n}"}
        case "edits":
            names = list(images(folder, ROWS))
            for n, name in enumerate(names):
                yield {**EDIT, "file": [name] if n % 2 else name}
        case "ocr":
            for n, name in enumerate(images(folder, ROWS)):
                yield {"file": name, "return_result_in_response": n % 2 == 0}
        case _:
            for name in images(folder, ROWS):
                yield {"file": name}


def write_rows(here: World, task: str) -> None:
    """Write the manifest of a task."""
    rows = ({"id": f"sku-{n}", **row} for n, row in enumerate(rows_of(task, here.folder)))
    here.manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))


def flags_of(task: str) -> tuple[str, ...]:
    """Return what a task needs on the command line."""
    return () if task == "removit" else ("--set", f"task={task}", "--set", "tier=premium")


@pytest.mark.parametrize(
    "task", ["removit", "background-removals", "upscales", "ocr", "generations", "edits"]
)
def test_every_paid_job_is_on_disk_or_in_doubt(task: str, tmp_path: Path) -> None:
    """Lost answers, expiring URLs: no job is without its file but those in doubt."""
    api = "removit" if task == "removit" else "deapi"
    with world(tmp_path, api=api, faults=NIGHT) as here:
        write_rows(here, task)
        ended = here.go(*FAST, *flags_of(task))

        assert ended.returncode == 3, ended.stderr
        books = here.ledger()
        lost = {job["job_id"] for job in books["jobs"] if not job["delivered"]}
        assert lost
        done = here.records("succeeded")
        assert {record["job_id"] for record in done} == {
            job["job_id"] for job in books["jobs"] if job["delivered"]
        }
        assert len(here.records("in_doubt")) == len(lost)
        assert here.counts_of_rows() == {"succeeded": ROWS - len(lost), "in_doubt": len(lost)}
        for record in done:
            found = [here.run / name for name in record["result"]["files"].values()]
            assert set(record["result"]["files"]) == set(record["result"]["urls"])
            assert found or record["result"]["text"]
            assert all(path.stat().st_size for path in found)

        assert books["counts"]["duplicates"] == 0
        assert books["counts"].get("leaked keys", 0) == 0


@pytest.mark.parametrize("api", ["removit", "deapi"])
def test_the_canary_key_is_in_no_artefact_and_at_no_other_origin(api: str, tmp_path: Path) -> None:
    """Through refusals that name the key, downloads and faults: the key stays where it is."""
    faults = f"{NIGHT},503=0.1,429=0.05,retry_after_s=0.1,rejected=0.1"
    with world(tmp_path, api=api, faults=faults, key=CANARY) as here:
        write_rows(here, api if api == "removit" else "background-removals")
        flags = flags_of("removit" if api == "removit" else "background-removals")
        ended = here.batcher(
            *here.command(*FAST, *flags, "--limit", "80", "--log-level", "debug", "--json"),
            key=CANARY,
        )
        assert ended.returncode in (0, 3), ended.stderr
        said = [ended.stdout.encode(), ended.stderr.encode()]
        kept = [path.read_bytes() for path in here.run.rglob("*") if path.is_file()]
        secret = CANARY.partition("|")[2].encode()
        assert all(secret not in text for text in said + kept)
        assert here.counts().get("leaked keys", 0) == 0


def test_the_refunds_of_a_run_are_told_to_the_cent(tmp_path: Path) -> None:
    """summary.json and `batcher refunds` say what the API's own books say."""
    faults = "duration=0.2,rejected=0.4,refund_unconfirmed=0.3,refund_none=0.2,drop_after=0.05"
    with world(tmp_path, api="deapi", faults=faults) as here:
        write_rows(here, "generations")
        flags = (*FAST, *flags_of("generations"), "--limit", "60", "--quote")
        ended = here.go(*flags)
        assert ended.returncode == 3, ended.stderr
        cost = json.loads((here.run / "summary.json").read_text())["cost"]
        counts = here.counts()
        assert cost["currency"] == "USD"
        assert cost["charged"] * 1e9 == pytest.approx(counts["charged_nanos"], abs=1)
        assert cost["refunded"] * 1e9 == pytest.approx(counts["refunded_nanos"], abs=1)

        told = here.batcher("refunds", str(here.run))
        lines = list(csv.DictReader(io.StringIO(told.stdout)))
        failed = [r for o in OUTCOMES[1:] for r in here.records(o)]
        assert {line["row_id"] for line in lines} == {record["id"] for record in failed}


def test_max_cost_is_never_exceeded(tmp_path: Path) -> None:
    """The run stops before the job that does not fit: exit 4, budget, and the API's books agree."""
    with world(tmp_path, api="deapi", faults="duration=0.1") as here:
        write_rows(here, "generations")
        flags = (*FAST, *flags_of("generations"), "--max-cost", "0.02")
        ended = here.go(*flags)
        assert ended.returncode == 4, ended.stderr
        summary = json.loads((here.run / "summary.json").read_text())
        assert summary["stopped"]["reason"] == "budget"
        assert 0 < here.counts()["charged_nanos"] <= 20_000_000

        before = here.counts()["jobs"]
        assert here.go(*flags).returncode == 4
        assert here.counts()["jobs"] == before
