"""What an answer's headers tell of an API's limits: every generation of them, one reading.

    X-RateLimit-Limit, -Remaining, -Reset           one window, its length is not in the headers
    X-RateLimit-Daily-Limit, -Remaining, -Reset     the day
    X-RateLimit-Type: minute | daily                which of them a 429 is about
    Retry-After                                     on any error but a 429, which has its own way
    X-RateLimit-Policy, RateLimit-Policy            5;w=60, 100;w=86400   or   "burst";q=5;w=60
    RateLimit-Limit, -Remaining, -Reset             drafts of the IETF (httpapi-ratelimit-headers),
    RateLimit                                       limit=5, remaining=1, reset=9 or "burst";r=1;t=9

Rule: strict where a misreading would do harm. A count without a length is no rate: taken for a
minute's it could be an hour's and let us overrun, or a second's and slow a run down for nothing. So
of such a window only that is told which holds for any length: what is left until a named moment.
Nothing here raises; what cannot be read is as if it were not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Final

import msgspec

from batcher.core.exchange import Response
from batcher.core.pacing.rates import DAY_S, WindowSeen
from batcher.providers.waiting import RETRY_AFTER, reset_at, retry_after_s

PLAIN: Final = tuple(  # count, left and opening of one window
    (f"{prefix}-limit", f"{prefix}-remaining", f"{prefix}-reset")
    for prefix in ("x-ratelimit", "x-ratelimit-daily", "ratelimit")
)
POLICIES: Final = ("ratelimit-policy", "x-ratelimit-policy", "ratelimit-limit")
STATES: Final = "ratelimit"
HIT: Final = "x-ratelimit-type"
NAMES: Final = frozenset({*chain.from_iterable(PLAIN), *POLICIES, STATES, HIT, RETRY_AFTER})
TYPES: Final = {"minute": 60.0, "daily": DAY_S}
HEADER_CHARS_MAX: Final = 1_000  # of one header; a real policy has some dozens
ITEMS_MAX: Final = 20  # windows in one header

_COUNT = re.compile(r"\s*(\d{1,9})\s*(?:[,;]|\Z)", re.ASCII)  # of `10, 10;w=1` it is the first
_LENGTH = re.compile(r";\s*w\s*=\s*(\d{1,9})", re.ASCII)
_QUOTA = re.compile(r";\s*q\s*=\s*(\d{1,9})", re.ASCII)
_NAME = re.compile(r'\s*"([^"]{0,100})"')
_LEFT = re.compile(r"\b(?:remaining|r)\s*=\s*(\d{1,9})", re.ASCII)
_RESET = re.compile(r"\b(?:reset|t)\s*=\s*(\d{1,12})", re.ASCII)
_LIMIT = re.compile(r"\blimit\s*=\s*(\d{1,9})", re.ASCII)


class _Told(msgspec.Struct, frozen=True):
    """What is told of a window whose length stands elsewhere, or nowhere."""

    name: str
    count: int | None
    left: int | None
    opens_at: float | None
    period_s: float | None = None  # where the API documents it


def windows(response: Response, unnamed_s: float | None = None) -> tuple[WindowSeen, ...]:
    """Return the windows that an answer tells of, shortest first, one for each length.

    *unnamed_s* is the length that the API documents for its plain `X-RateLimit-*`; None = none.
    A window never opens later than its own length from now: a skewed clock costs no more.
    """
    headers, now = response.headers, response.received_at
    if NAMES.isdisjoint(headers):  # as nearly every answer of most APIs
        return ()

    policies = list(_policies(headers))
    found = [window for _name, window in policies]
    told = (*_plain(headers, now, unnamed_s), *_states(headers, now))
    found += [window for each in told if (window := _placed(each, policies, now))]
    if response.status >= 400:
        found += (*_hit(response), *_asked_to_wait(response))

    return _joined(found, now)


def _policies(headers: Mapping[str, str]) -> Iterator[tuple[str, WindowSeen]]:
    """Yield the windows that a header names together with their lengths, each with its name."""
    for header in POLICIES:
        for item in _items(headers, header):
            length, name = _first(_LENGTH, item), _NAME.match(item)
            count = _first(_QUOTA, item) if name else _counted(item)
            if length and count:
                yield name[1] if name else "", WindowSeen(float(length), count)


def _states(headers: Mapping[str, str], now: float) -> Iterator[_Told]:
    """Yield what a `RateLimit` header tells: one window in the older drafts, several in newer."""
    items = _items(headers, STATES)
    if not items:
        return

    named = [item for item in items if _NAME.match(item)]
    for item in named or [",".join(items)]:
        name, reset = _NAME.match(item), _RESET.search(item)
        opens_at = reset_at(reset[1], now) if reset else None
        left = _first(_LEFT, item)
        yield _Told(name[1] if name else "", _first(_LIMIT, item), left, opens_at)


def _plain(headers: Mapping[str, str], now: float, unnamed_s: float | None) -> Iterator[_Told]:
    """Yield what each three headers of one prefix tell."""
    periods = (unnamed_s, DAY_S, None)
    for (limit, remaining, reset), period_s in zip(PLAIN, periods, strict=True):
        count, left = _counted(headers.get(limit, "")), _counted(headers.get(remaining, ""))
        if count is not None or left is not None:
            opens_at = reset_at(headers.get(reset, ""), now)
            yield _Told("", count or None, left, opens_at, period_s)


def _placed(told: _Told, policies: list[tuple[str, WindowSeen]], now: float) -> WindowSeen | None:
    """Return what was told as a window of known length, or only what holds for any length."""
    if told.count is None and told.left is None:
        return None

    period_s = told.period_s or _length(told, policies)
    if period_s is not None:
        return WindowSeen(period_s, told.count, told.left, told.opens_at)

    if told.left is None or told.opens_at is None:
        return None

    return WindowSeen(told.opens_at - now, None, told.left, told.opens_at)


def _length(told: _Told, policies: list[tuple[str, WindowSeen]]) -> float | None:
    """Return the length of the one policy that is meant: by its name, its count, or as the only."""
    fits = [window for name, window in policies if name == told.name]
    if len(fits) != 1:
        fits = [window for window in fits if window.count == told.count]

    return fits[0].period_s if len(fits) == 1 else None


def _hit(response: Response) -> Iterator[WindowSeen]:
    """Yield the window that a 429 names as the one that is used up."""
    word = response.headers.get(HIT, "").strip().lower()
    if response.status == 429 and word in TYPES:
        wait_s = retry_after_s(response)
        opens_at = response.received_at + wait_s if wait_s else None
        yield WindowSeen(TYPES[word], left=0, opens_at=opens_at)


def _asked_to_wait(response: Response) -> Iterator[WindowSeen]:
    """Yield the time for which an error asks everybody to stay away (RFC 9110, 10.2.3).

    A 429 does so too, but closes the lane by its verdict, and a probe follows. Under a 2xx or a 3xx
    the header would be about this one job or address.
    """
    wait_s = None if response.status == 429 else retry_after_s(response)
    if wait_s:
        yield WindowSeen(wait_s, left=0, opens_at=response.received_at + wait_s)


def _joined(found: Iterable[WindowSeen], now: float) -> tuple[WindowSeen, ...]:
    """Return one window for each length: the lowest count, the least left, the latest opening."""
    joined: dict[float, WindowSeen] = {}
    for one in found:
        other = joined.get(one.period_s)
        lowest = one if other is None else _lowest(one, other)
        ends_at = now + lowest.period_s
        if lowest.opens_at is not None and lowest.opens_at > ends_at:
            lowest = replace(lowest, opens_at=ends_at)

        joined[one.period_s] = lowest

    return tuple(joined[period_s] for period_s in sorted(joined))


def _lowest(one: WindowSeen, other: WindowSeen) -> WindowSeen:
    """Return what two tellings of the same window allow together."""
    opens = [at for at in (one.opens_at, other.opens_at) if at is not None]
    return WindowSeen(
        one.period_s,
        min((n for n in (one.count, other.count) if n is not None), default=None),
        min((n for n in (one.left, other.left) if n is not None), default=None),
        max(opens, default=None),
    )


def _items(headers: Mapping[str, str], name: str) -> list[str]:
    text = headers.get(name)
    return text[:HEADER_CHARS_MAX].split(",")[:ITEMS_MAX] if text else []


def _counted(text: str) -> int | None:
    found = _COUNT.match(text) if text else None
    return int(found[1]) if found else None


def _first(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return int(found[1]) if found else None
