"""The page of a run: judged right, whole, harmless, and made while anything goes on."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from batcher.adapters.logs_redaction import Redaction
from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import write_run_file
from batcher.adapters.sqlite import SqliteJournal
from batcher.core.secret import Secret
from batcher.core.settings import Frozen, Settings
from batcher.report.page.facts import Facts
from batcher.report.page.gather import gather
from batcher.report.page.page import page
from batcher.report.page.source import source_of
from batcher.report.page.verdict import judge
from batcher.report.summary import Refunds, RunState, Stopped, Summary, summary_of
from tests.engine.harness import FLUX, Night, prompt
from tests.report.pages import Read, read

KEY = "canary-key-0123456789"
HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
BIDI = "\u202egpj.exe\x1b[31m"
SIGNED = "https://user:pw@cdn.example/f.png?X-Amz-Signature=abc123&token=tttt"


def directory_of(folder: Path, provider: str = "removit", **params: object) -> RunDirectory:
    """Make the directory of a run that has not begun."""
    folder.mkdir(exist_ok=True)
    frozen = Frozen(
        provider=provider, base_url="http://127.0.0.1", manifest="/rows.jsonl", params=params
    )
    write_run_file(folder / "run.toml", frozen, Settings(rate="1000/s"))
    return RunDirectory(folder)


def facts_of(directory: RunDirectory, summary: Summary) -> Facts:
    """Gather what a page shows."""
    hide = Redaction([Secret(KEY, "A_KEY")]).text
    path = directory.path / "report.html"
    return gather(source_of(directory, path, now=1e9, program="batcher", hide=hide), summary)


def page_of(directory: RunDirectory, summary: Summary) -> Read:
    """Make a page, and read it: it must be well formed, whole in itself and harmless."""
    text = page(facts_of(directory, summary))
    found = read(text)
    assert_harmless(found)
    assert KEY.encode() not in text
    return found


def assert_harmless(found: Read) -> None:
    """Fail if a browser would fetch, run or be sent anywhere by what is on the page."""
    assert len(found.all("script")) == len(found.all("style")) == 1
    for element in found.elements:
        assert element.name not in {"iframe", "object", "embed", "form", "base", "link"}
        for name, value in element.attributes.items():
            assert not name.startswith("on"), f"<{element.name} {name}>"
            assert name != "style"
            if name in {"src", "srcset", "data", "poster"}:
                assert value.startswith("data:image/"), value
            elif name in {"href", "action", "xlink:href"}:
                assert value.startswith("./"), value


def counted(folder: Path) -> Mapping[str, int]:
    """Return a journal's counters."""
    journal = SqliteJournal.read(folder / "journal.db")
    try:
        return journal.counters()
    finally:
        journal.close()


def seen(folder: Path, state: RunState = "finished", **more: Any) -> Summary:
    """Return how a run stands."""
    return summary_of(counted(folder), state=state, stopped=None, wall_s=60.0, **more)


def write_records(directory: RunDirectory, outcome: str, *records: Mapping[str, Any]) -> None:
    """Write an outcome file."""
    lines = (orjson.dumps({"outcome": outcome, **record}) + b"\n" for record in records)
    (directory.path / f"{outcome}.jsonl").write_bytes(b"".join(lines))


def failed(row_id: str, message: str, **more: Any) -> dict[str, Any]:
    """Return a record of a row that failed."""
    return {"id": row_id, "line": 1, "error": {"kind": "rejected", "message": message}, **more}


# --- A real run ----------------------------------------------------------------------------------


@pytest.mark.virtual
async def test_a_run_is_told_as_the_journal_knows_it(tmp_path: Path) -> None:
    """Rows, errors and submits of the page add up to the journal's own counts."""
    night = Night(tmp_path, faults="flaky", seed=5)
    night.write_urls(300)
    await night.process()
    directory = directory_of(night.directory)
    summary = seen(night.directory)
    facts = facts_of(directory, summary)

    lost = summary.failed + summary.exhausted + summary.in_doubt
    assert lost > 0
    assert sum(group.rows for group in facts.errors) == lost
    assert sum(column.counts.get("succeeded", 0) for column in facts.columns) == summary.succeeded
    submits = sum(column.counts.get("submitted", 0) for column in facts.columns)
    assert submits == sum(answer.count for answer in facts.answers) == summary.submits
    assert submits > summary.jobs_accepted + summary.in_doubt, "no submit was refused"
    jobs = next(answer.count for answer in facts.answers if answer.text.startswith("accepted"))
    assert jobs == summary.jobs_accepted
    whole = next(stage for stage in facts.stages if stage.name == "whole row")
    assert whole.times.count == summary.succeeded
    text = page_of(directory, summary).text
    assert f"{summary.succeeded} of 300 rows succeeded" in text
    assert len(page(facts)) < 150_000


