"""Outcomes as a table: a row for each, a column for each field, result and key of the row.

Columns `url.NAME` and `file.NAME` hold results, `row.KEY` what stood in the manifest; what is no
plain value there is written as JSON. A column in which kinds of values are mixed holds text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import orjson

from batcher.api.outcome import Outcome, outcomes
from batcher.core.errors import UsageError

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

Source = str | PathLike[str] | Iterable[Outcome]
Columns = dict[str, list[Any]]


def to_pandas(source: Source) -> pandas.DataFrame:
    """Return the outcomes of a run directory, or of a stream, as a pandas frame."""
    try:
        import pandas as pd
    except ImportError as error:
        raise _missing("pandas") from error

    return pd.DataFrame(columns_of(source))


def to_polars(source: Source) -> polars.DataFrame:
    """Return the outcomes of a run directory, or of a stream, as a polars frame."""
    try:
        import polars as pl
    except ImportError as error:
        raise _missing("polars") from error

    return pl.DataFrame(columns_of(source))


def to_arrow(source: Source) -> pyarrow.Table:
    """Return the outcomes of a run directory, or of a stream, as an Arrow table."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise _missing("arrow") from error

    return pa.table(columns_of(source))


def columns_of(source: Source) -> Columns:
    """Return the columns of the table; all are as long, and each holds one kind of value."""
    found = outcomes(source) if isinstance(source, str | PathLike) else source
    columns: Columns = {name: [] for name in _flat(Outcome("", 0, "failed", ""))}
    for count, outcome in enumerate(found):
        for name, value in _flat(outcome).items():
            columns.setdefault(name, [None] * count).append(value)

        for values in columns.values():
            if len(values) == count:
                values.append(None)

    return {name: _of_one_kind(values) for name, values in columns.items()}


def _flat(outcome: Outcome) -> dict[str, Any]:
    result, error, time = outcome.result, outcome.error, outcome.time
    flat: dict[str, Any] = {
        "id": outcome.id,
        "line": outcome.line,
        "outcome": outcome.outcome,
        "provider": outcome.provider,
        "job_id": outcome.job_id,
        "error_kind": None if error is None else error.kind,
        "error_message": None if error is None else error.message,
        "http_status": None if error is None else error.http_status,
        "refund": outcome.refund,
        "cost": outcome.cost,
        "submits": outcome.attempts.submit,
        "status_reads": outcome.attempts.status,
        "downloads": outcome.attempts.download,
        "submitted": time.submitted,
        "accepted": time.accepted,
        "done_seen": time.done_seen,
        "collected": time.collected,
        "job_s": time.job_s,
        "text": None if result is None else result.text,
    }
    named = {"url": outcome.urls, "file": outcome.files, "row": outcome.row or {}}
    for prefix, values in named.items():
        flat |= {f"{prefix}.{key}": _plain(value) for key, value in values.items()}

    return flat


def _plain(value: object) -> object:
    is_nested = isinstance(value, Mapping | list)
    return orjson.dumps(value).decode() if is_nested else value


def _of_one_kind(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} or len(kinds) <= 1:
        return [float(v) if v is not None and float in kinds else v for v in values]

    return [v if v is None or isinstance(v, str) else orjson.dumps(v).decode() for v in values]


def _missing(extra: str) -> UsageError:
    return UsageError(f"it takes an extra package: pip install 'batcher[{extra}]'")
