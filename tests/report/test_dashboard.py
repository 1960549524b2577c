"""The dashboard's page and what it is told: small frames, and a past that is played alike."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from batcher.core.model import ErrorKind, Stop, StopReason
from batcher.core.stats import ErrorView, LaneView
from batcher.report.dashboard.board import Board, replay_hello
from batcher.report.dashboard.frames import FRAME_BYTES_MAX, Past, frame_of
from batcher.report.dashboard.page import Heading, dashboard_page, dashboard_policy
from batcher.report.dashboard.replay import FRAMES_MAX, replay
from batcher.report.dashboard.tape import Tape, record_tape
from batcher.report.page.facts import Limit
from batcher.report.page.source import Telling
from batcher.report.summary import Stopped, Summary
from tests.report.pages import read
from tests.report.snapshots import middle

LIMIT = Limit("10/s", 10.0, is_published=True)
TELL = Telling(str)
PAGE_BYTES_MAX = 60_000


# --- Frames --------------------------------------------------------------------------------------


@pytest.mark.parametrize("char", ["x", '"', "\\", "\x00", "é", "😀", "\U000e0001"])
def test_a_frame_is_small_whatever_the_api_says(char: str) -> None:
    """Below 4 KB, with every text as long as it likes and every kind of error met."""
    text = char * 5_000
    shot = middle(
        counters={**middle().counters, **dict.fromkeys(("submits", "cost", "rows"), 10**18)},
        errors={kind: ErrorView(10**12, text) for kind in ErrorKind},
        binding=text,
        stop=Stop(StopReason.DEADLINE, text),
        lanes=tuple(
            LaneView(name, 10**12, 1e6, text, 10**6, 10**9, 1e6, text)
            for name in ("submit", "status", "download")
        ),
    )
    assert len(orjson.dumps(frame_of(shot))) <= FRAME_BYTES_MAX


def test_a_frame_says_what_the_screen_says() -> None:
    """Counts, what binds, what is left, and the most frequent errors with an example."""
    frame = frame_of(middle(binding="submit limit (300/m)"))

    assert (frame["succeeded"], frame["failed"], frame["pending"]) == (1_100, 60, 330)
    assert (frame["binding"], frame["left"]) == ("submit limit (300/m)", "10 min 40 s")
    assert frame["errors"] == [["rejected", 60]]
    assert frame["examples"]["rejected"][1] == "the picture cannot be read"
    assert [lane["closed"] for lane in frame["lanes"]] == [None, "closed for 12 s: throttled", None]
    assert frame["lanes"][0]["limit_per_s"] == 5.0


def test_the_past_is_bounded_and_keeps_its_sums() -> None:
    """A day of frames is a few hundred points, in order, from the first on."""
    past = Past()
    for second in range(86_400):
        sums = {"submits": None if second % 7 else second, "succeeded": second, "throttled": 0}
        past.add({"at": float(second), "in_flight": 1, "lanes": [], **sums})

    times = [point[0] for point in past.points]
    assert 100 <= len(times) <= 240
    assert times[0] == 0.0
    assert times == sorted(times)
    submits = [point[1] for point in past.points]
    assert submits == sorted(submits), "what is not known for a moment is no step back"


def test_who_comes_late_is_told_everything() -> None:
    """The first event has the curve and the newest frame; the end has the judgement."""
    sent: list[tuple[str, Any]] = []
    board = Board(lambda kind, data: sent.append((kind, orjson.loads(data))))
    for second in range(3):
        board.show(middle(at=1_000.0 + second))

    board.end(Summary(state="stopped", rows=9, stopped=Stopped("deadline", "<b>")), ["batcher x"])
    hello = orjson.loads(board.hello())

    assert [kind for kind, _ in sent] == ["frame", "frame", "frame", "end"]
    assert [point[0] for point in hello["past"]] == [1_000.0, 1_001.0, 1_002.0]
    assert hello["frame"] == sent[2][1] == sent[3][1]["frame"]
    assert sent[3][1]["end"]["word"] == "Stopped"
    assert sent[3][1]["end"]["commands"] == ["batcher x"]


# --- Replay --------------------------------------------------------------------------------------


def moment(second: float) -> str:
    """Return a time of a record."""
    return f"2026-01-01T00:{int(second) // 60:02}:{second % 60:06.3f}Z"


def written(folder: Path, *, with_log: bool) -> None:
    """Write the files of a run: 60 rows, one a second; every tenth fails 5 s after its submit."""
    good, bad, log = [], [], []
    for n in range(60):
        row: dict[str, Any] = {"id": f"r{n}", "line": n + 1}
        times = {"submitted": moment(n), "accepted": moment(n + 0.5)}
        if n % 10:
            good.append({**row, "time": {**times, "collected": moment(n + 3)}})
            continue

        error = {"kind": "rejected", "message": f"no picture {n}"}
        bad.append({**row, "time": times, "error": error})
        told = {"event": "row.finished", "outcome": "failed", "kind": "rejected"}
        log.append({"time": moment(n + 5), **told})

    bad.append({"id": "x", "line": 61, "error": {"kind": "invalid_row", "message": "no file"}})
    told = {"event": "row.finished", "outcome": "failed", "kind": "invalid_row"}
    log.append({"time": moment(0), **told})
    for name, lines in (("succeeded", good), ("failed", bad), ("log", log if with_log else [])):
        content = b"".join(orjson.dumps(line) + b"\n" for line in lines)
        (folder / f"{name}.jsonl").write_bytes(content)


def taped(folder: Path) -> Tape:
    """Read them."""
    return record_tape(folder, {}, [], [folder / "log.jsonl"], TELL)


SUMMARY = Summary(state="finished", rows=61, succeeded=54, failed=7, submits=60, wall_s=65.0)


@pytest.mark.parametrize("with_log", [True, False])
def test_a_replay_is_the_same_each_time_and_ends_as_the_run_did(
    tmp_path: Path, *, with_log: bool
) -> None:
    """A pure function of the files: counts only grow, and the last frame says the summary."""
    written(tmp_path, with_log=with_log)
    frames = replay(taped(tmp_path), SUMMARY, LIMIT, 200)

    assert frames == replay(taped(tmp_path), SUMMARY, LIMIT, 200)
    assert 2 <= len(frames) <= FRAMES_MAX + 20
    for name in ("succeeded", "failed", "at", "x"):
        values = [frame[name] for frame in frames]
        assert values == sorted(values), name

    last = frames[-1]
    assert (last["succeeded"], last["failed"], last["pending"]) == (54, 7, 0)
    assert last["submits"] == 60, "no ledger is there, and the summary knows"
    assert last["errors"] == [("rejected", 6), ("invalid_row", 1)]
    assert all(frame["pending"] >= 0 and frame["in_flight"] >= 0 for frame in frames)


def test_the_log_knows_when_rows_failed(tmp_path: Path) -> None:
    """With the whole log a row fails when it did; without, when the records last knew of it."""
    written(tmp_path, with_log=True)
    exact = first_failure(tmp_path)
    with (tmp_path / "log.jsonl").open("rb") as file:
        whole = file.read()

    (tmp_path / "log.jsonl").write_bytes(whole[: len(whole) // 2])
    rough = first_failure(tmp_path)

    assert 4.5 <= exact <= 6.0
    assert rough <= 1.5


def first_failure(folder: Path) -> float:
    """Return for how long the run had gone when the first row that was sent failed."""
    frames = replay(taped(folder), SUMMARY, None, 200)
    return next(float(f["x"]) for f in frames if dict(f["errors"]).get("rejected"))


def test_a_run_without_a_past_is_one_frame(tmp_path: Path) -> None:
    """Nothing was sent: the numbers of the summary, and nothing moves."""
    (frame,) = replay(taped(tmp_path), Summary(state="finished"), None, 200)
    assert (frame["rows"], frame["lanes"]) == (0, [])


def test_what_a_hostile_log_says_is_bounded(tmp_path: Path) -> None:
    """Made-up outcomes and kinds get no places of their own, and nothing of the log is markup."""
    lines = (
        {"time": moment(1), "event": "row.finished", "outcome": outcome, "kind": f"<k{n}>"}
        for n in range(500)
        for outcome in ("failed", f"made-up-{n}")
    )
    content = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    (tmp_path / "log.jsonl").write_bytes(content + b"[]\nnull\n{\n")
    tape = taped(tmp_path)
    told = replay_hello(replay(tape, SUMMARY, None, 1), tape.examples, SUMMARY, [])

    assert len({kind for column in tape.columns(9) for kind in column.counts}) < 9
    assert len(told) < 10_000
    assert b"<k" not in told


# --- The page ------------------------------------------------------------------------------------


def test_the_page_is_small_and_speaks_to_nobody_else() -> None:
    """No address but its own, its style and script by their hashes, nothing inline besides."""
    page = dashboard_page(Heading("<b>run</b>", "removit", "m.jsonl"))
    shown, policy = read(page), dashboard_policy()

    assert len(page) < PAGE_BYTES_MAX
    assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)", page)
    for name in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(shown.one(name).text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy

    assert "default-src 'none'; connect-src 'self'" in policy
    assert not [e for e in shown.elements if {"style", "onclick", "onload"} & set(e.attributes)]
    assert "<b>run</b>" in shown.one("h1").text


def test_the_script_makes_no_markup_of_what_it_is_told() -> None:
    """It sets texts: there is no way in it by which a text becomes an element."""
    script = read(dashboard_page(Heading("a", "b", "c"))).one("script").text
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "cookie",
    ):
        assert way not in script


def test_the_page_can_be_used_without_eyes_and_without_a_mouse() -> None:
    """Each control and picture has a name, and one quiet line is read out."""
    shown = read(dashboard_page(Heading("a", "b", "c")))
    assert [e.attributes["role"] for e in shown.elements if e.attributes.get("id") == "said"] == [
        "status"
    ]
    assert all("aria-label" in e.attributes for e in shown.all("input"))
    assert all(e.attributes["role"] == "img" for e in shown.all("svg"))
    assert all(e.text for e in shown.all("button"))
    script = shown.one("script").text
    assert "prefers-reduced-motion" in script
