"""What stands on the screen of a run at one instant: about a dozen lines, top to bottom.

Rule: every text is a `Text`, in which no mark-up is read, and every line fits the width. What
changes every second keeps its place, so that eyes can rest on it: counts have the room of the
largest one, and errors stand in the order in which they were met.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from rich.cells import cell_len
from rich.text import Text

from batcher.core.lifecycle import OUTCOMES, State
from batcher.core.model import ErrorKind
from batcher.core.stats import ErrorView, LaneView, Snapshot
from batcher.report.cells import GAP, bar, cut, flowed, padded, sides
from batcher.report.lines import cost_text, left_text, limit_share
from batcher.report.text import count_text, duration_text, plain, rate_text, stop_text

WAITING = (State.PENDING, State.INTENT, State.ACCEPTED, State.READY)
ERRORS_MAX = 6  # kinds of error on the screen, of the most frequent
KIND_CELLS = 15  # the longest kind of error
NARROW = 60  # cells: a narrower screen has no room for columns that keep their place
TITLE_MIN, BAR_MIN = 20, 8  # cells
COLOURS = {
    State.SUCCEEDED: "green",
    State.FAILED: "red",
    State.EXHAUSTED: "yellow",
    State.IN_DOUBT: "bold magenta",
}


@dataclass(frozen=True, slots=True)
class Sight:
    """What the same run looks like all the time: what it is called, and its money."""

    title: str
    currency: str | None = None


def frame(shot: Snapshot, sight: Sight, width: int, height: int) -> list[Text]:
    """Return the lines of a frame, each at most *width* cells wide, at most *height* lines."""
    upper = [
        *_head(shot, sight, width),
        *_bar(shot, width),
        *_counts(shot, sight, width),
        Text(),
        *_lanes(shot, width),
    ]
    last = list(_last_words(shot, width))
    room = height - len(upper) - len(last) - 2  # a blank line and a heading
    lines = [*upper, *_errors(shot.errors, width, max(1, min(ERRORS_MAX, room))), *last]
    if len(lines) > height:
        lines = [line for line in lines if line]

    return lines[:height]


def is_over(shot: Snapshot) -> bool:
    """Whether every row has its outcome."""
    return not shot.reading and shot.ended == shot.count("rows")


def _head(shot: Snapshot, sight: Sight, width: int) -> Iterator[Text]:
    time = duration_text(shot.elapsed_s)
    if shot.eta_s is not None and shot.stop is None:
        time += f", {left_text(shot)} left"

    yield from sides(Text(plain(sight.title), "bold"), Text(time), width, TITLE_MIN)


def _bar(shot: Snapshot, width: int) -> Iterator[Text]:
    if not shot.rows_total:
        reading = ", still reading the manifest" if shot.reading else ""
        yield cut(Text(f"{count_text(shot.ended)} rows ended{reading}"), width)
        return

    total = count_text(shot.rows_total)
    share = 100 * shot.ended // shot.rows_total
    said = f"{count_text(shot.ended):>{len(total)}} of {total} rows, {share:>3} %"
    room = width - len(said) - GAP
    if room < BAR_MIN:
        yield cut(Text(said.strip()), width)
    else:
        yield Text.assemble(bar(shot.ended / shot.rows_total, room), " " * GAP, said)


def _counts(shot: Snapshot, sight: Sight, width: int) -> Iterator[Text]:
    """Yield the rows that have ended, the rows that have not, and what all of it cost."""
    digits = len(count_text(shot.rows_total or 0)) if width >= NARROW else 0
    ended = [
        Text(
            padded(f"{state.replace('_', ' ')} {count_text(shot.count(state))}",
                   len(state) + 1 + digits),
            COLOURS[state] if shot.count(state) else "dim",
        )
        for state in OUTCOMES
    ]  # fmt: skip
    pending = sum(shot.count(state) for state in WAITING)
    flying = f"rows in flight {count_text(shot.in_flight)} of {count_text(shot.in_flight_max)}"
    cost = cost_text(shot.counters, sight.currency)
    yield from flowed(ended, width)
    yield from flowed(
        [
            Text(padded(f"pending {count_text(pending)}", len("pending ") + digits)),
            Text(flying),
            *([Text(cost)] if cost else ()),
        ],
        width,
    )


def _lanes(shot: Snapshot, width: int) -> Iterator[Text]:
    """Yield a line for each lane, in columns; once all is over, what it did on average."""
    over = is_over(shot)
    rates = [_rate_text(shot, lane, over=over) for lane in shot.lanes]
    limits = [_limit_text(lane, over=over) for lane in shot.lanes]
    limit_cells = max(map(cell_len, limits), default=0)
    for lane, rate, limit in zip(shot.lanes, rates, limits, strict=True):
        line = f"{lane.name:<8}  {rate:>7}  "
        limit = padded(limit, limit_cells)
        if over:
            yield cut(Text(f"{line}{limit}  {count_text(lane.started)} requests"), width)
        else:
            yield _lane(line, limit, lane, width)


def _lane(line: str, limit: str, lane: LaneView, width: int) -> Text:
    """Return as much of a lane as there is room for; why it is closed comes first."""
    waiting = f"{limit}  waiting {count_text(lane.waiting)}"
    everything = f"{limit}  open {count_text(lane.open):<4}  waiting {count_text(lane.waiting):<5}"
    closed = _closed_text(lane)
    for numbers in (everything, waiting, limit) if width >= NARROW else (limit,):
        whole = Text.assemble(line, numbers, (f"  {closed}", "yellow")) if closed else None
        if whole is None:
            return cut(Text(line + numbers), width)

        if whole.cell_len <= width:
            return whole

    return cut(Text.assemble(line, (closed, "yellow")), width)


def _rate_text(shot: Snapshot, lane: LaneView, *, over: bool) -> str:
    per_s = lane.started / max(shot.elapsed_s, 1.0) if over else lane.per_s
    return (rate_text(per_s) if per_s else "0/s") + (" on average" if over else "")


def _limit_text(lane: LaneView, *, over: bool) -> str:
    if lane.limit is None:
        return "no limit"

    limit, share = plain(lane.limit, 20), None if over else limit_share(lane)
    return f"limit {limit}" if share is None else f"{100 * share:>3.0f} % of {limit}"


def _closed_text(lane: LaneView) -> str:
    if lane.closed_s is None:
        return f"probing: {plain(lane.closed_why)}" if lane.closed_why else ""

    why = f": {plain(lane.closed_why)}" if lane.closed_why else ""
    return f"closed {duration_text(ceil(lane.closed_s))}{why}"


def _errors(errors: Mapping[ErrorKind, ErrorView], width: int, kinds_max: int) -> Iterator[Text]:
    if not errors:
        return

    often = sorted(errors, key=lambda kind: -errors[kind].count)[:kinds_max]
    shown = [kind for kind in errors if kind in often]  # in the order in which they were met
    cells = KIND_CELLS if width >= NARROW else max(map(len, shown))
    digits = max(4, *(len(count_text(errors[kind].count)) for kind in shown))
    yield Text()
    heading = "errors so far (what was tried again is among them)"
    yield cut(Text(heading if width >= NARROW else "errors so far", "dim"), width)
    for kind in shown:
        met = f"{kind:<{cells}}  {count_text(errors[kind].count):>{digits}}  "
        yield cut(Text.assemble(met, (plain(errors[kind].example), "dim")), width)

    if len(errors) > len(shown):
        yield cut(Text(f"and {len(errors) - len(shown)} more kinds of error", "dim"), width)


def _last_words(shot: Snapshot, width: int) -> Iterator[Text]:
    if shot.stop is not None:
        why = plain(stop_text(shot.stop.reason, shot.stop.message))
        yield Text()
        yield cut(Text.assemble(("stopping: ", "bold yellow"), why), width)
    elif shot.binding and not is_over(shot):
        yield Text()
        yield cut(Text.assemble(("held back by: ", "dim"), plain(shot.binding)), width)
