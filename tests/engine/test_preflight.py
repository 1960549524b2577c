"""Preflight asks little, stops when it is told to, and calls an estimate an estimate."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.errors import Lost, NotSent, UsageError
from batcher.core.exchange import Request, Response
from batcher.core.model import ErrorKind, RowError
from batcher.core.money import nanos
from batcher.core.verdict import (
    Balance,
    BalanceVerdict,
    Later,
    Model,
    ModelsPage,
    ModelsVerdict,
    Price,
    PriceVerdict,
    Refused,
    Unreadable,
)
from batcher.engine.preflight.asking import PAGES_MAX, PAUSES_S, Preflight
from batcher.engine.preflight.kinds import BYTES_MAX, KINDS_MAX, Kinds
from batcher.engine.preflight.sums import FAILURES_MAX, Priced, Quotes
from batcher.providers.base import Files, Limits, Provider, Quote
from batcher.providers.removit.dialect import Removit

pytestmark = pytest.mark.virtual

KINDS = {401: ErrorKind.UNAUTHORIZED, 403: ErrorKind.FORBIDDEN, 422: ErrorKind.INVALID_REQUEST}


class ToyAccount:
    """An account of an API that says everything in the plainest JSON."""

    currency = "USD"
    balance_min = 0.5

    def balance(self) -> Request:
        """Ask for the balance."""
        return Request("GET", "/balance")

    def read_balance(self, response: Response) -> BalanceVerdict:
        """Read `{"balance": 5}`."""
        return trouble(response) or Balance(json.loads(response.body)["balance"])

    def quote(self, values: Mapping[str, object], files: Files) -> Quote:
        """A row costs by its size."""
        return Quote(str(values["size"]), Request("POST", f"/price?size={values['size']}"))

    def read_quote(self, response: Response) -> PriceVerdict:
        """Read `{"price": 0.1}`."""
        if response.status == 422:
            return Refused(problem(response))

        body = answered(response)
        return trouble(response) or Price(body["price"], body.get("about", False))

    def models(self, page: int) -> Request:
        """Ask for a page of models."""
        return Request("GET", f"/models?page={page}")

    def read_models(self, response: Response) -> ModelsVerdict:
        """Read `{"slugs": [...], "next": 2}`."""
        body = answered(response)
        found = tuple(Model(slug, frozenset()) for slug in body.get("slugs", ()))
        return trouble(response) or ModelsPage(found, body.get("next"))


def answered(response: Response) -> dict[str, Any]:
    """Return the object of a good answer."""
    body: dict[str, Any] = json.loads(response.body) if response.status == 200 else {"price": 0}
    return body


def problem(response: Response) -> RowError:
    """Return what an error answer says."""
    kind = KINDS.get(response.status, ErrorKind.UNAVAILABLE)
    return RowError(kind, response.body.decode(), response.status, retriable=response.status >= 500)


def trouble(response: Response) -> Later | Unreadable | None:
    """Return the verdict on an error answer."""
    if response.status == 429:
        return Later(problem(response), retry_after_s=60.0, throttled=True)

    return None if response.status == 200 else Unreadable(problem(response))


class ToyProvider:
    """As much of a dialect as a preflight sees."""

    facts = Removit.facts
    account = ToyAccount()

    def __init__(self, price: str | None = None) -> None:
        self._price = price

    def limits(self) -> Limits:
        """Publish a limit of price questions."""
        return Limits(price=self._price)


class Api:
    """A transport that answers by path, and remembers when it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"/balance": {"balance": 5}, "/models": {"slugs": ["a"]}, **answers}
        self.asked: list[tuple[float, str]] = []

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Answer by the longest beginning of the path: an object, a status, or an exception."""
        self.asked.append((anyio.current_time(), request.path))
        name = max((name for name in self.answers if request.path.startswith(name)), key=len)
        answer = self.answers[name]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]

        if isinstance(answer, Exception):
            raise answer

        if isinstance(answer, int):
            return Response(answer, b"so it says")

        return Response(200, json.dumps(answer).encode())

    def count(self, name: str) -> int:
        """Return how often something was asked."""
        return sum(path.startswith(name) for _, path in self.asked)


def preflight(api: Api, price: str | None = "60/m") -> Preflight:
    """Return a preflight of the toy API."""
    provider = cast("Provider", ToyProvider(price))  # the rest of the port is not asked for
    return Preflight(provider, api, "TOY_KEY")


def kinds(sizes: Mapping[int, int]) -> Kinds:
    """Return so many rows of each size."""
    found = Kinds(ToyAccount())
    for size, rows in sizes.items():
        for n in range(rows):
            found.add(size * 100 + n, {"size": size}, ())

    return found


# --- What the API says of itself -----------------------------------------------------------------


async def test_all_pages_of_models_are_read() -> None:
    """A model on the last page is known too."""
    pages = {"/models?page=1": {"slugs": ["a", "b"], "next": 2}, "/models?page=2": {"slugs": ["c"]}}
    learned = await preflight(Api(**pages)).learn()

    assert [model.slug for model in learned.models] == ["a", "b", "c"]
    assert (learned.balance, learned.models_problem, learned.balance_problem) == (5, None, None)


@pytest.mark.parametrize(
    ("answers", "told", "asked"),
    [
        ({"/models?page=1": {"slugs": ["a"], "next": 1}}, "page 1 of the models is followed", 1),
        ({"/models": [{"slugs": [], "next": n} for n in range(2, 99)]}, "more than 40 pages", 40),
        ({"/models?page=1": {"slugs": ["a"], "next": 2}, "/models?page=2": 429}, "so it says", 2),
    ],
)
async def test_half_of_the_models_are_as_good_as_none(
    answers: dict[str, Any], told: str, asked: int
) -> None:
    """A row is not called wrong because its model stands on a page that nobody read."""
    api = Api(**answers)
    learned = await preflight(api).learn()

    assert learned.models == ()
    assert learned.models_problem is not None
    assert told in learned.models_problem.message
    assert api.count("/models") == asked <= PAGES_MAX


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"/models": 401}, "does not take this API key: 401: so it says"),
        ({"/models": 403}, "lets it do nothing: 403: so it says"),
        ({"/balance": 401}, "does not take this API key"),
    ],
)
async def test_a_key_that_is_good_for_nothing(answers: dict[str, Any], told: str) -> None:
    """Said with where the key came from and what the API said, before a row is read."""
    with pytest.raises(UsageError, match=f"^TOY_KEY: .*{told}"):
        await preflight(Api(**answers)).learn()


async def test_a_key_that_may_not_see_the_balance_is_a_key() -> None:
    """Keys for work alone are refused the balance; that is told and no more."""
    learned = await preflight(Api(**{"/balance": 403})).learn()

    assert learned.balance is None
    assert learned.balance_problem is not None
    assert learned.balance_problem.http_status == 403
    assert learned.models


@pytest.mark.parametrize(
    "answers",
    [{"/models": NotSent("no such host")}, {"/models": Lost("it broke")}],
)
async def test_an_api_that_is_not_there(answers: dict[str, Any]) -> None:
    """Asked three times, then told: a preflight without an answer is none that went well."""
    api = Api(**answers)
    with pytest.raises(UsageError, match="cannot be reached"):
        await preflight(api).learn()

    assert len(api.asked) == 1 + len(PAUSES_S)


async def test_an_api_that_says_nothing_of_use() -> None:
    """Neither models nor balance: the address may be of something else."""
    with pytest.raises(UsageError, match="nothing that can be used: 503: so it says"):
        await preflight(Api(**{"/models": 503, "/balance": 503})).learn()


async def test_a_bad_moment_passes() -> None:
    """A failure that may pass is asked again after a while; one answer is enough."""
    api = Api(
        **{"/models": [503, {"slugs": ["a"]}], "/balance": [Lost("it broke"), {"balance": 7}]}
    )
    learned = await preflight(api).learn()

    assert (len(learned.models), learned.balance) == (1, 7)


@pytest.mark.parametrize(
    ("status", "body", "works"),
    [
        (404, b'{"error":"not_found"}', True),
        (202, b"", True),
        (503, b'{"error":"credits_service_unavailable"}', False),
        (200, b"<html>", False),
    ],
)
async def test_an_api_without_account_is_asked_for_a_job_that_is_nobodys(
    status: int, body: bytes, works: bool
) -> None:
    """That it knows no such job shows that it took the key; anything else shows nothing."""
    learned = await Preflight(Removit({}), Fixed(Response(status, body)), "TOY_KEY").learn()

    assert (learned.key_problem is None) == works
    assert (learned.models, learned.balance) == ((), None)


async def test_a_dead_key_of_an_api_without_account() -> None:
    """The same question tells a key that is not taken."""
    refusal = Response(401, b'{"error":"unauthorized","message":"API key invalid"}')
    with pytest.raises(UsageError, match=r"^TOY_KEY: Removit does not take .*API key invalid"):
        await Preflight(Removit({}), Fixed(refusal), "TOY_KEY").learn()


class Fixed:
    """A transport with one answer."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Answer."""
        return self._response


