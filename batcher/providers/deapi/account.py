"""deAPI's answers to questions that cost nothing: the balance, the price of a row, the models.

Rule: no answer is never a bad answer. A key that may not read its balance (a role without that
right, https://docs.deapi.ai/api-keys) still submits, so everything but a plain number is
`Unreadable` with its reason; only a price question that is refused for its fields speaks of a row.

Sources: the vendor's OpenAPI files; https://docs.deapi.ai/models, /pricing, /api-keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from batcher.core.exchange import Request, Response
from batcher.core.model import ErrorKind
from batcher.core.verdict import (
    Balance,
    BalanceVerdict,
    Later,
    ModelsVerdict,
    Price,
    PriceVerdict,
    Refused,
    Unreadable,
)
from batcher.providers import answers, reading
from batcher.providers.base import Files, Quote
from batcher.providers.deapi import answers as deapi_answers
from batcher.providers.deapi.catalogue import page_of
from batcher.providers.deapi.form import form_of
from batcher.providers.deapi.tasks import TASKS, Task, Version

PAGE_SIZE: Final = 50  # the most; without it 25 come, and nothing tells of the rest
FREE: Final = frozenset({"prompt", "negative_prompt", "seed"})  # asked with, but priced by nobody


class DeApiAccount:
    """The questions, in the words of one version of the API."""

    currency = "USD"
    balance_min = 0.49  # https://docs.deapi.ai/api/v2/utilities/balance

    def __init__(
        self, version: Version, merged: Callable[[Mapping[str, object]], dict[str, object]]
    ) -> None:
        self._version = version
        self._merged = merged

    # --- Balance -------------------------------------------------------------------------------

    def balance(self) -> Request:
        """Return the request that reads what the account holds."""
        return Request("GET", self._version.balance)

    def read_balance(self, response: Response) -> BalanceVerdict:
        """Read `{"data":{"balance":19.72}}`, or the same without `data`. Never raises."""
        body = reading.json_object(response.body)
        amount = reading.amount_of(_data(body).get("balance", body.get("balance")))
        if _is_success(response) and amount is not None:
            return Balance(amount)

        return _no_answer(response, body, "a balance")

    # --- Prices --------------------------------------------------------------------------------

    def quote(self, values: Mapping[str, object], files: Files) -> Quote:
        """Return the question for the price of a row without problems.

        The key holds the whole question but for `prompt`, `negative_prompt` and `seed`: deAPI
        prices by size, steps and model ("a formula over your request parameters"), never by words
        or chance, and of words every row has its own. `guidance`, `loras` and `quality` stay in,
        because the formula is not published. What the question does not take cannot change its
        answer, so it is not in the key either: the sizes and images of an edit, an OCR's language
        and format ("do not affect the price"), the fee of `enhance_prompt`.

        Where an image is priced and its pixels are known, two numbers are sent in its place; else
        the image itself is, and the key is that file's.
        """
        sent = self._merged(values)
        task = TASKS[str(sent["task"])]
        path = task.path(self._version) + self._version.price
        asked = {name: sent[name] for name in task.priced if name in sent}
        if not task.priced_by_pixels:
            key = {name: value for name, value in asked.items() if name not in FREE}
            return Quote(_key(path, key), Request("POST", path, json=orjson.dumps(asked)))

        return _picture_quote(task, path, asked, files)

    def read_quote(self, response: Response) -> PriceVerdict:
        """Read `{"data":{"price":0.15}}`, or the same without `data`. Never raises.

        `is_estimated` marks a partner's model: the true amount is settled after the job.
        """
        body = reading.json_object(response.body)
        heard = deapi_answers.said(body)
        place = _data(body) if "price" in _data(body) else body
        amount = reading.amount_of(place.get("price"))
        if _is_success(response) and amount is not None and amount >= 0:
            return Price(amount, reading.flag_of(place.get("is_estimated")) is True)

        spent = deapi_answers.is_out_of_credits(heard)
        if response.status in (413, 422) and not spent:
            return Refused(answers.row_error(ErrorKind.INVALID_REQUEST, response, heard))

        return _no_answer(response, body, "a price")

    # --- Models --------------------------------------------------------------------------------

    def models(self, page: int) -> Request:
        """Return the request that reads one page of all models, from 1 on."""
        return Request("GET", f"{self._version.models}?limit={PAGE_SIZE}&page={page}")

    def read_models(self, response: Response) -> ModelsVerdict:
        """Read a page of the catalogue, in any of the shapes that are printed. Never raises."""
        body = reading.json_object(response.body)
        page = page_of(body) if _is_success(response) else None
        return page or _no_answer(response, body, "a list of models")


def _picture_quote(task: Task, path: str, asked: dict[str, object], files: Files) -> Quote:
    """Return the question for the price of an image, by its pixels or by itself."""
    file = files[0]
    if file.pixels is not None:
        asked |= zip(("width", "height"), file.pixels, strict=True)
        return Quote(_key(path, asked), Request("POST", path, form=form_of(asked)))

    assert task.upload is not None  # noqa: S101  # a task that is priced by an image takes one
    key = {**asked, "file": [file.path, file.size_bytes]}
    request = Request("POST", path, form=form_of(asked), files=task.upload.parts(files))
    return Quote(_key(path, key), request)


def _key(path: str, asked: Mapping[str, object]) -> str:
    """Return a question as text, the same for the same question."""
    return f"{path} {orjson.dumps(asked, option=orjson.OPT_SORT_KEYS).decode()}"


def _is_success(response: Response) -> bool:
    return 200 <= response.status < 300


def _data(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return reading.as_object(body.get("data"))


def _no_answer(response: Response, body: Mapping[str, Any], wanted: str) -> Later | Unreadable:
    """Say why there is no answer, in the words that a refused submit would be told with."""
    heard = deapi_answers.said(body)
    if response.status == 429:
        return deapi_answers.throttled(response, body, heard)

    message = f"HTTP {response.status} without {wanted}" if _is_success(response) else ""
    if response.status == 403:
        message = deapi_answers.forbidden_message(response, heard)

    return answers.question_verdict(response, heard, message)
