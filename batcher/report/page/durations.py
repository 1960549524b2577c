"""How long things took: distributions, percentiles, and how often a job was looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batcher.report.page.bars import bar
from batcher.report.page.charts import Mark, curves, log_marks, log_share
from batcher.report.page.facts import Facts, Stage
from batcher.report.page.histogram import PRECISION
from batcher.report.page.markup import Content, Markup, details, table, tag
from batcher.report.page.tallies import READS_MAX
from batcher.report.page.words import seconds_text, share_text
from batcher.report.text import count_text

DRAWN = {"submit answered": "s-submitted", "job": "s-succeeded", "whole row": "s-flight dashed"}
SHARES = (0.5, 0.9, 0.95, 0.99)
TABLE_POINTS = 20


def durations(facts: Facts) -> Markup | None:
    """Return how long jobs took and how soon their end was seen; None if nothing was measured."""
    if not facts.stages:
        return None

    return tag(
        "section",
        tag("h2", "How long it took"),
        _curves(facts.stages),
        table(
            "Percentiles",
            ("", "Median", "90 %", "95 %", "99 %", "Longest", "Mean", "Rows"),
            _percentiles(facts.stages),
            numbers=tuple(range(1, 8)),
        ),
        tag(
            "p",
            f"Percentiles are within {100 * PRECISION:.1f} %; median, 90 %: half of the rows, nine "
            "of ten took at most so long.",
            cls="muted note",
        ),
        _reads(facts),
    )


def _curves(stages: Sequence[Stage]) -> Markup | None:
    drawn = [stage for stage in stages if stage.name in DRAWN]
    if not drawn:
        return None

    smallest = max(0.001, min(stage.times.smallest for stage in drawn) * 0.9)
    largest = max(smallest * 10, max(stage.times.largest for stage in drawn) * 1.1)
    series = [
        (
            DRAWN[stage.name],
            [
                (log_share(seconds, smallest, largest), share)
                for seconds, share in stage.times.curve()
            ],
        )
        for stage in drawn
    ]
    marks = [Mark(share, seconds_text(value)) for share, value in log_marks(smallest, largest)]
    name = "Share of rows that took at most so long"
    said = "; ".join(
        f"{stage.name}: median {seconds_text(stage.times.quantile(0.5))}" for stage in drawn
    )
    legend = (
        tag("span", tag("i", cls=f"key thin {DRAWN[stage.name]}"), stage.name) for stage in drawn
    )
    return tag(
        "figure",
        tag("figcaption", tag("p", f"{name}.", cls="muted"), tag("p", *legend, cls="legend")),
        curves(name, said, series, marks),
        details("The numbers of this chart", *map(_points, drawn)),
    )


def _percentiles(stages: Sequence[Stage]) -> Iterator[Sequence[Content]]:
    for stage in stages:
        times = stage.times
        texts = [seconds_text(times.quantile(share)) for share in SHARES]
        rest = (seconds_text(times.largest), seconds_text(times.mean), count_text(times.count))
        yield (
            (tag("b", stage.name), tag("small", stage.meaning)),
            *texts,
            *rest,
        )


def _points(stage: Stage) -> Markup:
    shares = [n / TABLE_POINTS for n in range(1, TABLE_POINTS + 1)]
    rows = ((f"{100 * share:.0f} %", seconds_text(stage.times.quantile(share))) for share in shares)
    return table(f"{stage.name}: {stage.meaning}", ("Rows", "took at most"), rows, numbers=(1,))


def _reads(facts: Facts) -> Markup | None:
    total = sum(rows for _, rows in facts.reads)
    if not total:
        return None

    rows = (
        (
            f"{reads} or more" if reads == READS_MAX else str(reads),
            bar(number / total),
            count_text(number),
            share_text(number, total),
        )
        for reads, number in facts.reads
    )
    text = (
        "No API says when a job was done; it is seen by the first status read after that. So a "
        "job was seen late by at most the time between its last two reads, of which “between "
        "reads” above gives the size."
    )
    return tag(
        "div",
        tag("h3", "How soon a job's end was seen"),
        tag("p", text, cls="muted"),
        table("Status reads of a job", ("Reads", "", "Jobs", "Share"), rows, numbers=(2, 3)),
        cls="reads",
    )
