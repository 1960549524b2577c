"""What a person may write as the value of a flag, and what it means.

Rule: a value is read once, here, and whoever wrote a bad one is told how a good one looks. Values
also come from `batcher.toml`, where a duration may be a number and `set` a table.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, NoReturn, TypeVar

import click

from batcher.core.money import JOB_COST_MAX

T = TypeVar("T")

AUTO = "auto"  # leaves a number to batcher
NONE = "none"  # takes a limit away again that a run was started with

AMOUNT_MIN = 0.000_000_001  # what money is counted in
AMOUNT_MAX = 1_000_000_000.0
CLAIM_WAIT_S_MAX = 86_400.0

_AMOUNT = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,9})?")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) *([kmgt]i?b|b)?")
_BYTES = {
    "b": 1,
    **{f"{letter}b": 1000**n for n, letter in enumerate("kmgt", 1)},
    **{f"{letter}ib": 1024**n for n, letter in enumerate("kmgt", 1)},
}
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_CLOCK_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")


def or_none(read: Callable[[Any], T]) -> Callable[[Any], T | str]:
    """Return a reader that also takes the word `none`: no such limit."""

    @wraps(read)  # click shows the name in `--help`
    def value(given: Any) -> T | str:
        is_none = isinstance(given, str) and given.strip().lower() == NONE
        return NONE if is_none else read(given)

    return value


def or_auto(read: Callable[[Any], T]) -> Callable[[Any], T | str]:
    """Return a reader that also takes the word `auto`: to be found out."""

    @wraps(read)
    def value(given: Any) -> T | str:
        is_auto = isinstance(given, str) and given.strip().lower() == AUTO
        if is_auto:
            return AUTO

        try:
            return read(given)
        except click.BadParameter as error:
            raise click.BadParameter(f"{error.message}; or write {AUTO}") from error

    return value


def whole_number(value: Any) -> int:
    """Read 0, 1, 2, …"""
    return _at_least(0, value)


def count(value: Any) -> int:
    """Read 1, 2, 3, …"""
    return _at_least(1, value)


def _at_least(least: int, value: Any) -> int:
    text = str(value).strip()
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < least:
        raise click.BadParameter(f"{value!r} is not a whole number from {least} on")

    return int(text)


def duration(value: Any) -> float:
    """Read `15m`, `30s`, `1h30m`, `500ms` or plain seconds; return seconds."""
    seconds = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value) if abs(value) < 1e18 else math.inf  # TOML knows no largest number
    elif isinstance(value, str):
        seconds = _seconds(value.strip().lower())

    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        raise click.BadParameter(f"{value!r} is not a duration: write 15m, 30s, 1h30m or seconds")

    return seconds


def some_time(value: Any) -> float:
    """Read a duration above 0: with a time-out of nothing every submit would be in doubt."""
    seconds = duration(value)
    if not seconds:
        raise click.BadParameter(f"{value!r} is no time at all: write 15m, 30s, 1h30m or seconds")

    return seconds


def _seconds(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)

    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None

    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def size(value: Any) -> int:
    """Read `500MB`, `2GB`, `1GiB` or plain bytes; return bytes."""
    found = _SIZE.fullmatch(str(value).strip().lower())
    if found is None:
        raise click.BadParameter(f"{value!r} is not a size: write 500MB, 2GB or a number of bytes")

    return int(float(found[1]) * _BYTES[found[2] or "b"])


def some_size(value: Any) -> int:
    """Read a size above 0."""
    size_bytes = size(value)
    if not size_bytes:
        raise click.BadParameter(f"{value!r} is nothing: write 200MB or a number of bytes")

    return size_bytes


def claim_wait(value: Any) -> float:
    """Read a duration of a day at most: so long a row keeps its place, and others wait for it."""
    seconds = duration(value)
    if seconds > CLAIM_WAIT_S_MAX:
        raise click.BadParameter(f"{value!r} is too long: a day (24h) at most")

    return seconds


def amount(value: Any) -> float:
    """Read an amount of money above 0, such as `12.50`, in whichever currency the API counts."""
    return _amount(value, AMOUNT_MAX)


def job_cost(value: Any) -> float:
    """Read what one job costs; far above what any does, a digit has slipped in."""
    return _amount(value, JOB_COST_MAX)


def _amount(value: Any, most: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = isinstance(value, str) and _AMOUNT.fullmatch(value.strip())
    found = value if number else float(value) if text else 0
    if not AMOUNT_MIN <= found <= most:  # also for what is no number, and for NaN
        raise click.BadParameter(
            f"{value!r} is not such an amount: write a number above 0 and up to {most:,.0f}, such "
            "as 12.50 or 0.0035, without a currency"
        )

    return float(found)


def names(value: Any) -> tuple[str, ...]:
    """Read `clipping,shadowTop`; `batcher.toml` may give a list."""
    given = value if isinstance(value, list | tuple) else str(value).split(",")
    found = tuple(str(name).strip() for name in given)
    wrong = [name for name in found if not _NAME.fullmatch(name)]
    if wrong or len(set(found)) < len(found):
        what = f"{wrong[0][:80]!r} is no name" if wrong else "a name is there twice"
        raise click.BadParameter(f"{what}: write the API's own words, such as clipping,compose")

    return found


def rate(value: Any) -> str:
    """Check `300/m` or `5/m,100/d`; it stays text, which the engine reads again."""
    from batcher.core.pacing.rates import parse_rate

    return _checked(str(value), parse_rate)


def failure_limit(value: Any) -> str:
    """Check `100` rows or `5%` of them; it stays text, which the engine reads again."""
    from batcher.engine.money.budget import parse_failure_limit

    return _checked(str(value), parse_failure_limit)


def _checked(text: str, parse: Callable[[str], object]) -> str:
    from batcher.core.errors import UsageError

    try:
        parse(text)
    except UsageError as error:
        # Whoever shows this one names the flag before it, so the engine's own name goes.
        said = str(error).removeprefix(f"rate {text[:80]!r}: ")
        raise click.BadParameter(said.removeprefix("--max-failures ")) from error

    return text


def instant(value: Any, clock: Callable[[], float] = time.time) -> float:
    """Read `06:00` (the next time that it is six here) or an ISO time; return epoch seconds."""
    now = clock()
    text = str(value).strip()
    found = _CLOCK_TIME.fullmatch(text)
    at = _iso_time(text) if found is None else _next_time(found, now)
    if at is None:
        raise click.BadParameter(f"{text!r} is not a time: write 06:00 or 2026-11-22T06:00")

    if at <= now:
        raise click.BadParameter(f"{text!r} is over")

    return at


def _next_time(found: re.Match[str], now: float) -> float:
    # Naive local time on purpose: tomorrow at six is at six, also on days of 23 or 25 hours.
    today = datetime.fromtimestamp(now).replace(
        hour=int(found[1]), minute=int(found[2]), second=int(found[3] or 0), microsecond=0
    )
    return today.timestamp() if today.timestamp() > now else (today + timedelta(1)).timestamp()


def _iso_time(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


# --- Parameters of the API -------------------------------------------------------------------


def key_value(value: Any) -> tuple[str, object]:
    """Read `KEY=VALUE`; `batcher.toml` gives pairs, whose values have their type already."""
    if isinstance(value, tuple):
        return value[0], value[1]

    key, equals, text = str(value).partition("=")
    if not equals or not key.strip():
        raise click.BadParameter(f"{value!r} is not KEY=VALUE, such as mode=params")

    return key.strip(), json_or_text(text)


def json_or_text(text: str) -> object:
    """Return what *text* is as JSON if that is not a string, and else *text* itself."""
    try:
        value = json.loads(text, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return text

    return text if isinstance(value, str) else value


def _not_json(word: str) -> NoReturn:
    raise ValueError(word)  # NaN and Infinity are not JSON, whatever Python's parser thinks


def one_of_each(pairs: tuple[tuple[str, object], ...]) -> Mapping[str, object]:
    """Return the pairs of `--set`; the same key twice is more likely a slip than a wish."""
    keys = [key for key, _ in pairs]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise click.UsageError(f"--set {twice} is given twice; leave one out")

    return dict(pairs)


class SetOption(click.Option):
    """`--set`, whose variable holds a JSON object, or one KEY=VALUE a line: values have blanks."""

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Return the pairs that the environment gives, or None."""
        text = self.resolve_envvar_value(ctx)
        if text is None or not text.lstrip().startswith("{"):
            return None if text is None else [line for line in text.splitlines() if line.strip()]

        try:
            return list(json.loads(text).items())
        except ValueError:
            raise click.BadParameter("BATCHER_SET is not a JSON object", ctx, self) from None
