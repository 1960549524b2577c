"""How long an answer asks to wait, and until when: `Retry-After`, dates, resets.

Rule: what is not a time is None, and so is one beyond any limit that we know of. A header may be
broken or a clock wrong; neither may stop a run for a year or make it hammer an API.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from batcher.core.exchange import Response
from batcher.providers.reading import clean, number_of

RETRY_AFTER = "retry-after"
WAIT_S_MAX = 32 * 86_400.0  # no limit we know of lasts longer than a month
EPOCH_S_MIN = 1e9  # a reset from here on (2001) is a moment, below it is a wait

_HTTP_DATE = re.compile(
    r"[A-Za-z]{3,9},[^,]{10,30}GMT|[A-Za-z]{3} [A-Za-z]{3} [ \d]\d [\d:]{8} \d{4}"
)


def retry_after_s(response: Response) -> float | None:
    """Return how long the answer asks us to wait, from its arrival on; None = it does not say.

    RFC 9110, 10.2.3: seconds or an HTTP date. Of several values the longest counts. The past is 0;
    what is not readable, or further off than any limit lasts, is ignored.
    """
    header = clean(response.headers.get(RETRY_AFTER, ""))
    if not header:
        return None

    waits: list[object] = [piece.strip() for piece in _HTTP_DATE.sub("", header).split(",")]
    waits += [_seconds_until(date, response.received_at) for date in _HTTP_DATE.findall(header)]
    sane = [wait for wait in map(wait_of, waits) if wait is not None]
    return max(sane, default=None)


def wait_of(value: object) -> float | None:
    """Return a wait in seconds that can be meant: the past is 0, beyond any limit is None."""
    wait_s = number_of(value)
    return None if wait_s is None or not wait_s <= WAIT_S_MAX else max(0.0, wait_s)


def moment_of(value: object, now: float) -> float | None:
    """Return a time to come in epoch seconds: ISO 8601 (UTC unless it says), or epoch seconds.

    None for what is no time, has passed at *now*, or lies beyond any limit.
    """
    at = number_of(value)
    if at is None and isinstance(value, str):
        at = _iso(value)

    return _to_come(at, now)


def _to_come(at: float | None, now: float) -> float | None:
    """Return a moment, unless it has passed or lies beyond any limit."""
    return at if at is not None and 0 < at - now <= WAIT_S_MAX else None


def reset_at(value: object, now: float) -> float | None:
    """Return when a window opens, in epoch seconds, from a header: a moment or seconds from *now*.

    Both are met under the same names. None for what is neither, or has passed.
    """
    if not value:
        return None

    number = number_of(value)
    if number is None:
        return moment_of(value, now)

    return _to_come(number if number >= EPOCH_S_MIN else now + number, now)


def _iso(text: str) -> float | None:
    """Return an ISO 8601 time in epoch seconds, or None."""
    try:
        return _aware(datetime.fromisoformat(text.strip())).timestamp()
    except ValueError:
        return None


def _seconds_until(date: str, now: float) -> float | None:
    """Return the seconds from *now* (epoch) to an HTTP date, or None if it is not one."""
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None

    return _aware(moment).timestamp() - now


def _aware(moment: datetime) -> datetime:
    """Return a date without a zone as UTC, which is what HTTP means by it."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
