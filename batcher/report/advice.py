"""What each kind of error means, and what a person can do about it: for the page and the terminal.

Rule: one line for each kind, and never more hope than there is. What is written `like this` can be
typed after `batcher`, or is a file of the run.
"""

from __future__ import annotations

from batcher.core.lifecycle import State
from batcher.core.model import ErrorKind

MEANINGS: dict[str, str] = {
    ErrorKind.INVALID_ROW: "the row cannot be used",
    ErrorKind.INVALID_REQUEST: "the API says that the request can never work",
    ErrorKind.UNAUTHORIZED: "the API does not accept the key",
    ErrorKind.FORBIDDEN: "the key may not do this",
    ErrorKind.OUT_OF_CREDITS: "the account is out of credits",
    ErrorKind.NOT_FOUND: "the API no longer knows the job",
    ErrorKind.REJECTED: "the API made the job, and the job failed",
    ErrorKind.THROTTLED: "the API asks for a slower pace",
    ErrorKind.UNAVAILABLE: "the API was not available",
    ErrorKind.TIMEOUT: "the API did not answer in time",
    ErrorKind.CONNECTION: "no connection to the API",
    ErrorKind.PROTOCOL: "an answer that nobody can read",
    ErrorKind.JOB_TIMEOUT: "the job was not done in time",
    ErrorKind.DOWNLOAD: "the result could not be fetched",
    ErrorKind.UNKNOWN_OUTCOME: "sent, and the answer was lost",
}

HINTS: dict[str, str] = {
    ErrorKind.INVALID_ROW: "Nothing was sent for these. `batcher check` lists every problem with "
    "its line; mend the rows and run `failed.jsonl`.",
    ErrorKind.INVALID_REQUEST: "Nothing was made, nothing was charged. The message says what the "
    "API does not take; mend the rows and run `failed.jsonl`.",
    ErrorKind.UNAUTHORIZED: "Put the right key in place; `resume` goes on.",
    ErrorKind.FORBIDDEN: "See in the account what the key may do; `resume` goes on.",
    ErrorKind.OUT_OF_CREDITS: "Top the account up; `resume` goes on.",
    ErrorKind.NOT_FOUND: "The API does not know the job (any more). Ask its support with the "
    "job id; one that a person gave (`batcher doubt adopt`) may be mistyped.",
    ErrorKind.REJECTED: "Mostly the input: is the picture there, public, of a size and kind that "
    "the API takes? `batcher refunds` says whether the money came back.",
    ErrorKind.THROTTLED: "Somebody else may use the same account. A lower `--rate` avoids it.",
    ErrorKind.UNAVAILABLE: "An outage of the API. `retry` later.",
    ErrorKind.TIMEOUT: "A slow network, large uploads, or a busy API; `--submit-timeout` and "
    "`--status-timeout` give it longer.",
    ErrorKind.CONNECTION: "See network, proxy and DNS of this machine; then `retry`.",
    ErrorKind.PROTOCOL: "Look into `log.jsonl` for the whole answer, and tell the API's support.",
    ErrorKind.JOB_TIMEOUT: "The job may be done by now: `retry` looks again and pays nothing. "
    "`--job-timeout` gives jobs longer.",
    ErrorKind.DOWNLOAD: "The job is done and paid for. `retry` fetches the file alone; results "
    "expire, so soon.",
    ErrorKind.UNKNOWN_OUTCOME: "These may have been paid for, so they are not sent again by "
    "themselves. `batcher doubt list` says what to look for at the API.",
}

GIVEN_UP = "A person closed these; nothing is sent for them any more."
NOT_HERE = "This batcher knows no such kind of error; the message is the API's own."


def hint_of(kind: str, outcome: str) -> str:
    """Return what a person can do about rows that came to such an end, in a line or two."""
    if kind == ErrorKind.UNKNOWN_OUTCOME and outcome == State.FAILED:
        return GIVEN_UP

    return next((hint for known, hint in HINTS.items() if known == kind), NOT_HERE)


def meaning_of(kind: str) -> str:
    """Return what a kind of error means, in a few words; nothing if nobody knows."""
    return next((meaning for known, meaning in MEANINGS.items() if known == kind), "")
