"""Outcomes as tables: every outcome is a row, and no value is lost or changed."""

from __future__ import annotations

import pytest

from batcher.api.outcome import Outcome, Result, RowProblem
from batcher.api.tables import columns_of, to_arrow, to_pandas, to_polars

OUTCOMES = [
    Outcome("a", 1, "succeeded", "removit", "j1", Result({"final": "https://x/1"}), cost=1.5),
    Outcome("b", 2, "failed", "removit", error=RowProblem("rejected", "no"), row={"n": 1}),
    Outcome("c", 3, "failed", "removit", row={"n": "two", "tags": ["x", 1]}),
]


def test_every_column_is_as_long_as_there_are_outcomes() -> None:
    """Keys that only some rows have are empty in the others."""
    columns = columns_of(OUTCOMES)
    assert {len(values) for values in columns.values()} == {3}
    assert columns["url.final"] == ["https://x/1", None, None]
    assert columns["error_kind"] == [None, "rejected", None]
    assert columns["row.tags"] == [None, None, '["x",1]']


def test_a_column_holds_one_kind_of_value() -> None:
    """Mixed values become text, whole and broken numbers become numbers."""
    assert columns_of(OUTCOMES)["row.n"] == [None, "1", "two"]
    assert columns_of(OUTCOMES)["cost"] == [1.5, None, None]


def test_no_outcomes_make_an_empty_table() -> None:
    """The columns of every record are there."""
    assert columns_of([])["id"] == []


@pytest.mark.parametrize(
    ("module", "make"), [("pandas", to_pandas), ("polars", to_polars), ("pyarrow", to_arrow)]
)
def test_each_library_takes_them(module: str, make: object) -> None:
    """A frame has the three rows, with the same columns."""
    pytest.importorskip(module)
    table = make(OUTCOMES)  # type: ignore[operator]  # three functions with one shape
    assert len(table) == 3
    assert len(table.columns) == len(columns_of(OUTCOMES))
