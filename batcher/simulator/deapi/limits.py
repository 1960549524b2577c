"""deAPI's published rate limits by tier, and the headers that tell of them.

Rule: numbers from https://docs.deapi.ai/limits-and-quotas.md. A limit set by the plan itself
(`submits_per_minute` and its like) stands in the place of the tier's. Days end at midnight UTC
before `e5`, and a day after their first request since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from batcher.simulator.call import Call
from batcher.simulator.faults import FaultPlan
from batcher.simulator.quota import Limit, Standing

_BASIC: Final[Mapping[str, tuple[int, int]]] = {
    "generations": (3, 100),
    "edits": (1, 15),
    "ocr": (5, 50),
    "background-removals": (5, 100),
    "upscales": (5, 100),
    "jobs": (50, 200),
    "price": (50, 200),  # all price routes together
    "models": (300, 0),  # not printed: that of the other tier
}
_PREMIUM_POOL: Final = (300, 0)  # E4: one number for everything

# E5: by task and model; what is not listed counts into the tier's pool.
_PREMIUM: Final[Mapping[tuple[str, str], tuple[int, int]]] = {
    ("generations", "Flux1schnell"): (45, 13_000),
    ("generations", "ZImageTurbo_INT8"): (20, 6_100),
    ("generations", "Flux_2_Klein_4B_BF16"): (60, 17_000),
    ("generations", "ZAnimeDistill_8Step_INT8"): (35, 10_000),
    ("generations", "gpt-image-1.5"): (20, 500),
    ("generations", "gpt-image-2"): (20, 500),
    ("generations", "nano-banana-2"): (20, 500),
    ("edits", "Flux_2_Klein_4B_BF16"): (60, 17_000),
    ("edits", "QwenImageEdit_Plus_NF4"): (2, 860),
    ("edits", "gpt-image-1.5"): (20, 500),
    ("edits", "gpt-image-2"): (20, 500),
    ("ocr", "Nanonets_Ocr_S_F16"): (65, 18_000),
    ("background-removals", "Ben2"): (300, 100_000),
    ("upscales", "RealESRGAN_x4"): (300, 100_000),
}
_BALANCE: Final = Limit(600, 0, "static")


def submit_limit(plan: FaultPlan, task: str, model: str) -> tuple[str, Limit]:
    """Return the bucket that a submit counts into, and its limit."""
    if plan.submits_per_minute or plan.submits_per_day:
        return task, _limit(plan, plan.submits_per_minute, plan.submits_per_day)

    if plan.tier == "premium" and plan.era == "e5" and (task, model) in _PREMIUM:
        return f"{task} {model}", _limit(plan, *_PREMIUM[task, model], source="model")

    return task, _tier_limit(plan, task)


def status_limit(plan: FaultPlan) -> tuple[str, Limit]:
    """Return the bucket that a status read counts into, and its limit."""
    if plan.status_per_minute or plan.status_per_day:
        return "jobs", _limit(plan, plan.status_per_minute, plan.status_per_day)

    return "jobs", _tier_limit(plan, "jobs")


def question_limit(plan: FaultPlan, what: str) -> tuple[str, Limit]:
    """Return bucket and limit of a `price`, the `balance` or the `models`.

    Only prices had a limit before E5; that of the balance is the same for every account.
    """
    if plan.tier == "none" or (plan.era != "e5" and what != "price"):
        return what, Limit()

    return what, _BALANCE if what == "balance" else _tier_limit(plan, what)


def limit_headers(call: Call) -> dict[str, str]:
    """Return the headers that tell where the call stands; none if nothing limits it."""
    standing = call.standing
    if standing is None:
        return {}

    headers = _windows(standing, call.account.plan.era)
    if call.strikes("hide_daily"):
        headers = {name: value for name, value in headers.items() if "-daily-" not in name}

    if standing.refused:
        headers["x-ratelimit-type"] = standing.refused
        headers |= call.retry_after()

    return headers


def _tier_limit(plan: FaultPlan, bucket: str) -> Limit:
    match plan.tier:
        case "basic":
            return _limit(plan, *_BASIC[bucket])
        case "premium":
            return _limit(plan, *_PREMIUM_POOL)
        case _:
            return Limit()


def _limit(plan: FaultPlan, per_minute: int, per_day: int, *, source: str = "tier") -> Limit:
    return Limit(per_minute, per_day, source, calendar=plan.era != "e5")


def _windows(standing: Standing, era: str) -> dict[str, str]:
    limit = standing.limit
    headers: dict[str, str] = {}
    policy = []
    if limit.per_minute:
        headers["x-ratelimit-limit"] = str(limit.per_minute)
        headers["x-ratelimit-remaining"] = str(standing.minute_left)
        headers["x-ratelimit-reset"] = str(int(standing.minute_resets_at))
        policy.append(f"{limit.per_minute};w=60")

    if limit.per_day:
        headers["x-ratelimit-daily-limit"] = str(limit.per_day)
        headers["x-ratelimit-daily-remaining"] = str(standing.day_left)
        headers["x-ratelimit-daily-reset"] = str(int(standing.day_resets_at))
        policy.append(f"{limit.per_day};w=86400")

    if headers:
        headers["x-ratelimit-source"] = limit.source
        headers["x-ratelimit-policy"] = ", ".join(policy)

    return {name: value for name, value in headers.items() if name not in _LATER_THAN[era]}


_E5_ONLY: Final = frozenset({"x-ratelimit-reset", "x-ratelimit-daily-reset", "x-ratelimit-policy"})
_LATER_THAN: Final[Mapping[str, frozenset[str]]] = {
    "e2": _E5_ONLY | {"x-ratelimit-source"},
    "e4": _E5_ONLY,
    "e5": frozenset(),
}
