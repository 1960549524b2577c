"""The screen of a run for a person at a terminal: one frame, painted over itself once a second.

Rule: it stays right at 80 columns, and every text is a `Text`, in which no mark-up is read. A frame
is one write, so that it does not flicker, and uses two control sequences: cursor up, and erase to
the end. The last frame stays.

When the width of the terminal changes, the frame on the screen is given up where it stands and a
new one begins below it: what a terminal makes of lines that it has just reflowed cannot be known,
so painting over them would tear. That is why this is not `rich.live`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batcher.core.lifecycle import OUTCOMES, State
from batcher.core.stats import LaneView, Snapshot
from batcher.report.lines import left_text
from batcher.report.text import count_text, duration_text, plain, rate_text, stop_text

UP = "\x1b[{}A\r"
ERASE_BELOW = "\x1b[J"
LINE_CHARS_MAX = 1_000
ERRORS_MAX = 6  # kinds of error on the screen, the most frequent first
COLOURS = {
    State.SUCCEEDED: "green",
    State.FAILED: "red",
    State.EXHAUSTED: "yellow",
    State.IN_DOUBT: "bold magenta",
}


class LiveView:
    """The painted view."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._is_gone = False
        self._title = title
        self._lines: list[str] = []  # the frame on the screen
        self._width = 0

    def show(self, shot: Snapshot) -> None:
        """Paint one frame over the last one."""
        if self._is_gone:
            return

        width, height = self._console.size
        erase = self._erase() if width == self._width else ""
        self._width = width
        # A frame that is taller than the screen could not be found again from below.
        self._lines = self._painted(shot, width).splitlines()[: max(1, height - 1)]
        self._write([erase, *self._lines])

    def say(self, text: str) -> None:
        """Write one line above the frame."""
        self._write([self._erase(), plain(text, LINE_CHARS_MAX), *self._lines])

    def close(self) -> None:
        """Leave the last frame on the screen. Idempotent."""
        self._lines = []

    def _painted(self, shot: Snapshot, width: int) -> str:
        """Return a frame as text. Painted in memory: the terminal may be gone at any moment."""
        canvas = Console(
            file=io.StringIO(),
            force_terminal=True,
            color_system=self._console.color_system,  # type: ignore[arg-type]  # rich's own words
            no_color=self._console.no_color,
            width=width,
            height=self._console.height,
            legacy_windows=False,
        )
        canvas.print(frame(shot, self._title))
        text: str = canvas.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above
        return text

    def _erase(self) -> str:
        return f"{UP.format(len(self._lines))}{ERASE_BELOW}" if self._lines else ""

    def _write(self, parts: list[str]) -> None:
        erase, *lines = parts
        try:
            self._console.file.write(erase + "".join(f"{line}\n" for line in lines))
            self._console.file.flush()
        except (OSError, ValueError):  # the terminal has gone; the run goes on
            self._is_gone = True


def frame(shot: Snapshot, title: str) -> RenderableType:
    """Return one frame: about a dozen lines, as wide as the screen."""
    return Group(
        _head(shot, title),
        _bar(shot),
        _outcomes(shot),
        Text(),
        _lanes(shot.lanes),
        *_errors(shot),
        *_last_words(shot),
    )


def _line(*parts: tuple[str, str]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _head(shot: Snapshot, title: str) -> RenderableType:
    time = duration_text(shot.elapsed_s)
    if shot.eta_s is not None and shot.stop is None:
        time += f", {left_text(shot)} left"

    head = Table.grid(expand=True)
    head.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    head.add_column(no_wrap=True, justify="right")
    head.add_row(_line((plain(title), "bold")), Text(f"  {time}"))
    return head


def _bar(shot: Snapshot) -> RenderableType:
    if not shot.rows_total:
        reading = ", still reading the manifest" if shot.reading else ""
        return _line((f"{count_text(shot.ended)} rows ended{reading}", ""))

    share = 100 * shot.ended // shot.rows_total
    said = f"  {count_text(shot.ended)} of {count_text(shot.rows_total)} rows, {share} %"
    bar = Table.grid(expand=True)
    bar.add_column(ratio=1)
    bar.add_column(no_wrap=True, justify="right")
    bar.add_row(ProgressBar(total=shot.rows_total, completed=shot.ended), Text(said))
    return bar


def _outcomes(shot: Snapshot) -> RenderableType:
    """Return two lines: rows that have ended, and rows that have not."""
    ended = [
        (f"{state.replace('_', ' ')} {count_text(shot.count(state))}  ", _colour(shot, state))
        for state in OUTCOMES
    ]
    waiting = (State.PENDING, State.INTENT, State.ACCEPTED, State.READY)
    pending = sum(shot.count(state) for state in waiting)
    flying = f"rows in flight {count_text(shot.in_flight)} of {count_text(shot.in_flight_max)}"
    return Group(_line(*ended), _line((f"pending {count_text(pending)}  {flying}", "")))


def _colour(shot: Snapshot, state: State) -> str:
    return COLOURS[state] if shot.count(state) else "dim"


def _lanes(lanes: tuple[LaneView, ...]) -> RenderableType:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", min_width=7)
    for _ in range(3):
        table.add_column(no_wrap=True)

    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for lane in lanes:
        table.add_row(
            Text(lane.name),
            Text(rate_text(lane.per_s)),
            Text("no limit" if lane.limit is None else f"limit {plain(lane.limit, 20)}"),
            Text(f"open {count_text(lane.open)}"),
            Text(f"waiting {count_text(lane.waiting)}"),
            _closed(lane),
        )

    return table


def _closed(lane: LaneView) -> Text:
    if lane.closed_s is None:
        return Text("" if not lane.closed_why else f"probing: {plain(lane.closed_why)}", "yellow")

    why = f": {plain(lane.closed_why)}" if lane.closed_why else ""
    return Text(f"closed {duration_text(lane.closed_s)}{why}", "yellow")


def _errors(shot: Snapshot) -> Iterator[RenderableType]:
    if not shot.errors:
        return

    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    kinds = sorted(shot.errors.items(), key=lambda item: -item[1].count)
    for kind, error in kinds[:ERRORS_MAX]:
        table.add_row(Text(kind), Text(count_text(error.count)), Text(plain(error.example), "dim"))

    yield Text()
    yield table
    if len(kinds) > ERRORS_MAX:
        yield Text(f"and {len(kinds) - ERRORS_MAX} more kinds of error", "dim")


def _last_words(shot: Snapshot) -> Iterator[RenderableType]:
    if shot.stop is not None:
        yield Text()
        yield _line(
            ("stopping: ", "bold yellow"),
            (plain(stop_text(shot.stop.reason, shot.stop.message)), ""),
        )
    elif shot.binding and not _is_over(shot):
        yield Text()
        yield _line(("held back by: ", "dim"), (plain(shot.binding), ""))


def _is_over(shot: Snapshot) -> bool:
    return not shot.reading and shot.ended == shot.count("rows")
