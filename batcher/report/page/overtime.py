"""The time line: how fast it went, how many rows were in flight, what slowed it down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from batcher.report.page import facts as kinds
from batcher.report.page.charts import Axis, Mark, Scale, Series, nice_top, places, steps
from batcher.report.page.facts import Facts
from batcher.report.page.markup import Content, Markup, details, joined, table, tag
from batcher.report.page.timeline import Column, ticks
from batcher.report.page.words import clock_text, digits_text, rate_text, share_text
from batcher.report.text import count_text, duration_text

DAY_S = 86_400.0
LIMIT_SHARE = 0.6  # of the picture: it is not flattened to show a limit that is far away


def over_time(facts: Facts) -> Markup | None:
    """Return three charts over one time line, and their numbers; None if nothing happened."""
    columns = facts.columns
    if not columns:
        return None

    clock, axis = _clock(columns), _axis(columns)
    return tag(
        "section",
        tag("h2", "Over time"),
        tag("p", _axis_text(columns), cls="muted"),
        _throughput(facts, axis, clock),
        _in_flight(facts, axis, clock),
        _troubles(facts, axis, clock),
        details("The numbers of these charts", _numbers(columns)),
    )


def _throughput(facts: Facts, axis: Axis, clock: Callable[[float], str]) -> Markup:
    columns, limit = facts.columns, facts.limit
    submits = [column.rate(kinds.SUBMITTED) for column in columns]
    results = [column.rate(kinds.SUCCEEDED) for column in columns]
    per_s = None if limit is None else limit.per_s
    largest = max(*submits, *results, 1e-9)
    if per_s is not None and largest >= LIMIT_SHARE * per_s:
        largest = max(largest, per_s)

    top = nice_top(largest)
    line = None
    if limit is not None and per_s is not None and per_s <= top:
        line = Mark(per_s / top, f"limit {limit.text}")

    scale = Scale(top, _marks(top, rate_text), line)
    titles = [
        f"{clock(column.at)}: {rate_text(sent)} submits, {rate_text(done)} results"
        for column, sent, done in zip(columns, submits, results, strict=True)
    ]
    series = [
        Series("s-succeeded", "results", results, is_area=True),
        Series("s-submitted", "submits", submits),
    ]
    about = f"at most {rate_text(max(submits))} submits and {rate_text(max(results))} results"
    chart = steps("Submits and results a second", about, axis, scale, series, titles)
    return _figure("Throughput", _limit_use(facts, max(submits)), series, chart)


def _limit_use(facts: Facts, busiest: float) -> str:
    limit = facts.limit
    sent = [column for column in facts.columns if column.counts.get(kinds.SUBMITTED)]
    if limit is None or not sent:
        return "No limit is known."

    whose = "published by the API" if limit.is_published else "set for this run"
    if limit.per_s is None:
        return f"Submits were held to {limit.text} ({whose})."

    number = sum(column.counts[kinds.SUBMITTED] for column in sent)
    mean = number / sum(column.width_s for column in sent)
    used = share_text(round(1_000 * mean / limit.per_s), 1_000)
    return (
        f"While it submitted it sent {rate_text(mean)}, {rate_text(busiest)} at its busiest: "
        f"{used} of the limit of {limit.text} ({whose})."
    )


def _in_flight(facts: Facts, axis: Axis, clock: Callable[[float], str]) -> Markup:
    values = [column.open_max for column in facts.columns]
    largest = max(*values, 1)
    is_near = largest >= LIMIT_SHARE * facts.in_flight_max
    top = nice_top(max(largest, facts.in_flight_max) if is_near else largest)
    line = None
    if facts.in_flight_max <= top:
        line = Mark(facts.in_flight_max / top, f"--in-flight {count_text(facts.in_flight_max)}")

    scale = Scale(top, _marks(top, digits_text, is_whole=True), line)
    titles = [
        f"{clock(column.at)}: {count_text(value)} in flight"
        for column, value in zip(facts.columns, values, strict=True)
    ]
    series = [Series("s-flight", "rows in flight", values, is_area=True)]
    text = (
        f"Rows that were sent and had no outcome yet: {count_text(largest)} at most; "
        f"{count_text(facts.in_flight_max)} are allowed."
    )
    if not facts.ends_are_sure:
        text += (
            " When rows without a result ended stands in the log alone, and not all of it is "
            "there; they count until they were last known."
        )

    chart = steps("Rows in flight", f"at most {largest:,}", axis, scale, series, titles)
    return _figure("In flight", text, series, chart)


def _troubles(facts: Facts, axis: Axis, clock: Callable[[float], str]) -> Markup:
    throttled = [column.counts.get(kinds.THROTTLED, 0) for column in facts.columns]
    others = [column.counts.get(kinds.TROUBLED, 0) for column in facts.columns]
    if not sum(throttled) + sum(others):
        return tag("figure", tag("h3", "429s and errors"), tag("p", "None.", cls="muted"))

    top = nice_top(max(*throttled, *others))
    scale = Scale(top, _marks(top, digits_text, is_whole=True))
    titles = [
        f"{clock(column.at)}: {one:,} answers 429, {other:,} other errors"
        for column, one, other in zip(facts.columns, throttled, others, strict=True)
    ]
    series = [
        Series("s-throttled", "429: too many requests", throttled, is_area=True),
        Series("s-failed", "other errors", others),
    ]
    said = f"{sum(throttled):,} answers 429, {sum(others):,} other errors"
    chart = steps("429s and errors", said, axis, scale, series, titles)
    return _figure(
        "429s and errors", f"{said}, those that were tried again included.", series, chart
    )


def _figure(title: str, text: str, series: Sequence[Series], chart: Markup) -> Markup:
    legend = (
        tag("span", tag("i", cls=f"key {'' if line.is_area else 'thin '}{line.cls}"), line.name)
        for line in series
    )
    caption = tag("figcaption", tag("p", text, cls="muted"), tag("p", *legend, cls="legend"))
    return tag("figure", tag("h3", title), caption, chart)


def _marks(top: float, told: Callable[[float], str], *, is_whole: bool = False) -> list[Mark]:
    """Return labels for all and for half, unless half of what is counted is no number of it."""
    shares = (1.0,) if is_whole and top % 2 else (0.5, 1.0)
    return [Mark(share, told(top * share)) for share in shares]


def _clock(columns: Sequence[Column]) -> Callable[[float], str]:
    """Return how times are written on this axis: no finer than it is."""
    has_day = columns[-1].at - columns[0].at > DAY_S / 2
    has_seconds = columns[0].width_s < 30 and not has_day
    return lambda at: clock_text(at, has_seconds=has_seconds, has_day=has_day)


def _axis(columns: Sequence[Column]) -> Axis:
    edges, clock = places(columns), _clock(columns)
    marks = []
    for place, at in ticks(columns):
        first, last = edges[int(place)]
        marks.append(Mark(first + (place - int(place)) * (last - first), clock(at)))

    gaps = [
        Mark((edges[n - 1][1] + edges[n][0]) / 2, f"{duration_text(column.gap_s)} later")
        for n, column in enumerate(columns)
        if column.gap_s
    ]
    return Axis(edges, marks, gaps)


def _axis_text(columns: Sequence[Column]) -> str:
    width_s = columns[0].width_s
    width = duration_text(width_s) if width_s >= 1 else f"{width_s:g} s"
    gaps = sum(bool(column.gap_s) for column in columns)
    left_out = (
        " Time in which nothing happened is left out where the line is dashed." if gaps else ""
    )
    return f"Times are UTC, one step is {width}.{left_out}"


def _numbers(columns: Sequence[Column]) -> Markup:
    heads = ("From (UTC)", "Submits", "Results", "In flight, at most", "429", "Other errors")
    return table("Over time", heads, _rows(columns), numbers=(1, 2, 3, 4, 5))


def _rows(columns: Sequence[Column]) -> Iterator[Sequence[Content]]:
    shown = (kinds.SUBMITTED, kinds.SUCCEEDED, "", kinds.THROTTLED, kinds.TROUBLED)
    for column in columns:
        day = clock_text(column.at, has_seconds=True, has_day=True)
        numbers = (column.counts.get(kind, 0) if kind else column.open_max for kind in shown)
        yield joined(day), *map(count_text, numbers)
