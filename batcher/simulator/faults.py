"""What goes wrong, how often and how slowly: one frozen value that a line of text can say.

Rule: a knob is off (0) unless it is set, and knows its kind, its unit and one line about itself. A
plan decides nothing: `call.py` draws against it. Shares are between 0 and 1 and are drawn anew for
every call (submit knobs for each submit of a row, status knobs for each read of a job) or once for
every job.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, cast

from batcher.core.errors import UsageError
from batcher.simulator.chance import Spread, spread_forms
from batcher.simulator.presets import PRESETS

_OFF: Final = Spread()


def _share(text: str) -> Mapping[str, str]:
    return {"kind": "share 0-1", "text": text}


def _count(text: str) -> Mapping[str, str]:
    return {"kind": "count", "text": text}


def _seconds(text: str) -> Mapping[str, str]:
    return {"kind": "seconds", "text": text}


def _spread(text: str) -> Mapping[str, str]:
    return {"kind": "times", "text": text}


def _words(words: str, text: str) -> Mapping[str, str]:
    return {"kind": words, "text": text}


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """How the simulated API behaves. `FaultPlan()` is fast, faultless and without limits."""

    # Time
    duration_s: Spread = field(default=_OFF, metadata=_spread("how long a job takes"))
    latency_s: Spread = field(default=_OFF, metadata=_spread("how long an answer takes"))
    lag_s: float = field(
        default=0.0, metadata=_seconds("after a submit, status says 202 (removit) or 404 (deapi)")
    )
    missing_s: float = field(
        default=0.0, metadata=_seconds("after a submit, status says 404, whatever the API")
    )

    # Submits
    no_connect: float = field(
        default=0.0, metadata=_share("submits without a connection (over sockets: drop_before)")
    )
    drop_before: float = field(
        default=0.0, metadata=_share("submits cut off before anything was done")
    )
    throttle: float = field(default=0.0, metadata=_share("submits answered 429 (also: 429=)"))
    unavailable: float = field(
        default=0.0, metadata=_share("submits answered 503, no job made (also: 503=)")
    )
    error_before: float = field(default=0.0, metadata=_share("submits answered 500, no job made"))
    error_after: float = field(
        default=0.0, metadata=_share("submits answered 500 AFTER the job was made (also: 500=)")
    )
    drop_after: float = field(
        default=0.0, metadata=_share("submits cut off AFTER the job was made and charged")
    )
    garbled: float = field(
        default=0.0, metadata=_share("accepted submits whose answer is half a JSON text")
    )
    hang: float = field(default=0.0, metadata=_share("accepted submits that are never answered"))

    # Status reads
    status_drop: float = field(default=0.0, metadata=_share("status reads cut off"))
    status_error: float = field(default=0.0, metadata=_share("status reads answered 5xx"))
    status_garbled: float = field(
        default=0.0, metadata=_share("answers to status that are half a JSON text")
    )
    status_throttle: float = field(default=0.0, metadata=_share("status reads answered 429"))
    unknown_word: float = field(
        default=0.0, metadata=_share("reads of a running job with a word never seen before")
    )
    html: float = field(default=0.0, metadata=_share("5xx answers that are a gateway's page"))

    # Jobs
    rejected: float = field(default=0.0, metadata=_share("jobs that fail"))
    refund_already: float = field(
        default=0.0, metadata=_share("failed jobs whose refund was done earlier")
    )
    refund_unconfirmed: float = field(
        default=0.0, metadata=_share("failed jobs whose refund is not confirmed")
    )
    refund_none: float = field(
        default=0.0, metadata=_share("failed jobs that do not speak of a refund")
    )
    rejected_503: float = field(
        default=0.0, metadata=_share("failed removit jobs told under HTTP 503 instead of 200")
    )
    retryable: float = field(
        default=0.0, metadata=_share("failed deapi jobs that are called retryable")
    )
    stuck: float = field(default=0.0, metadata=_share("jobs that never end"))
    forgotten: float = field(default=0.0, metadata=_share("jobs that status never knows (404)"))
    partial: float = field(default=0.0, metadata=_share("jobs done with variations left out"))
    hollow: float = field(default=0.0, metadata=_share("jobs first done without a result"))
    hollow_reads: int = field(
        default=1, metadata=_count("reads for which a hollow job has no result")
    )

    # Limits and account
    submits_per_minute: int = field(default=0, metadata=_count("submits a minute, then 429"))
    submits_per_day: int = field(default=0, metadata=_count("submits a day, then 429"))
    status_per_minute: int = field(default=0, metadata=_count("status reads a minute, then 429"))
    status_per_day: int = field(default=0, metadata=_count("status reads a day, then 429"))
    retry_after_s: float = field(
        default=0.0, metadata=_seconds("what a drawn 429 says instead of 60")
    )
    bare_429: float = field(default=0.0, metadata=_share("429 answers without Retry-After"))
    credits: int = field(
        default=-1, metadata=_count("jobs that the account can pay, then 402/422; -1 = no end")
    )
    key_limit: int = field(
        default=0, metadata=_count("jobs that a deapi key may spend on, then 402")
    )
    unauthorized_from: int = field(
        default=0, metadata=_count("number of the job from which submits are answered 401")
    )
    forbidden_from: int = field(
        default=0, metadata=_count("number of the job from which submits are answered 403")
    )
    key_dead_from: int = field(
        default=0, metadata=_count("number of the job from which everything is answered 401")
    )

    # Result files
    url_expires_s: float = field(default=0.0, metadata=_seconds("life of a result URL; 0 = no end"))
    file_error: float = field(default=0.0, metadata=_share("downloads answered 503"))
    file_cut: float = field(default=0.0, metadata=_share("downloads cut in the middle"))
    file_bytes: int = field(default=0, metadata=_count("least size of a result file"))

    # deAPI only
    era: str = field(default="e5", metadata=_words("e2|e4|e5", "error bodies and limit headers"))
    tier: str = field(
        default="none", metadata=_words("none|basic|premium", "the published limits of that tier")
    )
    role: str = field(default="admin", metadata=_words("admin|api", "what the key may ask for"))

    def __post_init__(self) -> None:
        for knob in fields(self):
            _check(knob.name, knob.metadata["kind"], getattr(self, knob.name))

    @classmethod
    def parse(cls, text: str) -> FaultPlan:
        """Read `drop_after=0.05,429=0.02,duration=lognormal:4:0.5`, over a preset such as `flaky`.

        A preset must come first. Raises `UsageError` for an unknown or repeated knob and for a
        value that is not of its kind.
        """
        items = [item.strip() for item in text.split(",") if item.strip()]
        values: dict[str, Any] = {}
        if items and items[0] in PRESETS:
            values = _non_default(cls.parse(PRESETS[items.pop(0)]))

        seen: set[str] = set()
        for item in items:
            name, value = _read_item(item)
            if name in seen:
                raise UsageError(f"faults: {name!r} is set twice")

            seen.add(name)
            values[name] = value

        return cls(**values)

    def __str__(self) -> str:
        """Return the text from which `parse` makes this plan again."""
        return ",".join(f"{name}={value}" for name, value in _non_default(self).items())


_ALIASES: Final = {
    "429": "throttle",
    "503": "unavailable",
    "500": "error_after",
    "duration": "duration_s",
    "latency": "latency_s",
    "lag": "lag_s",
}


def knobs() -> list[str]:
    """Return a line for each knob (name, kind, what it does), then how to write values."""
    return [
        f"{knob.name:<19} {knob.metadata['kind']:<19} {knob.metadata['text']}"
        for knob in fields(FaultPlan)
    ] + ["", f"times: {spread_forms()}", f"presets: {', '.join(PRESETS)}"]


def _non_default(plan: FaultPlan) -> dict[str, Any]:
    return {
        knob.name: getattr(plan, knob.name)
        for knob in fields(plan)
        if getattr(plan, knob.name) != knob.default
    }


def _read_item(item: str) -> tuple[str, object]:
    name, equals, text = item.partition("=")
    name = name.strip().replace("-", "_")
    name = _ALIASES.get(name, name)
    kinds = {knob.name: str(knob.metadata["kind"]) for knob in fields(FaultPlan)}
    if not equals or name not in kinds:
        known = ", ".join(sorted(kinds))
        what = f"unknown knob {name!r}" if equals else f"{item!r} is not a knob=value"
        raise UsageError(
            f"faults: {what}; presets ({', '.join(PRESETS)}) come first; knobs are: {known}"
        )

    try:
        return name, _READERS.get(kinds[name], str)(text.strip())
    except ValueError as exc:
        why = f": {exc}" if kinds[name] == "times" else f" is not a {kinds[name]}"
        raise UsageError(f"faults: {name}={text.strip()}{why}") from exc


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "share 0-1": float,
    "count": int,
    "seconds": float,
    "times": Spread.parse,
}


def _check(name: str, kind: str, value: object) -> None:
    """Raise `UsageError` if *value* cannot be that of a knob of this *kind*."""
    match kind:
        case "share 0-1":
            good = 0.0 <= cast("float", value) <= 1.0
        case "count":
            good = cast("int", value) >= (-1 if name == "credits" else 0)
        case "seconds":
            good = math.isfinite(cast("float", value)) and cast("float", value) >= 0
        case "times":
            good = isinstance(value, Spread)
        case _:
            good = value in kind.split("|")

    if not good:
        raise UsageError(f"faults: {name}={value} is not a {kind}")
