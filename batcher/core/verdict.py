"""What an answer means, as values: a dialect returns one of these and the engine performs it.

The table that money hangs on (an answer to a submit):

    seen                                                       verdict     the row
    2xx with a readable job id                                 Accepted    accepted
    400 404 405 413 415 422 and other refusals; any 3xx        Refused     failed
    401, 403, 402, low balance                                 Halt        pending; the run pauses
    408 425 429 503, and what an API declares proof of no job  Later       pending, again later
    2xx without a job id; 500 502 504 52x; anything unreadable Doubt       in doubt
    nothing left this machine (`NotSent`)                      Later       pending, again later
    no whole answer (`Lost`), or the process died              Doubt       in doubt

What nearly every answer means is a Struct, which costs a fifth of a frozen dataclass to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from batcher.core.model import Refund, Result, RowError, StopReason


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The API made a job."""

    job_id: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The API made no job and never will for this request."""

    error: RowError


@dataclass(frozen=True, slots=True)
class Later:
    """No job (or no news) now; asking again later may work.

    `throttled` closes the whole lane and spends no attempt. `resubmission` marks a submit answer
    that is a refusal only by the API's own advice, so that the ledger can be audited for it.
    """

    error: RowError
    retry_after_s: float | None = None
    throttled: bool = False
    daily: bool = False  # the limit that was hit counts days, not minutes
    resubmission: bool = False


@dataclass(frozen=True, slots=True)
class Halt:
    """No job, and no other row would fare better: the run pauses."""

    error: RowError
    reason: StopReason
    resume_at: float | None = None  # epoch seconds: when the API says that it will take jobs again


@dataclass(frozen=True, slots=True)
class Doubt:
    """A job may exist and may have been charged; its id is not known."""

    error: RowError


SubmitVerdict = Accepted | Refused | Later | Halt | Doubt


class Pending(msgspec.Struct, frozen=True, gc=False):
    """The job is on its way. `unknown` is set when the API's word for it was never seen before."""

    word: str = ""
    progress: float | None = None  # per cent
    unknown: bool = False
    retry_after_s: float | None = None


class Done(msgspec.Struct, frozen=True, gc=False):
    """The job is done. An empty result is read again a few times."""

    result: Result


@dataclass(frozen=True, slots=True)
class JobFailed:
    """The job itself failed.

    `rerun` is true only if the API says both that trying again may work and that the money came
    back. `error.retriable` alone makes the row exhausted instead of failed.
    """

    error: RowError
    refund: Refund | None = None
    refund_raw: str | None = None  # the API's own word
    rerun: bool = False
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """The API does not know the job: not yet, right after a submit, or not any more."""

    error: RowError


@dataclass(frozen=True, slots=True)
class Unreadable:
    """No news: an answer that nobody can read, a redirect, or a server's own trouble."""

    error: RowError


StatusVerdict = Pending | Done | JobFailed | Missing | Later | Halt | Unreadable


# --- Answers to questions that cost nothing: balance, price, models ---------------------------


@dataclass(frozen=True, slots=True)
class Balance:
    """What the account holds, in the provider's currency."""

    amount: float


@dataclass(frozen=True, slots=True)
class Price:
    """What one job will be charged, in the provider's currency."""

    amount: float
    is_estimate: bool = False  # the API settles the true amount after the job


@dataclass(frozen=True, slots=True)
class Model:
    """What the API says of one of its models. What it does not say is not there."""

    slug: str  # as a row names it
    tasks: frozenset[str]  # as a row names them
    limits: Mapping[str, float] = field(default_factory=dict)  # the API's own names
    features: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelsPage:
    """Some of the API's models; `next_page` is None on the last page."""

    models: tuple[Model, ...]
    next_page: int | None = None


BalanceVerdict = Balance | Later | Unreadable
PriceVerdict = Price | Refused | Later | Unreadable
ModelsVerdict = ModelsPage | Later | Unreadable


# --- A list of the account's jobs -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListedJob:
    """One job of the account: ours or not."""

    job_id: str
    mark: str | None = None  # the mark that its submit carried; None: it carried none


@dataclass(frozen=True, slots=True)
class JobsPage:
    """Some of the account's jobs; `next_cursor` is None on the last page."""

    jobs: tuple[ListedJob, ...]
    next_cursor: str | None = None


JobsVerdict = JobsPage | Later | Unreadable


# --- Calls that the API makes -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JobEvent:
    """The API said, by itself, that something happened to a job. Proves no more than that."""

    job_id: str
    word: str  # the API's own, such as `done`
    delivery_id: str
    is_end: bool = True  # whether the job is over by that word; if not, a read tells nothing new


@dataclass(frozen=True, slots=True)
class BadCall:
    """A call that is not the API's, or that nobody can read; nothing in it is believed."""

    reason: str


CallVerdict = JobEvent | BadCall
