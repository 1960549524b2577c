"""What went wrong: errors by kind, what became of the submits, and what happened to the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batcher.report.advice import HINTS, MEANINGS
from batcher.report.page.bars import bar
from batcher.report.page.facts import ErrorGroup, Facts
from batcher.report.page.markup import Content, Markup, joined, table, tag
from batcher.report.page.overview import NAMES
from batcher.report.page.words import bytes_text, moment_text, share_text
from batcher.report.text import count_text, rows_text


def errors(facts: Facts) -> Markup:
    """Return every kind of error with its hint and an example."""
    total = sum(group.rows for group in facts.errors)
    body: Content = (
        (_group(group, total) for group in facts.errors)
        if facts.errors
        else tag("p", "No row ended with an error.", cls="muted")
    )
    lost = count_text(facts.unreadable)
    unreadable = f"{lost} lines of the outcome files are no records; they are left out."
    return tag(
        "section",
        tag("h2", "Errors"),
        tag("p", unreadable, cls="warning") if facts.unreadable else None,
        body,
        _answers(facts),
    )


def moments(facts: Facts) -> Markup:
    """Return what happened to the run as a whole, in the order of time."""
    log = facts.log
    notes = []
    if not log.is_there:
        notes.append("There is no log.jsonl, so pauses, waits and notices are not known.")

    if log.bytes_skipped:
        notes.append(f"The first {bytes_text(log.bytes_skipped)} of log.jsonl were not read.")

    if log.moments_left_out:
        notes.append(f"{count_text(log.moments_left_out)} in the middle are left out.")

    rows = (
        (
            moment_text(moment.at) or "?",
            (tag("b", moment.event, cls="warning" if moment.is_urgent else None), " ", moment.text),
        )
        for moment in log.moments
    )
    return tag(
        "section",
        tag("h2", "Pauses, waits and notices"),
        (tag("p", note, cls="muted") for note in notes),
        table("Pauses, waits and notices", ("When", "What"), rows) if log.moments else None,
    )


def _group(group: ErrorGroup, total: int) -> Markup:
    example = group.example
    ends = ", ".join(f"{NAMES.get(name, name).lower()} {n:,}" for name, n in group.outcomes)
    answers = ", ".join(f"{text}: {number:,}" for text, number in group.answers)
    ids = [f"row {example.row_id}, line {example.line:,}"]
    ids += [f"job {example.job_id}"] if example.job_id else []
    ids += [f"request {example.request_id}"] if example.request_id else []
    meaning = MEANINGS.get(group.kind, "")
    return tag(
        "article",
        tag(
            "h3",
            tag("code", group.kind),
            f" {rows_text(group.rows)} ({share_text(group.rows, total)} of all errors)",
        ),
        bar(group.rows / total, f"s-{group.outcomes[0][0]}"),
        tag("p", f"{meaning[:1].upper()}{meaning[1:]}." if meaning else "", f" Rows: {ends}."),
        tag("p", tag("b", "What to do: "), _typed(HINTS[group.kind]))
        if group.kind in HINTS
        else None,
        tag("p", f"Answers: {answers}", cls="muted") if answers else None,
        tag(
            "blockquote",
            tag("p", example.message or "(no message)"),
            tag("p", "For example ", " · ".join(ids), cls="muted"),
        ),
        cls="error",
    )


def _typed(text: str) -> Markup:
    """Return a sentence of ours whose `words between these` are to be typed."""
    parts = enumerate(text.split("`"))
    return joined(tag("code", part) if n % 2 else part for n, part in parts)


def _answers(facts: Facts) -> Markup | None:
    if not facts.answers:
        return None

    total = sum(answer.count for answer in facts.answers)
    rows: Iterator[Sequence[Content]] = (
        (answer.text, bar(answer.count / total), count_text(answer.count))
        for answer in facts.answers
    )
    heads = ("Answer", "", "Submits")
    return tag(
        "div",
        tag("h3", "What became of the submits"),
        table("What became of the submits", heads, rows, numbers=(2,)),
        cls="answers",
    )
