"""Fault plans as text: what is read, what is refused, what the help lists."""

from __future__ import annotations

from dataclasses import fields

import pytest

from batcher.core.errors import UsageError
from batcher.simulator import PRESETS, FaultPlan, Spread, knobs


def test_a_plan_is_read_from_one_line() -> None:
    """Knobs by name, by status code, by short name, with dashes; blanks do not matter."""
    plan = FaultPlan.parse(" drop_after=0.05, 429=0.02,latency=lognormal:4:0.5,503=1,500=0.5,")
    assert plan == FaultPlan(
        drop_after=0.05,
        throttle=0.02,
        latency_s=Spread("lognormal", (4.0, 0.5)),
        unavailable=1.0,
        error_after=0.5,
    )
    assert FaultPlan.parse("hollow-reads=3,tier=basic,credits=0") == FaultPlan(
        hollow_reads=3, tier="basic", credits=0
    )
    assert FaultPlan.parse("") == FaultPlan()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_comes_first_and_can_be_changed(name: str) -> None:
    """What follows a preset overrides it."""
    plan = FaultPlan.parse(f"{name},duration=7")
    assert plan != FaultPlan.parse(name)
    assert plan.duration_s == Spread.parse("7")
    assert FaultPlan.parse(name) != FaultPlan()


@pytest.mark.parametrize(
    "text", ["", *PRESETS, "credits=0,era=e2", "hostile,latency=bimodal:1:9:0.5"]
)
def test_a_plan_prints_as_the_text_that_makes_it(text: str) -> None:
    """`str` and `parse` are each other's inverse."""
    plan = FaultPlan.parse(text)
    assert FaultPlan.parse(str(plan)) == plan


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("drop=0.1", "unknown knob 'drop'"),
        ("drop_after", "'drop_after'"),
        ("drop_after=0.1,flaky", "presets (calm, flaky, nightly, hostile) come first"),
        ("drop_after=0.1,drop-after=0.2", "'drop_after' is set twice"),
        ("drop_after=much", "drop_after=much is not a share"),
        ("drop_after=1.5", "drop_after=1.5 is not a share"),
        ("drop_after=-0.1", "drop_after=-0.1 is not a share"),
        ("drop_after=nan", "drop_after=nan is not a share"),
        ("lag=-1", "lag_s=-1.0 is not a seconds"),
        ("lag=inf", "lag_s=inf is not a seconds"),
        ("credits=1.5", "credits=1.5 is not a count"),
        ("credits=-2", "credits=-2 is not a count"),
        ("duration=soon", "lognormal:median:sigma"),
        ("era=e9", "era=e9 is not a e5|e4|e2"),
        ("tier=gold", "tier=gold"),
        ("balance_usd=-1", "balance_usd=-1.0 is not a usd"),
        ("price_usd=inf", "price_usd=inf is not a usd"),
        ("hook_retry_scale=-1", "hook_retry_scale=-1.0 is not a factor"),
    ],
)
def test_a_plan_that_is_none_is_refused_in_one_line(text: str, told: str) -> None:
    """The line names the knob, the value and what it should be."""
    with pytest.raises(UsageError) as caught:
        FaultPlan.parse(text)

    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_help_lists_every_knob_on_a_line_of_its_own() -> None:
    """No knob without a group, a kind and a text; no line too long for a terminal."""
    groups = knobs()
    lines = [line for group in groups for line in group]
    for knob in fields(FaultPlan):
        (line,) = (line for line in lines if line.startswith(f"  {knob.name} "))
        assert len(line.split(maxsplit=2)) == 3

    assert all(group[0].endswith(":") for group in groups[:-2])
    assert [len(line.strip()) for line in lines if not line.strip()] == []

    assert max(map(len, lines)) <= 76  # 80 columns, less the margin of the help


def test_without_a_plan_nothing_goes_wrong() -> None:
    """Every share, count and time is off by default."""
    plan = FaultPlan()
    shares = [getattr(plan, k.name) for k in fields(plan) if k.metadata["kind"] == "share 0-1"]
    assert set(shares) == {0.0}
    assert plan.duration_s.is_nothing
    assert plan.latency_s.is_nothing
