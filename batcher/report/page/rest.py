"""Money, pictures, settings and files."""

from __future__ import annotations

from collections.abc import Iterator

from batcher.core.money import nanos
from batcher.report.money import money_text
from batcher.report.page.facts import Facts
from batcher.report.page.markup import Markup, details, joined, table, tag
from batcher.report.page.words import bytes_text, moment_text
from batcher.report.summary import Cost
from batcher.report.text import count_text


def money(facts: Facts) -> Markup:
    """Return what the run cost, and what the API said of the money of failed jobs."""
    summary = facts.summary
    refunds = summary.refunds
    told = [
        ("refunded", refunds.done, "the API says that the money came back"),
        ("already refunded", refunds.already_done, "the API says that it had come back before"),
        ("unconfirmed", refunds.unconfirmed, "somebody must look: ask the API's support"),
    ]
    return tag(
        "section",
        tag("h2", "Money"),
        _cost(summary.cost, summary.succeeded),
        table(
            "Refunds of failed jobs",
            ("Refund", "Jobs", ""),
            ((name, count_text(number), meaning) for name, number, meaning in told),
            numbers=(1,),
        ),
    )


def pictures(facts: Facts) -> Markup:
    """Return the contact sheet."""
    found = facts.pictures
    if found.note:
        text = found.note
    elif not found.shown:
        text = "No result images on this machine: --download fetches them."
    else:
        text = f"{len(found.shown)} of {count_text(found.files)} rows with an image, evenly chosen."

    return tag(
        "section",
        tag("h2", "Results"),
        tag("p", text, cls="muted"),
        tag("ul", _sheet(facts), cls="sheet") if found.shown else None,
    )


def about(facts: Facts) -> Markup:
    """Return how the run was set up, who worked on it, and where its files are."""
    run = facts.about
    versions = ", ".join(facts.log.versions) or "not known"
    chosen = [(name, value) for name, value, is_chosen in run.settings if is_chosen]
    rest = [(name, value) for name, value, is_chosen in run.settings if not is_chosen]
    heads = ("Setting", "Value")
    files = (
        (tag("a", link.name, href=link.href), bytes_text(link.size_bytes), link.meaning)
        for link in run.links
    )
    return tag(
        "section",
        tag("h2", "Settings and files"),
        table("What was set", heads, ((name, _value(value)) for name, value in chosen)),
        details(
            "Settings left at their defaults",
            table("Defaults", heads, ((name, _value(value)) for name, value in rest)),
        ),
        table("Files", ("File", "Size", ""), files, numbers=(1,)) if run.links else None,
        tag(
            "p",
            f"Worked on by batcher {versions}, taken up {count_text(run.processes)} "
            f"{'time' if run.processes == 1 else 'times'}. Page made by batcher {run.batcher}, "
            f"{moment_text(run.made_at)}.",
            cls="muted",
        ),
    )


def _cost(cost: Cost | None, succeeded: int) -> Markup:
    if cost is None:
        text = (
            "No price is known: the API quotes none, or it was not asked (--quote, --cost-per-job)."
        )
        return tag("p", text, cls="muted")

    def shown(value: float) -> str:
        return money_text(nanos(value), cost.currency)

    each = f"{shown(cost.net / succeeded)} for each row that succeeded" if succeeded else ""
    told = [
        (
            "charged",
            cost.charged,
            f"everything that may have been charged, {count_text(cost.jobs_priced)} jobs",
        ),
        ("refunded", cost.refunded, "of that, given back"),
        ("net", cost.net, each),
        (
            "unconfirmed",
            cost.unconfirmed,
            "of what was charged: whether it came back must be looked at",
        ),
        ("in doubt", cost.in_doubt, "of what was charged: nobody knows whether there is a job"),
        ("perhaps besides", cost.unproven, "submits that were sent again by the API's own advice"),
    ]
    rows = ((name, shown(value), meaning) for name, value, meaning in told)
    return table("Cost", ("", "Amount", ""), rows, numbers=(1,))


def _sheet(facts: Facts) -> Iterator[Markup]:
    for picture in facts.pictures.shown:
        image = tag(
            "img",
            src=picture.source,
            alt=f"Result of row {picture.row_id}",
            width=picture.width,
            height=picture.height,
        )
        yield tag("li", tag("a", image, tag("span", picture.row_id), href=picture.href))


def _value(text: str) -> Markup:
    return joined(tag("code", text))
