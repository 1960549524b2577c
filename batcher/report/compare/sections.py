"""The parts of the page: what differs, the numbers, how times were distributed, what was told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from batcher.report.compare.figures import Difference
from batcher.report.compare.lines import Comparison
from batcher.report.compare.measure import Run
from batcher.report.compare.steps import COLUMNS as STEP_COLUMNS
from batcher.report.compare.steps import saturation_text, step_cells, steps_of_run
from batcher.report.compare.times import PRECISION, Times
from batcher.report.compare.words import (
    change_text,
    differing_settings,
    figure_text,
    pair_sentences,
    relative_text,
    time_text,
)
from batcher.report.page.charts import Mark, curves, log_marks, log_share
from batcher.report.page.markup import Content, Markup, details, joined, table, tag
from batcher.report.page.words import seconds_text
from batcher.report.text import count_text, plain, rows_text

NAME_CHARS = 200
TOLD_MAX = 6  # differences in the sentence on top
TABLE_SHARES = (*(n / 20 for n in range(1, 20)), 0.99)


def head(comparison: Comparison, made_at: str) -> Markup:
    """Return which runs these are."""
    runs = comparison.runs
    title = "One run, measured" if len(runs) == 1 else f"{len(runs)} runs, side by side"
    return tag(
        "header",
        tag("p", "batcher compare", cls="kicker"),
        tag("h1", title),
        tag("p", f"page made {made_at}", cls="muted"),
        tag("ul", (tag("li", _key(run), _about(run)) for run in runs), cls="runs"),
    )


def _about(run: Run) -> Markup:
    summary = run.summary
    model = run.frozen.params.get("model")
    parts = [
        run.frozen.provider,
        *([] if model is None else [plain(model, 60)]),
        summary.state,
        f"{count_text(run.measured.ended)} of {rows_text(summary.rows)} ended",
    ]
    return joined(tag("b", plain(run.name, NAME_CHARS)), tag("small", ", ".join(parts)))


def _key(run: Run) -> Markup:
    return tag("span", run.letter, cls=f"letter {_hue(run)}")


def _hue(run: Run) -> str:
    return f"run-{run.letter.lower()}"


def judgement(comparison: Comparison) -> Markup | None:
    """Return what differs, in sentences; None of one run alone."""
    runs = comparison.runs
    if len(runs) == 1:
        return None

    return tag("section", tag("h2", "What differs"), (_judged(comparison, r) for r in runs[1:]))


def _judged(comparison: Comparison, run: Run) -> Markup:
    first = comparison.runs[0]
    own = [each for each in comparison.differences if each.letter == run.letter]
    real = [each for each in own if not each.is_noise]
    noise = [each.figure.name for each in own if each.is_noise and not each.is_unknown]
    unknown = [each.figure.name for each in own if each.is_unknown]
    told = [tag("li", _difference_sentence(each, run)) for each in real[:TOLD_MAX]]
    if len(real) > TOLD_MAX:
        told.append(tag("li", f"{len(real) - TOLD_MAX} more, in the table below"))

    same = "Nothing differs beyond noise." if own and not real else None
    rest = f"Within noise: {', '.join(noise)}." if noise and real else None
    pairs = (pair for pair in comparison.pairs if pair.letter == run.letter)
    return tag(
        "div",
        tag("h3", _key(run), " against ", _key(first)),
        tag("ul", told) if told else None,
        None if same is None else tag("p", same),
        None if rest is None else tag("p", rest, cls="muted"),
        tag("p", f"Too few to say: {', '.join(unknown)}.", cls="muted") if unknown else None,
        (tag("p", line) for each in pairs for line in pair_sentences(each, first.letter)),
        cls="judged",
    )


def _difference_sentence(each: Difference, run: Run) -> Content:
    told = ", ".join(filter(None, (each.word, relative_text(each))))
    return (tag("b", f"{each.figure.name}: {told}"), f", {change_text(each, run.currency)}")


def numbers(comparison: Comparison) -> Markup:
    """Return all numbers of all runs, with their intervals."""
    runs = comparison.runs
    rows = (
        (
            figure.name,
            *(
                _cell(figure_text(figure, value, run.currency))
                for value, run in zip(figure.values, runs, strict=True)
            ),
        )
        for figure in comparison.figures
    )
    heads = ("", *(run.letter for run in runs))
    columns = tuple(range(1, len(heads)))
    return tag(
        "section",
        tag("h2", "Numbers"),
        table("Numbers of each run", heads, rows, numbers=columns),
        tag("p", "In brackets: where the number lies in 95 of 100 cases.", cls="muted note"),
    )


def _cell(text: str) -> Content:
    value, _, rest = text.partition(" (")
    return (value, tag("small", f"({rest}")) if rest else value


def curves_of(comparison: Comparison) -> Markup | None:
    """Return how times were distributed, the runs over one another."""
    charts = [
        _chart(comparison.runs, name, meaning, times)
        for name, meaning, times in (
            ("Submit", "from the submit until its answer", _answered),
            ("Job", "from the answer until a status read saw the end", _job),
            ("Lag bound", "job time by status reads: an end is seen so late at most, about", _lag),
        )
    ]
    if not any(charts):
        return None

    return tag("section", tag("h2", "How long it took"), *charts)


def _answered(run: Run) -> Times:
    return run.measured.answered


def _job(run: Run) -> Times:
    return run.measured.job


def _lag(run: Run) -> Times:
    return run.measured.lag


def _chart(
    runs: Sequence[Run], name: str, meaning: str, times: Callable[[Run], Times]
) -> Markup | None:
    found = [(run, times(run).distribution()) for run in runs]
    drawn = [(run, seen) for run, seen in found if seen is not None]
    if not drawn:
        return None

    smallest = max(0.001, min(seen.span[0] for _, seen in drawn) * 0.95)
    largest = max(smallest * 2, max(seen.span[1] for _, seen in drawn) * 1.05)
    series = [
        (_hue(run), [(log_share(s, smallest, largest), share) for s, share in seen.curve()])
        for run, seen in drawn
    ]
    marks = [Mark(share, seconds_text(value)) for share, value in log_marks(smallest, largest)]
    said = "; ".join(f"{r.letter}: median {time_text(d.quantile(0.5).value)}" for r, d in drawn)
    legend = (
        tag("span", tag("i", cls=f"key thin {_hue(run)}"), f"{run.letter}: {plain(run.name, 40)}")
        for run, _ in drawn
    )
    rows = (
        (f"{100 * share:.0f} %", *(time_text(d.quantile(share).value) for _, d in drawn))
        for share in TABLE_SHARES
    )
    heads = ("Rows", *(run.letter for run, _ in drawn))
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("h3", name),
            tag("p", f"{meaning}: share of rows that took at most so long.", cls="muted"),
            tag("p", *legend, cls="legend"),
        ),
        curves(f"{name}: {meaning}", said, series, marks),
        details(
            "The numbers of this chart",
            table(f"{name}: {meaning}", heads, rows, numbers=tuple(range(1, len(heads)))),
        ),
    )


def loads(comparison: Comparison) -> Markup | None:
    """Return what load tests led to, step by step."""
    found = list(_loads(comparison.runs))
    return tag("section", tag("h2", "Under load"), found) if found else None


def _loads(runs: Sequence[Run]) -> Iterator[Markup]:
    heads = tuple(column.head for column in STEP_COLUMNS)
    for run in runs:
        steps = steps_of_run(run)
        if steps:
            yield tag("h3", _key(run), f" {saturation_text(steps)}")
            caption = f"{run.letter}: each step, from when its jobs were due"
            columns = tuple(range(1, len(heads)))
            yield table(caption, heads, map(step_cells, steps), numbers=columns)


def changes(comparison: Comparison) -> Markup | None:
    """Return every difference with its interval."""
    if not comparison.differences:
        return None

    letters = {run.letter: run for run in comparison.runs}
    rows = (
        (
            joined(_key(letters[each.letter]), f" {each.figure.name}"),
            _cell(change_text(each, letters[each.letter].currency)),
            ", ".join(filter(None, (each.word, relative_text(each)))),
        )
        for each in comparison.differences
    )
    caption = f"Differences from {comparison.runs[0].letter}"
    return tag(
        "section",
        tag("h2", caption),
        table(caption, ("", "Difference", ""), rows, numbers=(1,)),
        cls="changes",
    )


def settings(comparison: Comparison) -> Markup | None:
    """Return what the runs were told differently."""
    found = differing_settings(comparison.runs)
    if not found:
        return None

    heads = ("", *(run.letter for run in comparison.runs))
    rows = ((name, *values) for name, values in found)
    return tag(
        "section",
        tag("h2", "Told differently"),
        table("Settings that differ", heads, rows),
    )


def notes(comparison: Comparison) -> Markup:
    """Return what the numbers mean and do not mean."""
    texts = [
        (
            "Each interval holds for its own number: of twenty comparisons of equal runs one "
            "differs by chance. Pace and 429s have none: one run says nothing of their chance."
        ),
        f"Percentiles are within {100 * PRECISION:.2f} %; their intervals include that.",
        "Rows that ended are counted; of a run that goes on, those that end quickly come first.",
    ]
    unreadable = sum(run.measured.unreadable for run in comparison.runs)
    if unreadable:
        texts.append(f"{count_text(unreadable)} lines of the outcome files are no records.")

    return tag("section", tag("h2", "Read this first"), (tag("p", t, cls="muted") for t in texts))