@pytest.mark.virtual
async def test_what_it_cost_is_on_the_page(tmp_path: Path) -> None:
    """The sums of the journal, in the currency of the API, and what each result came to."""
    night = Night(tmp_path, "deapi", params=FLUX, settings={"quote": True})
    night.write_rows([prompt(n) for n in range(20)])
    await night.process()
    summary = seen(night.directory, currency="USD")
    text = page_of(directory_of(night.directory, "deapi", **FLUX), summary).text
    assert summary.cost is not None
    assert "USD" in text
    assert "for each row that succeeded" in text
    assert "All 20 rows succeeded" in text


@pytest.mark.virtual
async def test_rows_in_flight_are_those_of_the_journal(tmp_path: Path) -> None:
    """While a run goes on, the last column of the time line has the rows that are open now."""
    night = Night(tmp_path, faults="duration=500", settings={"in_flight": 30})
    night.write_urls(30)
    directory = directory_of(night.directory)
    told: list[Facts] = []

    async def look(run: Any) -> None:
        while counted(night.directory)["accepted"] < 30:  # noqa: ASYNC110 - the journal tells none
            await anyio.sleep(1.0)

        told.append(facts_of(directory, seen(night.directory, "running")))

    await night.process(during=look)
    assert told[0].columns[-1].open_max == 30
    assert judge(told[0]).tone == "going"


# --- Any state -----------------------------------------------------------------------------------


def test_a_run_that_has_not_begun_has_a_page(tmp_path: Path) -> None:
    """No journal, no log, no records: said, not failed."""
    found = page_of(directory_of(tmp_path), Summary(state="stopped"))
    assert "Stopped before its end: 0 of 0 rows ended." in found.text
    assert "There is no log.jsonl" in found.text
    assert "batcher resume" in found.text


def test_an_empty_manifest_has_a_page(tmp_path: Path) -> None:
    """Nothing to do is no failure."""
    found = page_of(directory_of(tmp_path), Summary(state="finished"))
    assert "the manifest has no rows" in found.text


@pytest.mark.parametrize(
    ("summary", "tone", "sentence", "told"),
    [
        (
            Summary(state="finished", rows=5, succeeded=5, wall_s=65),
            *("good", "All 5 rows succeeded in 1 min 5 s.", ()),
        ),
        (
            Summary(state="finished", rows=5, failed=5),
            *("bad", "None of 5 rows succeeded.", ("failed.jsonl",)),
        ),
        (
            Summary(state="finished", rows=1_000_000, succeeded=999_999, in_doubt=1),
            *("mixed", "999,999 of 1,000,000 rows succeeded (over 99.9 %).", ("doubt list",)),
        ),
        (
            Summary(state="running", rows=9, succeeded=3, pending=6, waiting="submit limit"),
            *("going", "3 of 9 rows have ended.", ("submit limit", "status", "--watch")),
        ),
        (
            Summary(
                state="stopped",
                rows=9,
                succeeded=3,
                pending=6,
                stopped=Stopped("out_of_credits", "the API says no", "2026-01-01T00:00:00Z"),
            ),
            *("bad", "Stopped before its end: 3 of 9 rows ended.", ("out of credits", "resume")),
        ),
        (
            Summary(
                state="stopped",
                rows=9,
                succeeded=3,
                pending=6,
                stopped=Stopped("budget", "--max-cost 5 is reached"),
            ),
            *("mixed", "Stopped before its end: 3 of 9 rows ended.", ("--max-cost AMOUNT",)),
        ),
        (
            Summary(state="stopped", rows=9, succeeded=3, pending=6),
            *("bad", "Stopped before its end: 3 of 9 rows ended.", ("from outside", "resume")),
        ),
        (
            Summary(state="finished", rows=3, succeeded=2, exhausted=1, failed=0),
            *("mixed", "2 of 3 rows succeeded (66.7 %).", ("retry",)),
        ),
        (
            Summary(
                state="finished", rows=3, succeeded=2, failed=1, refunds=Refunds(unconfirmed=1)
            ),
            *("mixed", "2 of 3 rows succeeded (66.7 %).", ("refunds", "--unconfirmed")),
        ),
    ],
)
def test_ten_seconds_are_enough(
    tmp_path: Path, summary: Summary, tone: str, sentence: str, told: tuple[str, ...]
) -> None:
    """How it went, why, and what to type stand on top."""
    facts = facts_of(directory_of(tmp_path), summary)
    verdict = judge(facts)
    assert (verdict.tone, verdict.sentence) == (tone, sentence)
    said = " ".join([*verdict.reasons, *(f"{s.text} {s.command}" for s in verdict.steps)])
    assert all(word in said for word in told), said
    page_of(RunDirectory(tmp_path), summary)


