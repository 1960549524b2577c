"""What a run says of itself to another process, and several parts of a run seen as one."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from batcher.core.binding import By, Held
from batcher.core.model import ErrorKind, Stop, StopReason
from batcher.core.stats import ErrorView, LaneView
from batcher.report.merging import merged
from batcher.report.progress import AGE_S_MAX, NAME, read_progress, remove_progress, write_progress
from tests.report.snapshots import MIDDLE, middle


def test_another_process_reads_what_was_written(tmp_path: Path) -> None:
    """The same snapshot comes back, whatever is in it; the file is private and can be removed."""
    shot = middle(
        stop=Stop(StopReason.THROTTLED, "a long wait", 1_800_000_900.0),
        held=(Held(By.SUBMIT, "300/m", 12.5, "wait"),),
        notices=(("look", True),),
    )
    write_progress(tmp_path, msgspec.to_builtins(shot))

    assert read_progress(tmp_path, shot.at + 1) == shot
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    remove_progress(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_old_or_broken_says_nothing(tmp_path: Path) -> None:
    """A process that was killed leaves its last snapshot: it must not pass for the present."""
    assert read_progress(tmp_path, 0.0) is None
    write_progress(tmp_path, msgspec.to_builtins(MIDDLE))
    assert read_progress(tmp_path, MIDDLE.at + AGE_S_MAX + 1) is None
    for text in (b"", b"{", b'{"at":1}', b"[" * 100_000, b"\xff"):
        (tmp_path / NAME).write_bytes(text)
        assert read_progress(tmp_path, MIDDLE.at) is None


def test_parts_add_up_to_one_run() -> None:
    """Counts, rates and limits are sums; the run is as late as its last part."""
    other = middle(
        elapsed_s=100.0,
        rows_total=1_000,
        reading=False,
        eta_s=900.0,
        errors={
            ErrorKind.REJECTED: ErrorView(5, "b"),
            ErrorKind.TIMEOUT: ErrorView(1, "c"),
        },
        lanes=(
            LaneView("submit", 50, 5.0, "60/m", 1, 2),
            LaneView("status", 10, 1.0, None, 0, 0),
        ),
    )
    one = merged([middle(reading=False), other])

    assert (one.count("succeeded"), one.rows_total, one.ended) == (2_200, 5_000, 2_340)
    assert (one.elapsed_s, one.eta_s, one.in_flight_max) == (250.0, 900.0, 400)
    assert one.errors[ErrorKind.REJECTED] == ErrorView(65, "b")
    lanes = {lane.name: lane for lane in one.lanes}
    assert (lanes["submit"].limit, lanes["submit"].started) == ("360/m", 1_300)
    assert lanes["status"].closed_s is None, "it is open for one of the parts"
    assert lanes["download"] == MIDDLE.lanes[2]


def test_rows_beyond_a_share_are_not_counted_twice() -> None:
    """Parts guess equal shares of one manifest: what one has more of, another has less of."""
    done = middle(rows_total=303, counters={"rows": 303}, reading=False)
    busy = middle(rows_total=300, counters={"rows": 20})
    assert merged([done, busy]).rows_total == 600
    assert merged([done, middle(rows_total=310, counters={"rows": 310})]).rows_total == 620
    assert merged([done, middle(rows_total=1, counters={"rows": 1})]).rows_total == 304
    assert merged([done, middle(rows_total=297, reading=False)]).rows_total == 600
    assert merged([done, middle(rows_total=None)]).rows_total is None


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (["5/m,100/d", "5/m,100/d"], "10/m,200/d"),
        (["300/m", None], None),
        (["300/m", "5/s"], None),
        (["300/m", "whatever"], None),
    ],
)
def test_a_limit_that_cannot_be_added_up_is_not_told(
    limits: list[str | None], told: str | None
) -> None:
    """Shares of one limit are; anything else is no limit of the whole run."""
    shots = [middle(lanes=(LaneView("submit", 1, 1.0, limit, 0, 0),)) for limit in limits]

    assert merged(shots).lanes[0].limit == told


def test_a_lane_is_closed_if_it_is_closed_everywhere() -> None:
    """Then it opens when the first part may go on."""
    shots = [
        middle(lanes=(LaneView("submit", 1, 1.0, None, 0, 0, closed_s, "throttled"),))
        for closed_s in (9.0, 4.0)
    ]

    assert (merged(shots).lanes[0].closed_s, merged(shots).lanes[0].closed_why) == (
        4.0,
        "throttled",
    )
