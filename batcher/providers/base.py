"""What a provider is: the dialect of one API, without I/O.

Rule: a dialect turns a row into a request and an answer into a verdict. It holds no session, reads
no clock and awaits nothing, so it is tested as a table over recorded payloads, and one conformance
suite runs over all of them (`tests/providers/conformance.py`).

What dialects share stands beside this file, because it is about HTTP and JSON and not about any one
API: `reading` (bytes to values), `waiting` and `limit_headers` (headers to times and limits),
`answers` (status codes to verdicts), `parameters` and `uploads` (rows to requests).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

from batcher.core.exchange import Request, Response
from batcher.core.model import LocalFile
from batcher.core.pacing.rates import WindowSeen
from batcher.core.secret import Secret
from batcher.core.verdict import (
    BalanceVerdict,
    CallVerdict,
    JobsVerdict,
    Model,
    ModelsVerdict,
    PriceVerdict,
    StatusVerdict,
    SubmitVerdict,
)

Files = Sequence[LocalFile]  # what a row uploads, in its own order; most rows have one at most
Marked = Callable[[Request, str], Request]  # a submit and its mark -> the submit that carries it


@dataclass(frozen=True, slots=True)
class Limits:
    """What the API publishes of its limits, as `--rate` writes them; None = nothing."""

    submit: str | None = None  # such as "5/m,100/d"
    status: str | None = None
    price: str | None = None  # of all price questions together
    total: str | None = None  # of submits and status reads together, where they are counted so


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an API before any call."""

    name: str
    title: str
    base_url: str  # origin without a trailing slash
    key_env: str  # environment variable that holds the API key
    auth_header: str
    auth_scheme: str  # put before the key, such as "Bearer "; may be empty
    docs_url: str
    parameters: Mapping[str, str]  # row column -> one line about it
    required_settings: Mapping[str, str]  # `--set` key -> one line about it
    first_look_s: float  # when a job is first worth looking at
    look_cap_s: float  # longest pause between two looks
    cautious_rate: str  # our own submit rate where the API publishes none
    no_idempotency: str  # one line: what a lost answer means with this API
    tasks: Mapping[str, str] = field(default_factory=dict)  # word -> one line; empty: one kind only


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a row's values, found before anything is sent.

    A problem makes the row `invalid_row`; with `warning` it is only told by `check`.
    """

    field: str
    message: str  # what is wrong and which values are allowed; the field stands before it
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Callback:
    """Where the API is to call for one submit, and the secret that it signs the call with."""

    url: str  # https; its last part is for this submit alone
    secret: Secret

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What of it must not come back, by an answer that echoes the request, into a record."""
        return self.secret, Secret(self.url.rpartition("/")[2], "the address of a submit")


@dataclass(frozen=True, slots=True)
class Quote:
    """A question for a price. Rows with the same key cost the same, so one of them is asked for."""

    key: str
    request: Request


class Account(Protocol):
    """Questions about money and models that cost nothing, where an API answers them."""

    currency: str  # such as USD
    balance_min: float  # with less than this the API takes no submit

    def balance(self) -> Request:
        """Return the request that reads what the account holds."""
        ...

    def read_balance(self, response: Response) -> BalanceVerdict:
        """Say what the answer means. Never raises. A key that may not ask is `Unreadable`."""
        ...

    def quote(self, values: Mapping[str, object], files: Files) -> Quote:
        """Return the question for the price of a row without problems."""
        ...

    def read_quote(self, response: Response) -> PriceVerdict:
        """Say what the answer means. Never raises. `Refused`: the row would be refused too."""
        ...

    def models(self, page: int) -> Request:
        """Return the request that reads one page of the models, from 1 on."""
        ...

    def read_models(self, response: Response) -> ModelsVerdict:
        """Say what the answer means. Never raises."""
        ...