def test_the_most_frequent_error_is_told_on_top(tmp_path: Path) -> None:
    """With its meaning and the API's own words."""
    directory = directory_of(tmp_path)
    write_records(directory, "failed", failed("a", "no such picture"), failed("b", "again"))
    verdict = judge(facts_of(directory, Summary(state="finished", rows=2, failed=2)))
    assert any("the job failed (2 rows): “no such picture”" in text for text in verdict.reasons)


# --- Hostile rows --------------------------------------------------------------------------------


def test_no_row_gets_markup_onto_the_page(tmp_path: Path) -> None:
    """Ids, messages, codes, ids of calls, log lines and settings stay text."""
    directory = directory_of(tmp_path, **{HOSTILE: HOSTILE})
    error = {
        "kind": HOSTILE,
        "message": HOSTILE + BIDI,
        "code": HOSTILE,
        "request_id": HOSTILE,
        "http_status": 422,
    }
    write_records(directory, "failed", failed(HOSTILE, "", job_id=HOSTILE, error=error))
    event = {"time": HOSTILE, "level": "warning", "event": HOSTILE, "message": HOSTILE}
    start = {"time": "2026-01-01T00:00:00Z", "event": "run.started", "version": HOSTILE}
    (tmp_path / "log.jsonl").write_bytes(orjson.dumps(event) + b"\n" + orjson.dumps(start) + b"\n")
    stopped = Stopped(HOSTILE, HOSTILE + BIDI, HOSTILE)
    summary = Summary(state="stopped", rows=1, failed=1, stopped=stopped, waiting=HOSTILE)
    found = page_of(directory, summary)
    assert not found.all("img")
    assert HOSTILE in found.text
    assert "\\u202egpj.exe\\x1b[31m" in found.text
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b]", found.text)


def test_no_secret_gets_onto_the_page(tmp_path: Path) -> None:
    """Neither a key that an API said back, nor what authorizes in an address."""
    directory = directory_of(tmp_path)
    message = f"bad key {KEY} for {SIGNED}"
    write_records(directory, "failed", failed(KEY, message, job_id=SIGNED))
    line = {"time": "2026-01-01T00:00:00Z", "level": "warning", "event": "x", "message": message}
    (tmp_path / "log.jsonl").write_bytes(orjson.dumps(line) + b"\n")
    stopped = Stopped("budget", message)
    summary = Summary(state="stopped", rows=1, failed=1, stopped=stopped, waiting=message)
    text = page_of(directory, summary).text
    assert "bad key ***" in text
    assert not any(secret in text for secret in ("pw@", "abc123", "tttt"))


def test_the_page_allows_its_own_style_and_script_and_nothing_else(tmp_path: Path) -> None:
    """The policy names both by their hashes; nothing may be fetched."""
    found = page_of(directory_of(tmp_path), Summary())
    metas = [e.attributes for e in found.all("meta")]
    policy = next(m["content"] for m in metas if "http-equiv" in m)
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for name in ("style", "script"):
        digest = hashlib.sha256(found.one(name).text.encode()).digest()
        assert f"{name}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy


def test_every_chart_has_its_name_and_its_numbers(tmp_path: Path) -> None:
    """Who sees no picture hears what it shows, and finds its numbers in a table."""
    directory = directory_of(tmp_path)
    times = {
        "submitted": "2026-01-01T00:00:00Z",
        "accepted": "2026-01-01T00:00:01Z",
        "done_seen": "2026-01-01T00:00:05Z",
        "collected": "2026-01-01T00:00:06Z",
        "job_s": 4.0,
    }
    write_records(directory, "succeeded", {"id": "a", "line": 1, "time": times})
    found = page_of(directory, Summary(state="finished", rows=1, succeeded=1))
    charts = [e for e in found.all("svg") if e.attributes.get("role") == "img"]
    others = [e for e in found.all("svg") if e not in charts]
    assert len(charts) == 4  # rows, throughput, in flight, durations
    assert all(e.attributes.get("aria-hidden") or "viewbox" in e.attributes for e in others)
    assert len(found.all("desc")) == len(charts)
    assert len(found.all("details")) == 3
    assert {e.text for e in found.all("caption")} >= {"Over time", "Percentiles"}
