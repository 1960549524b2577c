"""A preflight's report claims no more than is known, and none of its words can paint."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from batcher.cli.commands.check.preflight_report import REFUSED_SHOWN_MAX, Report, rounded
from batcher.core.model import ErrorKind, RowError
from batcher.core.money import nanos
from batcher.core.pacing.rates import Window
from batcher.engine.preflight.asking import Learned
from batcher.engine.preflight.sums import Priced, RefusedKind
from batcher.providers import provider_named
from batcher.report.pace import Pace

TROUBLE = RowError(ErrorKind.UNAVAILABLE, "so \x1b[2Jit says", http_status=503, code="later")


def priced(total: float | None, rows: int = 10, **more: Any) -> Priced:
    """Return what rows cost that were all asked for."""
    told = {"rows_priced": rows, "kinds": 1, "kinds_priced": 1, "is_exact": total is not None}
    nanos_total = None if total is None else nanos(total)
    return Priced(rows=rows, total=nanos_total, **{**told, **more})


def report(found: Priced | None, learned: Learned | None = None, provider: str = "deapi") -> Report:
    """Return a report; deAPI takes no submit with less than 0.49 USD."""
    return Report(
        provider=provider_named(provider, {}),
        base_url="https://api.example",
        key_source="A_KEY",
        learned=learned or Learned(),
        priced=found,
        cost_per_job=None,
    )


def line(of: Report, name: str) -> str:
    """Return what a report says of one thing."""
    found = [text for text in of.lines() if text.startswith(f"{name} ")]
    assert found, name
    return found[0].removeprefix(name).strip()


@pytest.mark.parametrize(
    ("total", "rows", "held", "missing"),
    [
        (1.0, 10, 1.49, 0),
        (1.0, 10, 1.4899, 0.0001),
        (0.0, 0, 0.0, 0),  # no row, no money
        (None, 10, 0.48, 0.01),  # not enough for one, whatever it costs
        (None, 10, 5.0, None),
        (1.0, 10, None, None),
    ],
)
def test_what_is_missing(
    total: float | None, rows: int, held: float | None, missing: float | None
) -> None:
    """The rows, and what must be left to submit the last; where one is unknown, so is the sum."""
    found = report(priced(total, rows), Learned(balance=held, balance_problem=TROUBLE))

    assert found.missing == (None if missing is None else nanos(missing))
    assert found.is_good == (not missing)
    said = "known" if missing is None else "not enough" if missing else ": enough"
    assert said in line(found, "balance")


def test_an_estimate_is_called_one() -> None:
    """`about`, three digits, how many were asked for, and why no more were."""
    part = priced(
        1234.5678, 100, rows_priced=60, kinds=9, kinds_priced=2, is_exact=False,
        problem=TROUBLE, asks_to_wait_s=90.0,
    )  # fmt: skip
    told = line(report(part), "price")

    assert told.startswith("about 1,230.00 USD for 100 rows; asked for 2 of 9 kinds (60 rows), ")
    assert "the other 40 rows at their mean" in told
    assert "not all was answered (again in 1 min 30 s): 503 later: so " in told
    assert [rounded(nanos(n)) for n in (0.0012345, 98.76, 0)] == [nanos(0.00123), nanos(98.8), 0]


def test_what_is_not_known_is_said() -> None:
    """Models, prices, a balance that could not be had; none of it is a fault of the manifest."""
    found = report(
        priced(None, problem=TROUBLE),
        Learned(models_problem=TROUBLE, balance_problem=TROUBLE, key_problem=TROUBLE),
    )

    assert line(found, "key").startswith("not known whether A_KEY works: 503 later")
    assert line(found, "models").startswith("not read, so their limits are unchecked")
    assert line(found, "price").startswith("not known: 503 later")
    assert found.is_good
    assert not any("\x1b" in text for text in found.lines())


def test_rows_that_the_api_would_refuse() -> None:
    """They make a manifest bad; the first few kinds are shown with line and the API's words."""
    kinds = tuple(RefusedKind(n, n, TROUBLE) for n in range(1, REFUSED_SHOWN_MAX + 4))
    found = report(priced(1.0, refused=kinds))
    told = [text for text in found.lines() if text.startswith("refused ")]

    assert not found.is_good
    assert told[0].startswith("refused  line 1: 503 later: so ")
    assert told[1].startswith("refused  line 2 and 1 row like it: ")
    assert told[-1] == "refused  … and 3 kinds more"
    assert len(told) == REFUSED_SHOWN_MAX + 1


@pytest.mark.parametrize("provider", ["deapi", "removit"])
def test_the_object_has_the_same_keys_whatever_is_known(provider: str) -> None:
    """A script need not ask what is there."""
    nothing = report(None, provider=provider).as_json()
    much = report(priced(1.0), Learned(balance=5.0), provider).as_json()

    assert nothing.keys() == much.keys()
    assert json.loads(json.dumps(much))["balance"].keys() == nothing["balance"].keys()  # type: ignore[attr-defined]  # an object


def test_how_long_the_rows_take() -> None:
    """The limit in words, what to do about it below, and the same for programs."""
    pace = Pace(12, 720.0, Window(1, 60.0))
    found = replace(report(priced(1.0)), pace=pace, advice=("ask for more",))

    assert line(found, "time") == "about 12 min: 12 submits at 1/m"
    assert list(found.lines())[-1] == "         ask for more"
    assert found.as_json()["time"] == {"submits": 12, "seconds": 720.0, "limit": "1/m"}
    assert report(priced(1.0)).as_json()["time"] is None
