"""The main job with real processes and real sockets."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.e2e.world import peak_memory_kib, wait_until, world

pytestmark = pytest.mark.e2e

FAST = ("--rate", "3000/s", "--in-flight", "500")


def test_ten_thousand_rows(tmp_path: Path) -> None:
    """They finish, the ledger shows one job a row, and memory does not grow with the manifest."""
    with world(tmp_path, faults="duration=0.2") as here:
        here.write_urls(1_000)
        small = peak_memory_kib(here.command(*FAST), here.api, tmp_path)
        here.run = tmp_path / "large"
        rows = [
            {"id": f"sku-{n}", "file_url": f"https://large.example/{n}.jpg"} for n in range(10_000)
        ]
        here.manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
        large = peak_memory_kib(here.command(*FAST), here.api, tmp_path)

        assert here.counts_of_rows() == {"succeeded": 10_000}
        assert here.counts()["jobs"] == 11_000
        assert here.counts()["duplicates"] == 0
        assert large - small < 8_192, f"{large - small} KiB for nine thousand rows more"


def test_dropped_answers_and_only_those_are_in_doubt(tmp_path: Path) -> None:
    """5 % of answers lost after acceptance: exit 3, nothing sent twice, the right rows held."""
    with world(tmp_path, faults="drop_after=0.05,duration=0.3") as here:
        here.write_urls(600)
        ended = here.go(*FAST)

        assert ended.returncode == 3, ended.stderr
        books = here.ledger()
        lost = {job["reference"] for job in books["jobs"] if not job["delivered"]}
        assert lost
        assert {r["row"]["file_url"] for r in here.records("in_doubt")} == lost
        assert books["counts"]["submits"] == 600
        here.assert_the_promise(600)


def test_a_finished_run_makes_no_request(tmp_path: Path) -> None:
    """The same command again: exit as before, no request, files byte for byte the same."""
    with world(tmp_path, faults="duration=0.1") as here:
        here.write_urls(50)
        assert here.go(*FAST).returncode == 0
        files = {path.name: path.read_bytes() for path in here.run.glob("*.jsonl")}
        del files["log.jsonl"]
        before = here.counts()

        assert here.go(*FAST).returncode == 0
        assert here.counts() == before
        assert {name: (here.run / name).read_bytes() for name in files} == files


def test_the_second_process_on_a_run_is_refused(tmp_path: Path) -> None:
    """Exit 5 and one clear line, and the first one goes on undisturbed."""
    with world(tmp_path, faults="duration=1") as here:
        here.write_urls(100)
        first = here.start(*here.command("--rate", "50/s"))
        wait_until(lambda: (here.run / "summary.json").exists(), "the run has begun")
        second = here.go("--rate", "50/s")
        first.communicate(timeout=60)

        assert second.returncode == 5
        assert len(second.stderr.splitlines()) == 1
        assert "in use by" in second.stderr
        assert first.returncode == 0
        here.assert_the_promise(100)


def test_status_from_a_second_shell(tmp_path: Path) -> None:
    """While a run is going on, `status` says so; after it, what came of it."""
    with world(tmp_path, faults="duration=1") as here:
        here.write_urls(120)
        process = here.start(*here.command("--rate", "60/s"))
        wait_until(lambda: here.run.exists() and here.counts()["jobs"] > 10, "jobs are made")
        during = json.loads(here.batcher("status", str(here.run), "--json").stdout)
        process.communicate(timeout=60)
        after = json.loads(here.batcher("status", str(here.run), "--json").stdout)

        assert during["state"] == "running"
        assert during["jobs_accepted"] > 0
        assert after["state"] == "finished"
        assert after["succeeded"] == after["rows"] == 120


def test_deapi_background_removal_uploads_files(tmp_path: Path) -> None:
    """The provider seam holds: multipart submits from disk, job status, results."""
    image = Path(__file__).parents[2] / "sample_manifests" / "images" / "disc-red.png"
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(20):
        (photos / f"{number}.png").write_bytes(image.read_bytes() + b"\0" * number)

    with world(tmp_path, api="deapi", faults="duration=0.3") as here:
        here.manifest = photos
        settings = ("--set", "task=background-removals", "--set", "tier=premium")
        ended = here.go(*settings, "--rate", "100/s", "--download", str(tmp_path / "out"))

        assert ended.returncode == 0, ended.stderr
        assert here.counts()["jobs"] == 20
        files = [record["result"]["files"]["result"] for record in here.records("succeeded")]
        assert len(set(files)) == 20
        assert all(Path(name).read_bytes().startswith(b"\x89PNG") for name in files)


def test_a_gzipped_csv_through_a_pipe(tmp_path: Path) -> None:
    """Standard input is a manifest too; the rows that were read can be resumed without it."""
    with world(tmp_path, faults="duration=0.2,credits=3") as here:
        source = tmp_path / "rows.csv.gz"
        text = "id;file_url\n" + "".join(
            f"sku-{n};https://shop.example/{n}.jpg\n" for n in range(9)
        )
        source.write_bytes(gzip.compress(text.encode("utf-8-sig")))
        here.manifest = source
        stopped = here.go("--rate", "100/s")
        assert stopped.returncode == 4, stopped.stderr
        summary = json.loads((here.run / "summary.json").read_text())
        assert summary["stopped"]["reason"] == "out_of_credits"

        here.change("credits", "100")
        assert here.batcher("resume", str(here.run)).returncode == 0
        here.assert_the_promise(9)


def test_a_missing_key_is_told_before_anything_is_read(tmp_path: Path) -> None:
    """Exit 2, one line, no run directory, no request."""
    with world(tmp_path) as here:
        here.write_urls(1)
        ended = here.batcher(*here.command(), key=None)

        assert ended.returncode == 2
        assert "REMOVIT_API_KEY" in ended.stderr
        assert not here.run.exists()
        assert here.counts()["submits"] == 0


def test_the_key_is_nowhere(tmp_path: Path) -> None:
    """A canary key is in no file of the run and in nothing that was printed."""
    with world(tmp_path, faults="duration=0.2,drop_after=0.1,503=0.1") as here:
        here.write_urls(60)
        ended = here.go(*FAST, "--log-level", "debug", "--json")

        said = [ended.stdout.encode(), ended.stderr.encode()]
        kept = [path.read_bytes() for path in here.run.rglob("*") if path.is_file()]
        assert all(b"test-key" not in text for text in said + kept)


def test_a_first_try_with_a_wrong_key_can_be_mended(tmp_path: Path) -> None:
    """Before the first job another key is no other account; after it, it is refused."""
    with world(tmp_path, faults="duration=0.1") as here:
        here.write_urls(3)
        assert here.batcher(*here.command(), key="wrong").returncode == 4
        assert here.go(*FAST).returncode == 0

        other = here.batcher(*here.command(), key="another")
        assert other.returncode == 2
        assert "--new-key" in other.stderr


def test_a_mistyped_column_is_told_before_it_is_paid_for_a_thousand_times(tmp_path: Path) -> None:
    """A run says once what `check` would have said: the column is not sent."""
    with world(tmp_path, faults="duration=0.1") as here:
        rows = [
            {"id": str(n), "file_url": f"https://a.example/{n}.jpg", "ouput_format": "webp"}
            for n in range(5)
        ]
        here.manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
        ended = here.go(*FAST)

        assert ended.returncode == 0
        assert ended.stderr.count("ouput_format") == 1
        assert "output_format" in ended.stderr
