"""How often deAPI may be asked: its published limits by tier, task and model.

Rule: these only pace a run from its start; the headers of the answers lower them (`limit_headers`).
Source: https://docs.deapi.ai/limits-and-quotas as of autumn 2026. The same page said in August that
the paid tier has 300 a minute for everything and no day's limit; the newer, lower figures are used.
Both versions of the API share one budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from batcher.providers.base import Limits

TIERS = ("basic", "premium")


@dataclass(frozen=True, slots=True)
class Quota:
    """Requests a minute and a day; None = no such limit."""

    minute: int
    day: int | None = None

    def __str__(self) -> str:
        return f"{self.minute}/m" if self.day is None else f"{self.minute}/m,{self.day}/d"


@dataclass(frozen=True, slots=True)
class Quotas:
    """The limits of one task."""

    basic: Quota
    premium: Quota  # of a model that `models` does not list
    models: Mapping[str, Quota] = field(default_factory=dict)  # premium goes by model

    def of(self, tier: str, model: object) -> Quota:
        """Return what a tier may do, by model where the API counts by model."""
        return self.basic if tier == "basic" else self.models.get(str(model), self.premium)


_PARTNER: Final = Quota(20, 500)
_SUBMIT: Final = {
    "background-removals": Quotas(basic=Quota(5, 100), premium=Quota(300, 100_000)),
    "upscales": Quotas(basic=Quota(5, 100), premium=Quota(300, 100_000)),
    "ocr": Quotas(basic=Quota(5, 50), premium=Quota(65, 18_000)),
    "generations": Quotas(
        basic=Quota(3, 100),
        premium=Quota(20),
        models={
            "Flux1schnell": Quota(45, 13_000),
            "ZImageTurbo_INT8": Quota(20, 6_100),
            "Flux_2_Klein_4B_BF16": Quota(60, 17_000),
            "ZAnimeDistill_8Step_INT8": Quota(35, 10_000),
            "gpt-image-1.5": _PARTNER,
            "gpt-image-2": _PARTNER,
            "nano-banana-2": _PARTNER,
        },
    ),
    "edits": Quotas(
        basic=Quota(1, 15),
        premium=Quota(2),
        models={
            "Flux_2_Klein_4B_BF16": Quota(60, 17_000),
            "QwenImageEdit_Plus_NF4": Quota(2, 860),
            "gpt-image-1.5": _PARTNER,
            "gpt-image-2": _PARTNER,
        },
    ),
}
_QUESTIONS: Final = {"basic": Quota(50, 200), "premium": Quota(300)}  # status, and any price


def models_of(task: str) -> tuple[str, ...]:
    """Return the models of a task that have a limit of their own: a few of all that it has."""
    return tuple(_SUBMIT[task].models)


def limits_of(tier: str, task: str | None, model: object) -> Limits:
    """Return the published limits of a run; without one task for all rows, the lowest minute rate.

    A day's cap is only named where it is certain: a wrong one would end a run for hours, while a
    429 that counts days says so itself.
    """
    if task is None:
        submit = Quota(min(quotas.of(tier, None).minute for quotas in _SUBMIT.values()))
    else:
        submit = _SUBMIT[task].of(tier, model)

    questions = str(_QUESTIONS[tier])
    return Limits(submit=str(submit), status=questions, price=questions)