# --- Prices --------------------------------------------------------------------------------------


async def test_rows_that_cost_the_same_are_asked_for_once() -> None:
    """The sum of a manifest that was asked for whole is exact, in nanos."""
    api = Api(**{"/price?size=1": {"price": 0.1}, "/price?size=2": {"price": 0.00136}})
    priced = await preflight(api).prices(kinds({1: 3, 2: 1}), 20)

    assert (priced.total, priced.is_exact) == (nanos(0.30136), True)
    assert (priced.rows, priced.rows_priced, priced.kinds, api.count("/price")) == (4, 4, 2, 2)


async def test_few_questions_for_the_largest_kinds() -> None:
    """The rest is taken at the mean of what is known, row by row, and called an estimate."""
    api = Api(**{"/price?size=1": {"price": 1}, "/price?size=2": {"price": 4}})
    priced = await preflight(api).prices(kinds({3: 1, 1: 6, 2: 2, 4: 1}), 2)

    assert sorted(path for _, path in api.asked) == ["/price?size=1", "/price?size=2"]
    assert (priced.total, priced.is_exact) == (nanos(14 / 8 * 10), False)
    assert (priced.rows, priced.rows_priced, priced.kinds, priced.kinds_priced) == (10, 8, 4, 2)


async def test_a_price_that_the_api_calls_an_estimate_is_one() -> None:
    """Asked for all and still not exact."""
    priced = await preflight(Api(**{"/price": {"price": 1, "about": True}})).prices(
        kinds({1: 2}), 20
    )

    assert (priced.total, priced.is_exact) == (nanos(2), False)


