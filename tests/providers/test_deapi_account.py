"""deAPI's answers to free questions: what is asked, and what may share one answer."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.exchange import Request, Response
from batcher.core.model import LocalFile
from batcher.core.verdict import Balance, Later, ModelsPage, Price, Refused, Unreadable
from batcher.providers.base import Files, Quote
from batcher.providers.deapi.account import DeApiAccount
from batcher.providers.deapi.dialect import DeApi
from tests.providers.conformance import account_of
from tests.providers.strategies import RESPONSES

PICTURE: dict[str, object] = {"prompt": "a shoe", "model": "m", "steps": 4, "seed": 1}
SIZED = {**PICTURE, "width": 512, "height": 512}


def quote(task: str, row: dict[str, object], files: Files = (), **params: object) -> Quote:
    """Return the question for the price of a row."""
    return account_of(DeApi({"task": task, **params})).quote(row, files)


def picture(path: str, *pixels: int) -> Files:
    """Return a local file, whose pixels are known or not."""
    return (LocalFile(path, 9, (pixels[0], pixels[1]) if pixels else None),)


# --- What is asked -----------------------------------------------------------------------------


def test_facts() -> None:
    """The least balance and the currency are the documented ones."""
    assert (DeApiAccount.currency, DeApiAccount.balance_min) == ("USD", 0.49)


def test_words_and_chance_cost_nothing() -> None:
    """Rows that differ in prompt and seed share a price, so a thousand of them are asked once."""
    one = quote("generations", SIZED)
    other = quote("generations", {**SIZED, "prompt": "a hat", "seed": 9, "negative_prompt": "x"})
    assert one.key == other.key


def test_what_costs_is_in_the_key() -> None:
    """Size, steps, model, guidance, tier and styles make another price."""
    changes: list[dict[str, object]] = [
        {"width": 768},
        {"height": 768},
        {"steps": 8},
        {"model": "n"},
        {"guidance": 3.5},
        {"quality": "high"},
        {"loras": [{"name": "n", "weight": 0.5}]},
        {"loras": [{"name": "n", "weight": 0.6}]},
    ]
    keys = {quote("generations", {**SIZED, **change}).key for change in [{}, *changes]}
    assert len(keys) == len(changes) + 1


def test_an_edits_size_is_not_asked_for() -> None:
    """The question for an edit takes neither size nor image, so rows of any size share it."""
    one = quote("edits", PICTURE, picture("/m/a.png", 800, 600))
    other = quote("edits", {**PICTURE, "width": 64}, picture("/m/b.png"))
    assert one == other
    assert quote("edits", {**PICTURE, "steps": 5}, picture("/m/a.png")).key != one.key


def test_pixels_stand_in_for_an_image() -> None:
    """Two images of one size are one question; of unknown sizes each is asked for by itself."""
    known = [quote("upscales", {}, picture(path, 800, 600)) for path in ("/m/a.png", "/m/b.png")]
    assert known[0] == known[1]
    assert known[0].request.files == ()
    assert quote("upscales", {}, picture("/m/a.png", 600, 800)).key != known[0].key
    unknown = [quote("upscales", {}, picture(path)) for path in ("/m/a.png", "/m/b.png")]
    assert unknown[0].key != unknown[1].key
    assert unknown[0].request.files


def test_language_and_format_are_free() -> None:
    """The docs say so of an OCR: only the image counts."""
    row: dict[str, object] = {"language": "da", "format": "json"}
    files = picture("/m/a.png", 800, 600)
    assert quote("ocr", row, files) == quote("ocr", {}, files)


def test_tasks_do_not_share_prices() -> None:
    """The same image costs another price in another task."""
    files = picture("/m/a.png", 800, 600)
    keys = {quote(task, {"model": "m"}, files).key for task in ("upscales", "ocr")}
    assert len(keys) == 2


TASKS = st.sampled_from(["generations", "edits", "upscales", "ocr", "background-removals"])
ROWS = st.fixed_dictionaries(
    {"prompt": st.sampled_from(["a", "b"]), "seed": st.integers(-1, 2)},
    optional={
        "model": st.sampled_from(["m", "n"]),
        "steps": st.integers(1, 2),
        "width": st.sampled_from([64, 128]),
        "height": st.sampled_from([64, 128]),
        "guidance": st.sampled_from([0, 1, 1.5]),
        "negative_prompt": st.sampled_from(["a", "b"]),
        "quality": st.sampled_from(["low", "high"]),
        "enhance_prompt": st.booleans(),
        "language": st.sampled_from(["da", "en"]),
        "loras": st.just([{"name": "n", "weight": 1}]),
        "sku": st.text(max_size=2),
    },
)
FILES = st.builds(
    LocalFile,
    path=st.sampled_from(["/m/a.png", "/m/b.png"]),
    size_bytes=st.integers(1, 2),
    pixels=st.sampled_from([None, (64, 128), (128, 64)]),
)


def asked(request: Request) -> tuple[Any, ...]:
    """Return a request without the words and the chance that nobody prices."""
    body = orjson.loads(request.json or b"{}")
    told = {name: body[name] for name in sorted(body) if name not in FREE}
    return (request.method, request.path, orjson.dumps(told), request.form, request.files)


FREE = ("prompt", "negative_prompt", "seed")


@given(one=st.tuples(TASKS, ROWS, FILES), other=st.tuples(TASKS, ROWS, FILES))
def test_a_key_is_a_question(
    one: tuple[str, dict[str, object], LocalFile], other: tuple[str, dict[str, object], LocalFile]
) -> None:
    """Rows share a key if and only if the same would be asked of them, but for words and chance."""
    quotes = [quote(task, row, (file,)) for task, row, file in (one, other)]
    same = asked(quotes[0].request) == asked(quotes[1].request)
    assert (quotes[0].key == quotes[1].key) is same


# --- What is answered --------------------------------------------------------------------------


@given(response=RESPONSES)
def test_any_answer_is_read(response: Response) -> None:
    """Whatever comes, each reader returns one of its verdicts, and a refusal has its reason."""
    for api in ("v1", "v2"):
        account = account_of(DeApi({"api": api}))
        balance, price, models = (
            read(response)
            for read in (account.read_balance, account.read_quote, account.read_models)
        )
        assert isinstance(balance, Balance | Later | Unreadable)
        assert isinstance(price, Price | Refused | Later | Unreadable)
        assert isinstance(models, ModelsPage | Later | Unreadable)
        for verdict in (balance, price, models):
            if isinstance(verdict, Refused | Later | Unreadable):
                assert verdict.error.message

        if isinstance(price, Price):
            assert 0 <= price.amount <= 1e9
            assert 200 <= response.status < 300


@given(body=st.binary(max_size=400), status=st.integers(100, 599))
def test_any_bytes_are_read(body: bytes, status: int) -> None:
    """No bytes make a reader of questions raise."""
    account = account_of(DeApi({}))
    for read in (account.read_balance, account.read_quote, account.read_models):
        read(Response(status, body))


def test_pages_end() -> None:
    """Following `next_page` through a catalogue of several pages ends after its last one."""
    seen: list[str] = []
    page: int | None = 1
    while page is not None and len(seen) < 9:
        meta = {"current_page": page, "last_page": 3}
        body = orjson.dumps({"data": [{"slug": f"m{page}"}], "meta": meta})
        verdict = account_of(DeApi({})).read_models(Response(200, body))
        assert isinstance(verdict, ModelsPage)
        seen += [model.slug for model in verdict.models]
        page = verdict.next_page

    assert seen == ["m1", "m2", "m3"]
