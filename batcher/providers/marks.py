"""Marks: how our name for an attempt travels with its submit.

Rule: the rest of the request stays as it is, so that the same attempt is the same request when it
is sent again. An API that wants it elsewhere brings its own function (`base.Marked`).
"""

from __future__ import annotations

import orjson
from msgspec.structs import replace

from batcher.core.exchange import Request
from batcher.providers.base import Marked


def in_header(name: str) -> Marked:
    """Return what puts a mark into a header, such as `Idempotency-Key`."""

    def marked(request: Request, mark: str) -> Request:
        return replace(request, headers=(*request.headers, (name, mark)))

    return marked


def in_field(name: str) -> Marked:
    """Return what puts a mark into a field of the body, JSON or multipart."""

    def marked(request: Request, mark: str) -> Request:
        if request.json is None:
            return replace(request, form=(*request.form, (name, mark)))

        return replace(request, json=orjson.dumps({**orjson.loads(request.json), name: mark}))

    return marked
