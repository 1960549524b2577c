"""Views show what matters, in the room there is, and pass nothing on that could harm a screen."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from batcher.core.model import ErrorKind, Stop, StopReason
from batcher.core.stats import ErrorView, Snapshot
from batcher.report.frame import Sight, frame
from batcher.report.lines import progress_line
from batcher.report.live import LiveView
from batcher.report.progress import end_json
from batcher.report.views import JsonView, LineView, NoView
from tests.cli.terminal import Screen
from tests.report.snapshots import middle


class Sized(Console):
    """A console on a terminal of a size that can change."""

    def __init__(self, columns: int, lines: int = 40) -> None:
        self.came = io.StringIO()
        super().__init__(file=self.came, force_terminal=True, width=columns, height=lines)


KINDS = (ErrorKind.REJECTED, ErrorKind.TIMEOUT, ErrorKind.CONNECTION)
SIGHT = Sight("photos.jsonl, removit", "USD")


def shown(shot: Snapshot) -> list[str]:
    """Return a frame of 80 columns without its colours."""
    return [line.plain for line in frame(shot, SIGHT, 80, 40)]


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
        "1,170 of 4,000 rows,  29 %",
        "succeeded 1,100",
        "failed 60",
        "exhausted 8",
        "in doubt 2",
        "pending 330",
        "in flight 180 of 200",
        "4.8/s",
        "97 % of 300/m",
        "open 12",
        "waiting 150",
        "closed 12 s",
        "rejected           60  the picture cannot be read",
        "held back by: submit limit (300/m)",
    ):
        assert part in text
    assert len(text.splitlines()) <= 15
    assert max(map(len, text.splitlines())) <= columns


def test_each_frame_takes_the_place_of_the_last() -> None:
    """After a hundred frames one frame stands there, the last one."""
    shots = [middle(elapsed_s=float(n), errors={} if n % 2 else middle().errors) for n in range(99)]
    text = painted(Sized(80), *shots, middle(elapsed_s=200.0))

    assert text == painted(Sized(80), middle(elapsed_s=200.0))


@pytest.mark.parametrize(("columns", "frames"), [(80, 2), (120, 1)])
def test_a_resize_tears_nothing(columns: int, frames: int) -> None:
    """Of a screen that became narrower the torn frame stays above; of a wider one nothing tears."""
    console = Sized(100)
    view = LiveView(console, "photos.jsonl, removit")
    view.show(middle())
    console.width = columns
    view.show(middle())
    view.show(middle())

    screen = Screen(120)
    screen.feed(console.came.getvalue().replace("\n", "\n\r"))
    assert screen.text.count("photos.jsonl, removit") == frames


EVERY_KIND = {
    kind: ErrorView(10 * n + 1, f"第{n}张图片 😀 {'x' * 300}") for n, kind in enumerate(ErrorKind)
}
MILLION = {
    "rows": 1_000_000,
    "pending": 418_185,
    "succeeded": 555_001,
    "failed": 6_000,
    "exhausted": 812,
    "in_doubt": 20_002,
    "cost": 12_345_678_900_000,
    "cost_refunded": 1_000_000_000,
    "jobs_priced": 500_000,
}


@pytest.mark.parametrize("height", [5, 12, 40])
@pytest.mark.parametrize("columns", [20, 40, 59, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_screen_and_no_frame_taller(columns: int, height: int) -> None:
    """A million rows, every kind of error, wide and long letters, long names: all of it fits."""
    sight = Sight("ein-sehr-langer-Name-图片-" * 10, "USD")
    shot = middle(errors=EVERY_KIND, rows_total=1_000_000, counters=MILLION)
    for each in (shot, replace(shot, stop=Stop(StopReason.BUDGET, "x" * 500)), middle()):
        lines = frame(each, sight, columns, height)

        assert len(lines) <= height
        assert max(line.cell_len for line in lines) <= columns
        assert all(line.plain == line.plain.rstrip() for line in lines)


def test_what_a_run_cost_so_far_is_told() -> None:
    """In the currency of the API, with what came back; of an unpriced run nothing is said."""
    text = "\n".join(line.plain for line in frame(middle(counters=MILLION), SIGHT, 80, 30))

    assert "charged 12,345.6789 USD, refunded 1.00" in text
    assert "charged 12,345.6789 USD, refunded 1.00" in progress_line(
        middle(counters=MILLION), "USD"
    )
    assert "charged" not in painted(Sized(80), middle()) + progress_line(middle(), "USD")


def test_errors_keep_their_places() -> None:
    """An error that becomes the most frequent does not jump to the top: eyes can rest on a line."""
    shots = [
        middle(errors={kind: ErrorView(n, "x") for kind, n in zip(KINDS, counts, strict=True)})
        for counts in ((5, 3, 1), (5, 30, 100))
    ]
    orders = [
        [k for line in shown(shot) for k in KINDS if line.startswith(f"{k}   ")] for shot in shots
    ]

    assert orders == [list(KINDS), list(KINDS)]


def test_the_last_frame_tells_averages() -> None:
    """When all rows have ended, what happened in the last second is of no use to anybody."""
    counters = {"rows": 1_170, "succeeded": 1_170}
    text = "\n".join(shown(middle(counters=counters, rows_total=1_170, reading=False, eta_s=None)))

    assert "submit    5.0/s on average  limit 300/m  1,250 requests" in text
    assert "held back" not in text


def test_a_terminal_without_the_glyphs_gets_others() -> None:
    """An encoding that has no line drawing and no ellipsis is written in what it has."""
    raw = io.BytesIO()
    console = Sized(80)
    console.file = io.TextIOWrapper(raw, encoding="latin-1", errors="strict", newline="")
    view = LiveView(console, "bücher-图片.jsonl, removit")
    view.show(middle(errors=EVERY_KIND))

    assert "bücher-??.jsonl" in raw.getvalue().decode("latin-1")
    assert b"====" in raw.getvalue()


def test_a_glyph_that_is_wider_than_thought_tears_nothing() -> None:
    """A line that runs over the edge ends there: the next frame finds the first line again."""
    console = Sized(80)
    view = LiveView(console, "t" * 40)
    view.show(middle())
    view.show(middle())
    came = console.came.getvalue().replace("t" * 40, "t" * 60)  # as if each took more room
    screen = Screen(80)
    screen.feed(came.replace("\n", "\n\r"))

    assert sum(line.startswith("tttt") for line in screen.lines) == 1


def test_each_line_of_json_is_an_object() -> None:
    """Progress, notices and the end: every line can be parsed and says what it is."""
    came: list[bytes] = []
    view = JsonView(came.append, "USD")
    view.show(middle(errors=EVERY_KIND, counters=MILLION, eta_low_s=500.0, eta_high_s=800.0))
    view.show(middle(stop=Stop(StopReason.DEADLINE, "the time is up")))
    view.say("again to stop\nnow", is_urgent=True)
    came.append(end_json(4, ["photos: stopped"]))
    first, second, notice, end = map(json.loads, came)

    assert [each["kind"] for each in (first, second, notice, end)] == [
        *("progress", "progress", "notice", "end"),
    ]
    assert first["lanes"]["submit"].items() >= {"limit": "300/m", "limit_used": 0.968}.items()
    assert first["cost"]["charged"] == 12_345.6789
    assert first["left_s"] == {"p10": 500.0, "p50": 640.0, "p90": 800.0}
    assert len(first["errors"]) == len(ErrorKind)
    assert second["stopping"]["reason"] == "deadline"
    assert notice["text"] == "again to stop now"
    assert end["exit_code"] == 4


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
    assert "%" not in text.splitlines()[1]


def test_plain_lines_come_twice_a_minute() -> None:
    """Not a terminal: a line at the start and every 30 seconds of the run, not every second."""
    told: list[str] = []
    view = LineView(told.append)
    for second in range(91):
        view.show(middle(elapsed_s=float(second)))

    assert told.pop(0) == "first rejected: the picture cannot be read"
    assert [line.partition(" · ")[0] for line in told] == ["0 s", "30 s", "1 min", "1 min 30 s"]
    assert "1,170 of 4,000 rows ended (29 %)" in told[0]
    assert "status closed for 12 s (throttled)" in told[0]
    assert told[0].endswith("left 10 min 40 s · held back by: submit limit (300/m)")


def test_silence_is_silent() -> None:
    """--quiet tells nothing but what is urgent, --json what must not get lost."""
    lines: list[str] = []
    for is_silent in (True, False):
        view = NoView(lines.append, is_silent=is_silent)
        view.show(middle())
        view.say("stopping now")

        view.say("look at this", is_urgent=True)

    assert lines == ["look at this", "stopping now", "look at this"]
