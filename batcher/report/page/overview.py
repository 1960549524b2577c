"""The top of the page: the judgement, what to do next, and what became of the rows."""

from __future__ import annotations

from batcher.core.lifecycle import OUTCOMES
from batcher.report.page.bars import Part, whole
from batcher.report.page.facts import Facts
from batcher.report.page.markup import Markup, joined, table, tag
from batcher.report.page.verdict import Step, Verdict
from batcher.report.page.words import moment_text, rate_text, share_text
from batcher.report.summary import Summary
from batcher.report.text import count_text, duration_text

NAMES = {
    "succeeded": "Succeeded",
    "failed": "Failed",
    "exhausted": "Exhausted",
    "in_doubt": "In doubt",
    "pending": "Pending",
}
MEANINGS = {
    "succeeded": "has its result",
    "failed": "ended for good without one",
    "exhausted": "given up for now; retry takes it up again",
    "in_doubt": "sent, and the answer was lost; perhaps paid for",
    "pending": "has no outcome yet",
}


def head(facts: Facts) -> Markup:
    """Return which run this is."""
    about = facts.about
    began = facts.columns[0].at if facts.columns else None
    when = [
        text for text in (moment_text(began), f"page made {moment_text(about.made_at)}") if text
    ]
    return tag(
        "header",
        tag("p", "batcher report", cls="kicker"),
        tag("h1", about.title),
        tag("p", " · ".join([about.provider_title, *when]), cls="muted"),
        tag("p", about.manifest, cls="muted mono"),
    )


def judgement(verdict: Verdict) -> Markup:
    """Return how it went, why, and what to type."""
    return tag(
        "section",
        tag(
            "div",
            tag("p", verdict.word, cls="word"),
            tag("h2", verdict.sentence, id="verdict"),
            (tag("p", reason) for reason in verdict.reasons),
        ),
        _steps(verdict),
        cls=f"verdict {verdict.tone}",
        aria_labelledby="verdict",
    )


def outcomes(facts: Facts) -> Markup:
    """Return what became of the rows, as one bar and as numbers."""
    summary = facts.summary
    parts = [
        Part(f"s-{name}", NAMES[name], getattr(summary, name)) for name in (*OUTCOMES, "pending")
    ]
    said = ", ".join(f"{part.name} {count_text(part.number)}" for part in parts if part.number)
    rows = (
        (
            joined(tag("i", cls=f"key {part.cls}"), part.name),
            count_text(part.number),
            share_text(part.number, summary.rows),
            MEANINGS[part.cls.removeprefix("s-")],
        )
        for part in parts
    )
    return tag(
        "section",
        tag("h2", "Rows"),
        _numbers(facts),
        whole("What became of the rows", said or "no rows", parts) if summary.rows else None,
        table("What became of the rows", ("", "Rows", "Share", ""), rows, numbers=(1, 2)),
    )


def _numbers(facts: Facts) -> Markup:
    """Return the few numbers that people compare runs by."""
    summary = facts.summary
    told = [
        ("rows", count_text(summary.rows)),
        ("succeeded", share_text(summary.succeeded, summary.rows)),
        ("time", duration_text(summary.wall_s) if summary.wall_s else "-"),
        ("rows ended", _pace(summary)),
        ("jobs", count_text(summary.jobs_accepted)),
        ("status reads a job", _per_job(summary)),
    ]
    if summary.jobs_claimed:
        told.append(("jobs claimed by calls", count_text(summary.jobs_claimed)))

    return tag("dl", (tag("div", tag("dt", name), tag("dd", text)) for name, text in told))


def _pace(summary: Summary) -> str:
    return rate_text(summary.ended / summary.wall_s) if summary.wall_s and summary.ended else "-"


def _per_job(summary: Summary) -> str:
    jobs = summary.jobs_accepted
    return f"{summary.status_reads / jobs:.2g}" if jobs and summary.status_reads else "-"


def _steps(verdict: Verdict) -> Markup | None:
    if not verdict.steps:
        return None

    steps = (tag("li", tag("p", step.text), _command(step)) for step in verdict.steps)
    return tag("div", tag("h3", "What to do next"), tag("ol", steps))


def _command(step: Step) -> Markup | None:
    if step.command is None:
        return None

    copy = tag("button", "Copy", type="button", cls="copy", hidden=True)
    return tag("div", tag("code", step.command, tabindex="0"), copy, cls="command")
