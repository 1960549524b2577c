"""What goes wrong, how often and how slowly: one frozen value that a line of text can say.

Rule: a knob is off (0) unless it is set. A plan decides nothing: `call.py` draws against it. Shares
are drawn anew for every call (submit knobs for each submit of a row, status knobs for each read of
a job, hook knobs for each delivery or attempt) or once for every job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from textwrap import wrap
from typing import Any, Final

from batcher.core.errors import UsageError
from batcher.simulator.chance import Spread, spread_forms
from batcher.simulator.knobs import (
    LINE_CHARS,
    check,
    count,
    factor,
    kind_of,
    listed,
    read,
    seconds,
    share,
    times,
    usd,
    words,
)
from batcher.simulator.presets import PRESETS


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """How the simulated API behaves. `FaultPlan()` is fast, faultless and without limits."""

    # Times (`times` declares a field, as `field` does)
    duration_s: Spread = times("how long a job takes")  # noqa: RUF009  # declares
    latency_s: Spread = times("how long an answer takes")  # noqa: RUF009  # declares
    lag_s: float = seconds("after a submit, status says 202 (removit) or 404 (deapi)")
    missing_s: float = seconds("after a submit, status says 404, whatever the API")

    # Submits
    no_connect: float = share("submits without a connection (over sockets: drop_before)")
    drop_before: float = share("submits cut off before anything was done")
    throttle: float = share("submits answered 429 (also: 429=)")
    unavailable: float = share("submits answered 503, no job made (also: 503=)")
    error_before: float = share("submits answered 500, no job made")
    error_after: float = share("submits answered 500 AFTER the job was made (also: 500=)")
    drop_after: float = share("submits cut off AFTER the job was made and charged")
    garbled: float = share("accepted submits whose answer is half a JSON text")
    hang: float = share("accepted submits that are never answered")
    body_bytes_max: int = count("largest request, else 413; 0 = 75 MB")
    large_as: str = words("page|json", "what a 413 is")

    # What some APIs have, and these two have not (here by headers that both take)
    idempotent: float = seconds("for which a submit's Idempotency-Key makes one job; 0 = never")
    listing: float = seconds("until a job is in the list at /jobs; 0 = there is no list")

    # Status reads
    status_drop: float = share("status reads cut off")
    status_error: float = share("status reads answered 5xx")
    status_garbled: float = share("answers to status that are half a JSON text")
    status_throttle: float = share("status reads answered 429")
    unknown_word: float = share("reads of a running job with a word never seen before")
    html: float = share("5xx answers that are a gateway's page")

    # Jobs
    rejected: float = share("jobs that fail")
    refund_already: float = share("failed jobs whose refund was done earlier")
    refund_unconfirmed: float = share("failed jobs whose refund is not confirmed")
    refund_none: float = share("failed jobs that do not speak of a refund")
    rejected_503: float = share("failed removit jobs told under HTTP 503 instead of 200")
    retryable: float = share("failed deapi jobs that are called retryable")
    error_reason: str = words(
        "any|none|SOURCE_PRIVATE|SOURCE_RESTRICTED|SOURCE_UNPROCESSABLE|SOURCE_DOWNLOAD_FAILED|"
        "INPUT_TOO_LARGE|TIMEOUT|CAPACITY_UNAVAILABLE|PROCESSING_FAILED|MOON_PHASE",
        "why deapi jobs fail",
    )
    bare_job: float = share("deapi jobs that are told without their optional fields")
    stuck: float = share("jobs that never end")
    forgotten: float = share("jobs that status never knows (404)")
    partial: float = share("jobs done with variations left out")
    hollow: float = share("jobs first done without a result")
    hollow_reads: int = count("reads for which a hollow job has no result", 1)

    # Limits
    submits_per_minute: int = count("submits a minute, then 429")
    submits_per_day: int = count("submits a day, then 429")
    status_per_minute: int = count("status reads a minute, then 429")
    status_per_day: int = count("status reads a day, then 429")
    throttle_daily: float = share("drawn 429 answers that count days")
    retry_after_s: float = seconds("what a drawn 429 says instead of 60, or of a day")
    bare_429: float = share("429 answers without Retry-After")
    hide_daily: float = share("answers without the headers of the daily limit")

    # Account and key
    credits: int = count("jobs that the account can pay, then 402/422; -1 = no end", -1)
    balance_usd: float = usd("what a deapi account holds", 100_000.0)
    balance_min: float = usd("with less, deapi takes no submit", 0.49)
    price_usd: float = usd("of every job; 0 = deapi's own prices, none for removit")
    key_limit: int = count("jobs that a deapi key may spend on, then 402")
    key_limit_resets_s: float = seconds("after which that limit starts anew; 0 = never")
    unauthorized_from: int = count("number of the job from which submits are answered 401")
    forbidden_from: int = count("number of the job from which submits are answered 403")
    key_dead_from: int = count("number of the job from which the first key is answered 401")
    unauthorized_as: str = words("key_revoked|key_expired|invalid_key", "a deapi 401's code")
    forbidden_as: str = words(
        "suspended|ip_not_allowed|insufficient_permissions|page", "what a deapi 403 says"
    )

    # Questions (balance, price, models; deapi)
    question_error: float = share("questions answered 500")
    question_garbled: float = share("answers that are half a JSON text")
    question_throttle: float = share("questions answered 429")
    balance_at: str = words("nested|top", "where the balance stands in its answer")
    models_more: int = count("models beyond the real ones, for more pages")

    # Result files
    url_expires_s: float = seconds("life of a result URL; 0 = no end")
    file_error: float = share("downloads answered 503")
    file_cut: float = share("downloads cut in the middle")
    file_short: float = share("downloads that are half a file, in good order")
    file_wrong: float = share("downloads that are of another format than they say")
    file_redirect: float = share("downloads that are sent on to another URL of the same host")
    file_bytes: int = count("least size of a result file")

    # Webhooks, which deapi alone has
    hook_lost: float = share("calls that are never made")
    hook_duplicate: float = share("calls that are made twice, under one delivery id")
    hook_delay_s: Spread = times("how late a call is; different delays bring disorder")  # noqa: RUF009  # declares
    hook_bad_signature: float = share("attempts signed with another secret")
    hook_unsigned: float = share("attempts with an empty signature")
    hook_stale: float = share("attempts whose time is ten minutes old")
    hook_garbled: float = share("attempts whose body is half a JSON text")
    hook_retry_scale: float = factor("of the pauses between attempts (1 min to 12 h)")

    # deAPI only
    era: str = words("e5|e4|e2", "error bodies and limit headers")
    tier: str = words("none|basic|premium", "the published limits of that tier")
    role: str = words("admin|api", "what the key may ask for")
    plan_models: str = words("all|native", "models that the account may use")
    image_limits: str = words("loose|model", "which sizes of images are taken")

    def __post_init__(self) -> None:
        for knob in fields(self):
            check(knob.name, kind_of(knob), getattr(self, knob.name))

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
    "hook_delay": "hook_delay_s",
}

# The first knob of each group, and what the group is about.
_GROUPS: Final[Mapping[str, str]] = {
    "duration_s": "Times",
    "no_connect": "Submits",
    "idempotent": "What neither API has: keys, and a list of jobs",
    "status_drop": "Status reads",
    "rejected": "Jobs",
    "submits_per_minute": "Limits",
    "credits": "Account and key",
    "question_error": "Questions: balance, price, models (deapi)",
    "url_expires_s": "Result files",
    "hook_lost": "Webhooks (deapi)",
    "era": "deapi only",
}


def knobs() -> list[list[str]]:
    """Return the groups of knobs, each with its title first, then how to write values."""
    groups: list[list[str]] = []
    for knob in fields(FaultPlan):
        if knob.name in _GROUPS:
            groups.append([f"{_GROUPS[knob.name]}:"])

        groups[-1] += listed(knob)

    spreads = wrap(f"times: {spread_forms()}", LINE_CHARS, subsequent_indent="  ")
    return [*groups, spreads, [f"presets: {', '.join(PRESETS)}"]]


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
    kinds = {knob.name: kind_of(knob) for knob in fields(FaultPlan)}
    if not equals or name not in kinds:
        known = ", ".join(sorted(kinds))
        what = f"unknown knob {name!r}" if equals else f"{item!r} is not a knob=value"
        raise UsageError(
            f"faults: {what}; presets ({', '.join(PRESETS)}) come first; knobs are: {known}"
        )

    return name, read(name, kinds[name], text.strip())
