"""Numbers of a run that goes on: its progress, its silence, and a file that cannot be written."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.textfile import replace_text
from batcher.cli.night.attending import SILENT_S_MAX, Gauges, MetricsFile
from batcher.cli.night.flags import Night
from batcher.report.summary import Summary
from tests.report.snapshots import middle


class Wall:
    """A time of day that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    """The time of day."""
    return Wall()


@pytest.fixture
def gauges(tmp_path: Path, wall: Wall) -> Gauges:
    """The numbers of a run in `tonight`."""
    return Gauges(RunDirectory(tmp_path / "tonight"), "removit", None, wall)


def line(text: str, name: str) -> str:
    """Return the value of a metric."""
    (found,) = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
    return found.rpartition(" ")[2]


def test_health_fails_when_the_run_falls_silent(gauges: Gauges, wall: Wall) -> None:
    """200 as long as snapshots come, whatever the run waits for; else 503."""
    gauges.see(middle(at=1_000.0))
    wall.now += SILENT_S_MAX
    well = gauges.health()
    wall.now += 0.5
    silent = gauges.health()

    assert (well.status, silent.status) == (200, 503)
    assert json.loads(silent.body)["state"] == "silent"


def test_progress_is_a_row_that_ended_or_a_job_that_was_accepted(gauges: Gauges) -> None:
    """A run that only asks makes none: an alarm can see that it is stuck."""
    name = "batcher_last_progress_timestamp_seconds"
    counters = dict(middle().counters)
    gauges.see(middle(at=1_001.0))
    first = line(gauges.text(), name)
    gauges.see(middle(at=1_002.0, counters={**counters, "status_reads": 99}))
    asked = line(gauges.text(), name)
    gauges.see(middle(at=1_003.0, counters={**counters, "jobs_accepted": 1}))
    accepted = line(gauges.text(), name)

    assert (first, asked, accepted) == ("1000", "1000", "1003")


def test_a_file_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    """And costs the run nothing; once it can be written again, it is."""
    said: list[str] = []
    folder = tmp_path / "gone"
    file = MetricsFile(Night(metrics=folder / "m.prom"), said.append)
    file.write("a 1\n")
    file.write("a 2\n")
    folder.mkdir()
    file.write("a 3\n")

    assert [text.partition(": ")[2] for text in said] == [
        "No such file or directory; the run goes on without"
    ]
    assert (folder / "m.prom").read_text() == "a 3\n"


@pytest.mark.parametrize(("is_private", "mode"), [(True, 0o600), (False, 0o644)])
def test_who_may_read_the_file(tmp_path: Path, is_private: bool, mode: int) -> None:
    """In the run directory it is private like the rest; elsewhere it is there to be collected."""
    path = tmp_path / "m.prom"
    MetricsFile(Night(metrics=path, is_private=is_private)).write("a 1\n")

    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """Whoever collects it sees the old numbers or the new ones, whole."""
    path = tmp_path / "m.prom"
    replace_text(path, "old 1\n")
    with pytest.raises(UnicodeEncodeError):
        replace_text(path, "x" * 100_000 + "\ud800")

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("m.prom", "old 1\n")]


def test_the_last_numbers_are_those_of_the_summary(gauges: Gauges) -> None:
    """After the end nothing of a living process is left in them."""
    gauges.see(middle())
    text = gauges.last_text(Summary(state="finished", rows=4, succeeded=4), 0)

    assert line(text, "batcher_exit_code") == "0"
    assert "batcher_in_flight" not in text
