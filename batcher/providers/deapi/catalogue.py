"""deAPI's catalogue of models, as a page of it is answered.

Rule: every shape that is printed is read, and nothing in it is sure to be there: `info` is an
object or an empty list, `inference_types` a list or an object, numbers and flags may come as text
(https://docs.deapi.ai/models; deapi-ai/mcp-server-deapi met `"supports_guidance": "0"`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from batcher.core.verdict import Model, ModelsPage
from batcher.providers import reading
from batcher.providers.deapi.tasks import TASKS

INPUTS: Final = "max_input_images"
PAGE_DIGITS_MAX: Final = 6

_TASK_OF: Final = {task.slug: task.name for task in TASKS.values()}


def page_of(body: Mapping[str, Any]) -> ModelsPage | None:
    """Return the models of a body, `data` or the older `data.data`, or None if it has no list."""
    data = body.get("data")
    page = body if isinstance(data, list) else reading.as_object(data)
    listed = page.get("data")
    if not isinstance(listed, list):
        return None

    return ModelsPage(tuple(_models(listed)), _next_page(body, page) if listed else None)


def _models(listed: list[Any]) -> Iterator[Model]:
    """Yield the entries that have a slug."""
    for entry in map(reading.as_object, listed):
        slug = entry.get("slug")
        if isinstance(slug, str) and slug:
            info = reading.as_object(entry.get("info"))
            yield Model(
                slug=slug,
                tasks=frozenset(_tasks(entry.get("inference_types"))),
                limits=_limits(entry, info),
                features=_features(info),
            )


def _tasks(types: object) -> Iterator[str]:
    """Yield a model's tasks as rows name them; one that no row can name keeps the API's word.

    The specification has an object of them, the samples a list; PHP writes a list with a gap in it
    as an object whose keys are numbers.
    """
    words = [*types, *types.values()] if isinstance(types, dict) else types
    words = words if isinstance(words, list) else []
    words = [word for word in words if not (isinstance(word, str) and word.isdecimal())]
    yield from (_TASK_OF.get(word, word) for word in words if isinstance(word, str))


def _limits(entry: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers among a model's limits; the API writes some of them as text.

    Where `max_input_images` stands is not documented ("model specs"): it is looked for.
    """
    told = dict(reading.as_object(info.get("limits")))
    for place in (reading.as_object(info.get("features")), info, entry):
        if INPUTS in place:
            told.setdefault(INPUTS, place[INPUTS])

    numbers = {name: reading.number_of(value) for name, value in told.items()}
    return {name: number for name, number in numbers.items() if number is not None}


def _features(info: Mapping[str, Any]) -> dict[str, bool]:
    """Return a model's flags; the API writes them as booleans or as "0" and "1"."""
    flags = {
        name: reading.flag_of(value)
        for name, value in reading.as_object(info.get("features")).items()
    }
    return {name: flag for name, flag in flags.items() if flag is not None}


def _next_page(*places: Mapping[str, Any]) -> int | None:
    """Return the page after this one: by `current_page` and `last_page`, else by the next link."""
    for place in places:
        for meta in (reading.as_object(place.get("meta")), place):
            current, last = (reading.number_of(meta.get(k)) for k in ("current_page", "last_page"))
            if current is not None and last is not None:
                return int(current) + 1 if current < last else None

    links = [reading.as_object(place.get("links")).get("next") for place in places]
    return next((page for page in map(_page_of, links) if page is not None), None)


def _page_of(link: object) -> int | None:
    """Return the page that a link leads to, or None."""
    url = reading.url_of(link)
    try:
        query = parse_qs(urlsplit(url or "").query, max_num_fields=20)
    except ValueError:
        return None

    number = (query.get("page") or [""])[0]
    return (
        int(number)
        if number.isascii() and number.isdecimal() and len(number) <= PAGE_DIGITS_MAX
        else None
    )