async def test_prices_are_asked_for_no_faster_than_published() -> None:
    """60 a minute are one a second; a day's limit is not used up by questions alone."""
    api = Api(**{"/price": {"price": 1}})
    await preflight(api, "60/m,5/d").prices(kinds(dict.fromkeys(range(1, 9), 1)), 8)
    times = [at for at, _ in api.asked]

    assert len(times) == 5
    assert all(b - a >= 0.7 for a, b in pairwise(times))  # the pacer makes up for lateness
    assert times[-1] - times[0] >= 3.7


async def test_a_429_ends_the_questions() -> None:
    """At once, with how long the API wants to be left alone."""
    api = Api(**{"/price": [{"price": 2}, 429, {"price": 9}]})
    priced = await preflight(api).prices(kinds({1: 3, 2: 2, 3: 1}), 20)

    assert api.count("/price") == 2
    assert (priced.total, priced.is_exact, priced.asks_to_wait_s) == (nanos(12), False, 60.0)
    assert priced.problem is not None


async def test_an_api_that_does_not_answer_is_left_alone() -> None:
    """A few failures in a row end the questions; without any price there is no sum."""
    api = Api(**{"/price": Lost("it broke")})
    priced = await preflight(api).prices(kinds(dict.fromkeys(range(1, 9), 1)), 8)

    assert api.count("/price") == FAILURES_MAX
    assert (priced.total, priced.is_exact) == (None, False)


async def test_a_question_that_fails_now_and_then() -> None:
    """Only failures in a row end the questions; what was not answered is estimated."""
    answers = [{"price": 1}, 503, 503, {"price": 1}, 503, {"price": 1}, 503, {"price": 1}]
    api = Api(**{"/price": answers})
    priced = await preflight(api).prices(kinds(dict.fromkeys(range(1, 9), 1)), 8)

    assert api.count("/price") == 8
    assert (priced.rows_priced, priced.total, priced.is_exact) == (4, nanos(8), False)


