"""Views show what matters, in the room there is, and pass nothing on that could harm a screen."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from batcher.core.model import ErrorKind, Stop, StopReason
from batcher.core.stats import ErrorView, Snapshot
from batcher.report.lines import progress_line
from batcher.report.live import LiveView
from batcher.report.views import LineView, NoView
from tests.cli.terminal import Screen
from tests.report.snapshots import middle


class Sized(Console):
    """A console on a terminal of a size that can change."""

    def __init__(self, columns: int, lines: int = 40) -> None:
        self.came = io.StringIO()
        super().__init__(file=self.came, force_terminal=True, width=columns, height=lines)


def painted(console: Sized, *shots: Snapshot) -> str:
    """Show snapshots and return what stands on the screen then."""
    view = LiveView(console, "photos.jsonl, removit")
    for shot in shots:
        view.show(shot)

    view.close()
    screen = Screen(console.width)
    screen.feed(console.came.getvalue().replace("\n", "\n\r"))
    return screen.text


@pytest.mark.parametrize("columns", [80, 200])
def test_a_frame_tells_everything_in_the_room_there_is(columns: int) -> None:
    """Title, time, bar, counts, lanes, errors and what holds the run back fit without wrapping."""
    text = painted(Sized(columns), middle())

    for part in (
        "photos.jsonl, removit",
        "4 min 10 s, 10 min 40 s left",
        "1,170 of 4,000 rows, 29 %",
        "succeeded 1,100",
        "failed 60",
        "exhausted 8",
        "in doubt 2",
        "pending 330",
        "in flight 180 of 200",
        "4.8/s",
        "limit 300/m",
        "open 12",
        "waiting 150",
        "closed 12 s",
        "rejected  60  the picture cannot be read",
        "held back by: submit limit (300/m)",
    ):
        assert part in text
    assert len(text.splitlines()) <= 15


def test_each_frame_takes_the_place_of_the_last() -> None:
    """After a hundred frames one frame stands there, the last one."""
    shots = [middle(elapsed_s=float(n), errors={} if n % 2 else middle().errors) for n in range(99)]
    text = painted(Sized(80), *shots, middle(elapsed_s=200.0))

    assert text == painted(Sized(80), middle(elapsed_s=200.0))


def test_a_resize_begins_a_new_frame_below() -> None:
    """The frame that a resize may have torn stays; the next ones paint over each other again."""
    console = Sized(100)
    view = LiveView(console, "photos.jsonl, removit")
    view.show(middle())
    console.width = 80
    view.show(middle())
    view.show(middle())

    screen = Screen(100)
    screen.feed(console.came.getvalue().replace("\n", "\n\r"))
    assert screen.text.count("photos.jsonl, removit") == 2


def test_a_frame_is_never_taller_than_the_screen() -> None:
    """What does not fit is cut: a frame that scrolled could not be painted over."""
    text = painted(Sized(80, lines=6), middle(), middle())

    assert text.count("photos.jsonl, removit") == 1
    assert len(text.splitlines()) == 5


def test_a_line_that_must_not_get_lost_stands_above_the_frame() -> None:
    """What is said stays on the screen, and the frame goes on below it."""
    console = Sized(80)
    view = LiveView(console, "photos.jsonl, removit")
    view.show(middle())
    view.say("again to stop now")
    view.show(middle())

    screen = Screen(80)
    screen.feed(console.came.getvalue().replace("\n", "\n\r"))
    assert screen.text.startswith("again to stop now\nphotos.jsonl")
    assert screen.text.count("photos.jsonl, removit") == 1


HOSTILE = "\x1b]0;owned\x07 \x1b[2J [red]mark-up[/red] \u202e \r\n"


def test_a_stranger_cannot_paint() -> None:
    """Text of servers and manifests is shown letter by letter: no mark-up, no control sequence."""
    shot = middle(
        errors={ErrorKind.REJECTED: ErrorView(1, HOSTILE)},
        binding=HOSTILE,
        stop=None,
    )
    text = painted(Sized(200), shot)

    assert text.count("[red]mark-up[/red]") == 2
    assert r"\x1b[2J" in text
    assert "\x1b" not in progress_line(shot)


def test_a_run_on_its_way_out_says_why() -> None:
    """The reason to stop takes the place of what holds the run back, and no time is promised."""
    text = painted(Sized(80), middle(stop=Stop(StopReason.OUT_OF_CREDITS, "balance 0")))

    assert "stopping: out_of_credits: balance 0" in text
    assert "held back" not in text
    assert "left" not in text


@pytest.mark.parametrize(
    ("low_s", "high_s", "told"),
    [
        (540.0, 780.0, "9 to 13 min left"),
        (620.0, 660.0, "10 min 40 s left"),  # a span that is no wider is one number
        (5_000.0, 9_000.0, "83 to 150 min left"),
        (40.0, 2_000.0, "1 to 33 min left"),
        (100_000.0, 400_000.0, "1 to 5 d left"),
        (None, None, "10 min 40 s left"),
    ],
)
def test_how_long_it_takes_is_a_span_while_it_is_unsure(
    low_s: float | None, high_s: float | None, told: str
) -> None:
    """Eight times in ten it lies within; in one unit, so that it can be read at a glance."""
    shot = middle(eta_low_s=low_s, eta_high_s=high_s)

    assert f"4 min 10 s, {told}" in painted(Sized(80), shot)
    assert f"left {told.removesuffix(' left')} ·" in progress_line(shot)


def test_a_total_that_is_not_known_is_not_made_up() -> None:
    """Without a number of rows there is no bar and no percentage."""
    text = painted(Sized(80), middle(rows_total=None, eta_s=None))

    assert "1,170 rows ended, still reading the manifest" in text
    assert "%" not in text


def test_plain_lines_come_twice_a_minute() -> None:
    """Not a terminal: a line at the start and every 30 seconds of the run, not every second."""
    lines: list[str] = []
    view = LineView(lines.append)
    for second in range(91):
        view.show(middle(elapsed_s=float(second)))

    assert [line.partition(" · ")[0] for line in lines] == ["0 s", "30 s", "1 min", "1 min 30 s"]
    assert "1,170 of 4,000 rows ended (29 %)" in lines[0]
    assert "status closed for 12 s (throttled)" in lines[0]
    assert lines[0].endswith("left 10 min 40 s · held back by: submit limit (300/m)")


def test_silence_is_silent() -> None:
    """--quiet tells nothing at all, --json only what must not get lost."""
    lines: list[str] = []
    for is_silent in (True, False):
        view = NoView(lines.append, is_silent=is_silent)
        view.show(middle())
        view.say("stopping now")

    assert lines == ["stopping now"]
