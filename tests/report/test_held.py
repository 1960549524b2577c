"""What held a run back is summed up over its processes, and told only where it says something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batcher.core.binding import By, Held
from batcher.report.closing import closing_lines
from batcher.report.held import HeldBack, held_back_of, held_lines
from batcher.report.summary import Summary, SummaryFile, read_summary

SUBMIT = Held(By.SUBMIT, "300/m", 92.0, "a higher --rate would help")
SERVICE = Held(By.SERVICE, "", 8.0)


def test_shares_add_up_over_all_processes(tmp_path: Path) -> None:
    """The second process adds its seconds to what the first one wrote."""
    for _ in range(2):
        file = SummaryFile(tmp_path)
        written = file.write({}, state="stopped", stop=None, elapsed_s=100.0, at=0.0,
                             held=[SUBMIT, SERVICE])  # fmt: skip

    assert [(one.by, one.limit, one.seconds, one.share) for one in written.held_back] == [
        ("submit limit", "300/m", 184.0, 0.92),
        ("the service", None, 16.0, 0.08),
    ]
    assert read_summary(tmp_path) == written
    stored = json.loads((tmp_path / "summary.json").read_bytes())
    assert stored["held_back"][0] == {
        "by": "submit limit", "limit": "300/m", "seconds": 184.0, "share": 0.92,
        "advice": "a higher --rate would help",
    }  # fmt: skip


def test_a_summary_of_before_is_still_read(tmp_path: Path) -> None:
    """A file without the key is one of a run that knows nothing of it yet."""
    (tmp_path / "summary.json").write_text('{"v":1,"state":"finished","rows":3,"wall_s":9.5}')
    found = read_summary(tmp_path)

    assert found is not None
    assert (found.held_back, found.wall_s) == ((), 9.5)


@pytest.mark.parametrize(
    ("held", "lines"),
    [
        ([], []),
        (
            [SUBMIT, SERVICE],
            [
                "  held back by: submit limit 300/m (92 % of the time)",
                "  a higher --rate would help",
            ],
        ),
        (
            [Held(By.SERVICE, "", 60.0), Held(By.STATUS, "50/m", 40.0, "webhooks would help")],
            ["  held back by: the service (60 % of the time), status limit (40 %)"],
        ),
        ([Held(by, "", 25.0) for by in (By.SERVICE, By.DISK, By.SUBMIT, By.CLOSED)], []),
    ],
)
def test_what_is_told_of_it(held: list[Held], lines: list[str]) -> None:
    """The first, with what would help; a second one if it counts; nothing if nothing stands out."""
    assert list(held_lines(held_back_of(held, ()))) == lines


@pytest.mark.parametrize(("wall_s", "is_told"), [(9.0, False), (100.0, True)])
def test_of_a_short_run_nothing_is_said(wall_s: float, is_told: bool) -> None:
    """Seconds are no reason to change a flag."""
    summary = Summary(
        state="finished", rows=1, succeeded=1, wall_s=wall_s,
        held_back=(HeldBack("submit limit", "300/m", 9.0, 1.0),),
    )  # fmt: skip
    text = "\n".join(closing_lines(summary, Path("runs/x"), "x"))

    assert ("held back by: submit limit 300/m" in text) == is_told