@pytest.mark.parametrize("price", [float("nan"), float("inf"), -1.0, 1e12])
async def test_a_price_that_nobody_can_mean(price: float) -> None:
    """Is none: it would make a sum that nobody can pay, or one that pays."""
    priced = await preflight(Api(**{"/price": {"price": price}})).prices(kinds({1: 2}), 20)

    assert (priced.total, priced.is_exact) == (None, False)
    assert priced.problem is not None


async def test_an_account_without_money_says_nothing_of_the_rows() -> None:
    """An API may price nothing for who has no credits: then the price is unknown, no row is bad."""
    found = kinds({1: 2})
    quotes = Quotes(found)
    quotes.note(found.largest(1)[0], Refused(RowError(ErrorKind.OUT_OF_CREDITS, "no money", 422)))

    assert quotes.sum().refused == ()
    assert quotes.sum().total is None


async def test_rows_that_the_api_would_refuse() -> None:
    """They are told with the line of the first, cost nothing, and are no reason to stop asking."""
    api = Api(**{"/price?size=1": 422, "/price?size=2": {"price": 3}})
    priced = await preflight(api).prices(kinds({1: 4, 2: 1}), 20)

    assert [(kind.line, kind.rows) for kind in priced.refused] == [(100, 4)]
    assert priced.refused[0].error.message == "so it says"
    assert (priced.rows, priced.total, priced.is_exact) == (1, nanos(3), True)


async def test_a_key_that_dies_between_the_questions() -> None:
    """A refusal of the key is no price that is merely unknown."""
    with pytest.raises(UsageError, match=r"^TOY_KEY: "):
        await preflight(Api(**{"/price": 401})).prices(kinds({1: 1}), 20)


# --- Kinds ---------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_manifest() -> None:
    """So many kinds are told apart; rows of any further ones are counted all the same."""
    found = kinds(dict.fromkeys(range(KINDS_MAX + 50), 1))
    found.add(1, {"size": 7}, ())

    assert (len(found), found.others, found.rows) == (KINDS_MAX, 50, KINDS_MAX + 51)
    assert found.largest(1)[0].rows == 2


LONG = b"x" * (BYTES_MAX // 10)


class Wordy(ToyAccount):
    """An API that wants a long prompt with the question."""

    def quote(self, values: Mapping[str, object], files: Files) -> Quote:
        """Ask with a tenth of all that may be kept."""
        return Quote(str(values["size"]), Request("POST", "/price", json=LONG))


def test_long_questions_fill_memory_no_more_than_many_do() -> None:
    """A manifest of long prompts is held to bytes, where one of short ones is held to a number."""
    found = Kinds(Wordy())
    for size in range(25):
        found.add(size, {"size": size}, ())

    assert (len(found), found.others, found.rows) == (10, 15, 25)


def test_equal_kinds_are_a_sample_of_the_manifest() -> None:
    """Not its first rows, which may well be its smallest; and the same ones every time."""
    found = kinds(dict.fromkeys(range(1_000), 1))
    lines = [kind.line for kind in found.largest(20)]

    assert lines == [kind.line for kind in kinds(dict.fromkeys(range(1_000), 1)).largest(20)]
    assert max(lines) > 50_000 > min(lines)


@given(st.dictionaries(st.integers(1, 50), st.integers(1, 9), min_size=1, max_size=8))
def test_a_sum_is_the_sum(sizes: dict[int, int]) -> None:
    """Whatever rows there are: asked for whole, nothing is lost or counted twice."""
    found = kinds(sizes)
    quotes = Quotes(found)
    for kind in found.largest(len(found)):
        quotes.note(kind, Price(int(kind.request.path.partition("=")[2]) / 1_000))

    priced: Priced = quotes.sum()
    assert priced.total == sum(size * rows * 1_000_000 for size, rows in Counter(sizes).items())
    assert (priced.rows, priced.is_exact) == (sum(sizes.values()), True)
