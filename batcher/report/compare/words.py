"""Numbers with their intervals, as people read them: one unit for both, three digits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from math import isinf, log10

import msgspec

from batcher.report.compare.figures import Difference, Figure, Unit
from batcher.report.compare.intervals import Estimate, Interval
from batcher.report.compare.measure import Run
from batcher.report.compare.paired import Paired
from batcher.report.text import count_text, plain, rows_text

TIMES = ((3_600.0, "h"), (60.0, "min"), (1.0, "s"), (0.001, "ms"))
MINUTES_FROM = 10  # of a unit, from which it is told in it: `9.5 min` are 570 s
VALUE_CHARS = 40
DECIMALS_OF_SHARES = 2  # of a percentage
DECIMALS_MAX = 9  # money
NOT_SETTINGS = ("finish_by",)  # what says nothing of how a run goes


def figure_text(figure: Figure, value: Estimate | None, currency: str | None = None) -> str:
    """Return a number with its interval: `1.23 s (1.20-1.31)`."""
    return "-" if value is None else _told(figure.unit, value, currency)


def change_text(difference: Difference, currency: str | None = None) -> str:
    """Return a difference with its interval: `+0.30 s (+0.21 to +0.40)`."""
    return _signed(difference.figure.unit, difference.change, currency)


def relative_text(difference: Difference) -> str:
    """Return by which part a number differs: `+24 %`; nothing for shares, which are parts."""
    before = difference.before.value
    if difference.figure.unit is Unit.SHARE or not before or difference.is_noise:
        return ""

    return f"{100 * difference.change.value / before:+.0f} %"


def time_text(seconds: float) -> str:
    """Return a time in three digits: `38 ms`, `1.23 s`, `12.5 min`."""
    return _told(Unit.SECONDS, Estimate(seconds), None)


def seconds_change_text(change: Estimate) -> str:
    """Return a difference of times with its interval."""
    return _signed(Unit.SECONDS, change, None)


def _told(unit: Unit, value: Estimate, currency: str | None) -> str:
    factor, name = _scale(unit, value.value, currency)
    most = DECIMALS_OF_SHARES if unit is Unit.SHARE else DECIMALS_MAX
    text = f"{_digits(value.value / factor, most)}{name}"
    interval = value.interval
    if interval is None:
        return text

    low = _digits(interval.low / factor, most) if interval.low > 0 else "0"
    if isinf(interval.high):
        return f"{text} (≥{low})" if interval.low > 0 else f"{text} (?)"

    return f"{text} ({low}-{_digits(interval.high / factor, most)})"


def _signed(unit: Unit, change: Estimate, currency: str | None) -> str:
    interval = change.interval or Interval(change.value, change.value)
    widest = max(abs(n) for n in (change.value, interval.low, interval.high) if not isinf(n))
    factor, name = _scale(unit, widest, currency)
    name = name.replace("%", "points")
    text = f"{_plus(change.value / factor)}{name}"
    if change.interval is None:
        return text

    ends = ["?" if isinf(end) else _plus(end / factor) for end in (interval.low, interval.high)]
    return f"{text} ({ends[0]} to {ends[1]})"


def _scale(unit: Unit, value: float, currency: str | None) -> tuple[float, str]:
    """Return the unit in which a number is told: its size and its name."""
    match unit:
        case Unit.SHARE:
            return 0.01, " %"
        case Unit.SECONDS:
            fits = ((size, name) for size, name in TIMES if value >= size * _from(size))
            size, name = next(fits, TIMES[-1])
            return size, f" {name}"
        case Unit.PER_SECOND:
            return (1.0, "/s") if value >= 1 else (1 / 60, "/min")
        case Unit.MONEY:
            return 1.0, f" {currency}" if currency else ""
        case Unit.NUMBER:
            return 1.0, ""


def _from(size: float) -> float:
    return MINUTES_FROM if size > 1 else 1.0


def _digits(number: float, decimals_max: int = DECIMALS_MAX) -> str:
    """Return a number in three digits or more, never as a power of ten."""
    size = abs(number)
    if size < 1e-9:
        return "0"

    if size >= 100:
        return f"{number:,.0f}"

    decimals = min(decimals_max, 2 - int(log10(size) // 1))
    return f"{number:.{decimals}f}"


def _plus(number: float) -> str:
    text = _digits(number)
    return text if text == "0" or text.startswith("-") else f"+{text}"


def pair_sentences(pair: Paired, first: str) -> Iterator[str]:
    """Yield what the rows tell that two runs share."""
    one, other = first, pair.letter
    of = "" if pair.one_of == 1 else f", a sample: one of {count_text(pair.one_of)}"
    yield f"{other} and {one} have {rows_text(pair.rows)} in common (by id{of})."
    if pair.median is not None:
        change, interval = pair.median.value, pair.median.interval
        slower = "slower" if change > 0 else "faster"
        noise = interval is not None and interval.holds_zero
        word = "within noise" if noise else f"{other} is {slower}"
        told = seconds_change_text(pair.median)
        yield f"The same job in {other}: {told}, median of {count_text(pair.jobs)}; {word}."

    lost, won = count_text(pair.only_before), count_text(pair.only_after)
    worse = other if pair.only_before > pair.only_after else one
    word = f"{worse} loses more rows" if pair.differs else "within noise"
    yield (
        f"Succeeded in {one} alone: {lost}; in {other} alone: {won} "
        f"(McNemar, {_p_text(pair.p_value)}); {word}."
    )


def _p_text(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def differing_settings(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Return what the runs were told differently: the name, and the value of each."""
    told = [_settings(run) for run in runs]
    names = dict.fromkeys(name for each in told for name in each)
    rows = [(name, [each.get(name, "-") for each in told]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _settings(run: Run) -> dict[str, str]:
    frozen = {
        "provider": run.frozen.provider,
        "base-url": run.frozen.base_url,
        "manifest": run.frozen.manifest,
        "download": "no" if run.frozen.download is None else "yes",
        "workers": str(run.frozen.shards or 1),
        **{f"set {name}": _value(value) for name, value in run.frozen.params.items()},
    }
    if run.measured.load is not None:
        frozen["load"] = ", ".join(f"{step.per_s:g}/s" for step in run.measured.load.steps)

    own = msgspec.to_builtins(run.settings)
    settings = {
        name.removesuffix("_s").replace("_", "-"): _value(value)
        for name, value in own.items()
        if name not in NOT_SETTINGS
    }
    return {name: plain(value, VALUE_CHARS) for name, value in {**frozen, **settings}.items()}


def _value(value: object) -> str:
    if value is None:
        return "-"

    return value if isinstance(value, str) else json.dumps(value)