class Callbacks(Protocol):
    """Calls by which an API reports the end of a job, where it makes them (webhooks)."""

    def read(
        self, headers: Mapping[str, str], body: bytes, *, secret: Secret, now: float
    ) -> CallVerdict:
        """Say what a call means: header names in lower case, the raw body, epoch seconds.

        Never raises. Signature and age are checked here; `BadCall` is anything not proved to be
        the API's.
        """
        ...


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The API makes one job for one key, however often a submit comes with it.

    So a submit without an answer may be sent once more as it was, and only an answer with a job id
    says what became of it: limits and checks come before such a key is looked at. The API counts
    keys by account; one that counts them by API key, or that looks only at running requests, does
    not have this. A mark is 32 hexadecimal digits, of one attempt alone and the same after a
    restart.
    """

    mark: Marked  # how the key travels: `marks.in_header("Idempotency-Key")`, `marks.in_field(…)`
    honoured_s: float  # for so long, from the first submit on, as the API's pages say


class Listing(Protocol):
    """The list of an account's jobs, where an API has one that tells what each submit said of it.

    It tells which job a submit without an answer made, and, once it is settled, that it made none.
    So it must be whole: a job that is neither on a page nor on those after it does not exist. With
    pages that shift while they are read (numbered ones of a list that is sorted by age, the newest
    first) a job can be told twice, never left out.
    """

    settle_s: float  # after this a job that was made is surely in the list; never 0
    pause_s: float  # the least time between two pages

    def mark(self, request: Request, mark: str) -> Request:
        """Return a submit that carries its mark, which its job has in the list."""
        ...

    def page(self, cursor: str | None, since: float) -> Request:
        """Return the request for a page, the first one without *cursor*.

        The API may leave out what is older than *since*, in epoch seconds: a day is added to what
        is looked for, since clocks differ.
        """
        ...

    def read_page(self, response: Response) -> JobsVerdict:
        """Say what the answer means. Never raises. A page that is not whole is `Unreadable`."""
        ...


class Provider(Protocol):
    """The dialect of one API. `values` are always the run's parameters overlaid by the row's."""

    facts: ClassVar[Facts]

    @property
    def account(self) -> Account | None:
        """Questions about money and models; None: the API answers none."""
        ...

    @property
    def callbacks(self) -> Callbacks | None:
        """Calls that the API makes; None: it makes none."""
        ...

    @property
    def idempotency(self) -> Idempotency | None:
        """Keys under which a submit may be sent again; None: the API has none."""
        ...

    @property
    def listing(self) -> Listing | None:
        """The list of the account's jobs; None: the API has none that tells one from another."""
        ...

    def __init__(self, params: Mapping[str, object]) -> None:
        """Take the run's own parameters (`--set`); raise `UsageError` if one can never work."""
        ...

    def limits(self) -> Limits:
        """Return the limits that the API publishes for this run's parameters."""
        ...

    def merged(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return the run's parameters overlaid by a row's own values, the API's names only."""
        ...

    def job_class(self, values: Mapping[str, object]) -> str:
        """Return a short name of the rows whose jobs take about as long as this one's.

        What is learned of durations is kept under it, in this run and for later ones: it is made of
        task, model and size, never of a row's own words.
        """
        ...

    def typed(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return *values* with text turned into the parameter's type where it is unambiguous.

        For CSV rows, whose cells are all text, before anything else sees them. Unknown columns and
        cells that do not read as the type stay as they are.
        """
        ...

    def informed(self, models: Sequence[Model]) -> Self:
        """Return the same dialect, whose `problems` also know what the API says of its models."""
        ...

    def problems(self, values: Mapping[str, object], files: Files) -> list[Problem]:
        """Return everything that is wrong with a row's own *values*, merged with the run's."""
        ...

    def submit(
        self, values: Mapping[str, object], files: Files, callback: Callback | None = None
    ) -> Request:
        """Return the request that submits a row without problems. Unknown columns stay out.

        *callback* is given only where `callbacks` is not None.
        """
        ...

    def read_submit(self, response: Response) -> SubmitVerdict:
        """Say what an answer to a submit means. Never raises, whatever the bytes are."""
        ...

    def expected(self, values: Mapping[str, object], variant: str) -> str | None:
        """Return the ending (such as `png`) that a row asked for one of its results; None = any."""
        ...

    def windows(self, response: Response) -> tuple[WindowSeen, ...]:
        """Return what an answer's headers tell of the limit that its request counted into."""
        ...

    def status(self, job_id: str) -> Request:
        """Return the request that reads a job."""
        ...

    def read_status(self, response: Response) -> StatusVerdict:
        """Say what an answer to a status read means. Never raises, whatever the bytes are."""
        ...
