"""The table of flags that set how a run goes about it: one entry for each field of `Settings`.

Rule: no number stands here. A default is read from `Settings`, so help and behaviour cannot differ.
What click makes of the table stands in `given`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from batcher.cli.flags.callbacks import listen_address, webhook_url
from batcher.cli.flags.values import (
    amount,
    claim_wait,
    count,
    duration,
    failure_limit,
    instant,
    job_cost,
    names,
    or_auto,
    or_none,
    rate,
    size,
    some_size,
    some_time,
    whole_number,
)


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. `field` is the one of `Settings` that it sets; a `kind` of None makes a switch."""

    section: str
    name: str
    field: str
    help: str
    kind: Any = None  # what click takes for a type
    metavar: str | None = None

    @property
    def parameter(self) -> str:
        """The name that click gives the value, and that it has in `batcher.toml`."""
        return self.name.removeprefix("--").replace("-", "_")


IN_FLIGHT = "Rows in flight: at most this many jobs are open at the API."
PACE, REQUEST, ROW, RUN = "Pace", "One request", "One row", "The whole run"
MONEY, CALLS = "Money", "Calls by the API (webhooks)"

FLAGS = (
    Flag(
        PACE,
        "--rate",
        "rate",
        "Submits at most, in place of the provider's published limit: 300/m, or 5/m,100/d; auto "
        "finds an unknown one.",
        or_none(or_auto(rate)),
        "N/UNIT|auto",
    ),
    Flag(PACE, "--status-rate", "status_rate", "Status reads at most.", or_none(rate), "N/UNIT"),
    Flag(PACE, "--in-flight", "in_flight", IN_FLIGHT, count, "N"),
    Flag(
        PACE,
        "--connections",
        "connections",
        "Requests open at once; auto finds out how many help.",
        or_auto(count),
        "N|auto",
    ),
    Flag(
        REQUEST,
        "--submit-timeout",
        "submit_timeout_s",
        "Wait so long for the answer to a submit; after that the row is in doubt.",
        some_time,
        "DURATION",
    ),
    Flag(
        REQUEST,
        "--status-timeout",
        "status_timeout_s",
        "Wait so long for the answer to a status read.",
        some_time,
        "DURATION",
    ),
    Flag(
        REQUEST,
        "--download-stall",
        "download_stall_s",
        "Give a download up that stands still for so long.",
        some_time,
        "DURATION",
    ),
    Flag(
        REQUEST,
        "--download-bytes-max",
        "download_bytes_max",
        "Refuse a result file that is larger.",
        some_size,
        "SIZE",
    ),
    Flag(
        REQUEST,
        "--variants",
        "variants",
        "Of several results of a row, fetch only these. [all]",
        or_none(names),
        "NAME,…",
    ),
    Flag(
        ROW,
        "--job-timeout",
        "job_timeout_s",
        "Follow a job for so long; after that its row is exhausted, and `retry` looks again.",
        some_time,
        "DURATION",
    ),
    Flag(
        ROW,
        "--max-attempts",
        "max_attempts",
        "Submits of one row that are refused for now (a 429 does not count).",
        count,
        "N",
    ),
    Flag(
        ROW,
        "--on-doubt",
        "on_doubt",
        "What to do with a row of which nobody knows whether it was paid for: hold it for you, or "
        "submit it again (see --max-duplicates).",
        click.Choice(["hold", "resubmit"]),
    ),
    Flag(
        ROW,
        "--max-duplicates",
        "max_duplicates",
        "With --on-doubt resubmit: rows of this run that may be paid for twice.",
        whole_number,
        "N",
    ),
    Flag(
        ROW,
        "--on-500",
        "on_500",
        "deAPI advises to send again after a 500 in its own words: do that, or hold the row.",
        click.Choice(["retry", "hold"]),
    ),
    Flag(
        ROW,
        "--allow-changed",
        "allow_changed",
        "On a resume, send rows that changed before their submit as they are now.",
    ),
    Flag(
        ROW,
        "--allow-private",
        "allow_private",
        "Fetch result files from private and loopback addresses too; implied by a base URL there.",
    ),
    Flag(RUN, "--limit", "limit", "The run is the first N rows.", or_none(count), "N"),
    Flag(
        RUN,
        "--max-jobs",
        "max_jobs",
        "Stop after so many jobs, counted over the whole run.",
        or_none(count),
        "N",
    ),
    Flag(
        RUN,
        "--max-failures",
        "max_failures",
        "Stop after so many failed rows, or a share of them: 100 or 5%.",
        or_none(failure_limit),
        "N|P%",
    ),
    Flag(
        RUN,
        "--min-free",
        "min_free",
        "Begin nothing new while less is left on a disk that is written to; 0 does not look.",
        size,
        "SIZE",
    ),
    Flag(
        RUN,
        "--max-wait",
        "max_wait_s",
        "If the API asks for a longer wait, stop and say when to come back.",
        duration,
    ),
    Flag(
        RUN,
        "--max-outage",
        "max_outage_s",
        "Stop after the API could not be reached for so long.",
        duration,
    ),
    Flag(
        RUN,
        "--max-duration",
        "max_duration_s",
        "Stop this process after so long.",
        or_none(some_time),
        "DURATION",
    ),
    Flag(
        RUN,
        "--finish-by",
        "finish_by",
        "Stop then: 06:00 is the next six o'clock here; or a date and time in ISO form.",
        or_none(instant),
    ),
    Flag(
        RUN,
        "--grace",
        "grace_s",
        "After the first Ctrl-C, let running submits be answered for so long.",
        duration,
    ),
    Flag(
        RUN,
        "--new-key",
        "new_key",
        "The API key differs from the one of the run's start, and is of the same account.",
    ),
    Flag(
        MONEY,
        "--max-cost",
        "max_cost",
        "Stop before the jobs of the whole run cost more, less refunds; in the API's currency.",
        or_none(amount),
        "AMOUNT",
    ),
    Flag(
        MONEY,
        "--cost-per-job",
        "cost_per_job",
        "What a job costs, where the API quotes no price or need not be asked for it.",
        or_none(job_cost),
        "AMOUNT",
    ),
    Flag(MONEY, "--quote", "quote", "Ask for the price of each row before it is submitted."),
    Flag(
        MONEY,
        "--wait-for-credits",
        "wait_for_credits",
        "When the credits run out, stay and ask now and then instead of stopping.",
    ),
    Flag(
        CALLS,
        "--webhook-listen",
        "webhook_listen",
        "Receive the API's calls here; a proxy that speaks https stands before it.",
        or_none(listen_address),
        "HOST:PORT",
    ),
    Flag(
        CALLS,
        "--webhook-url",
        "webhook_url",
        "The https address by which the API reaches --webhook-listen.",
        or_none(webhook_url),
        "URL",
    ),
    Flag(
        CALLS,
        "--claim-wait",
        "claim_wait_s",
        "If a submit is not answered, wait so long for the call that names its job.",
        claim_wait,
        "DURATION",
    ),
)
