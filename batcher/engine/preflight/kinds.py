"""Kinds: the rows of a manifest, gathered by what they cost.

Rule: memory does not grow with the manifest. Of a kind only the first row's question for a price is
kept; what there is no room for is counted among the others, whose price is estimated. Which kinds
are the largest is told in the same order every time, and equal ones in no order of the manifest, so
that a few of many are a fair sample.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from batcher.core.exchange import Request
from batcher.providers.base import Account, Files

KINDS_MAX = 10_000
BYTES_MAX = 67_108_864  # of all kept questions: a prompt can be as long as a line
MARK_BYTES = 16  # of a key's hash: no two of ten million meet by chance


@dataclass(slots=True)
class Kind:
    """Rows that cost the same."""

    request: Request  # asks for the price of the first of them
    line: int  # where that stands
    rows: int = 1


class Kinds:
    """Counts rows by their kind."""

    def __init__(self, account: Account) -> None:
        self.rows = 0
        self.others = 0  # rows of kinds that there was no room for
        self._account = account
        self._kinds: dict[bytes, Kind] = {}
        self._room_bytes = BYTES_MAX

    def __len__(self) -> int:
        return len(self._kinds)

    def add(self, line: int, values: Mapping[str, object], files: Files) -> None:
        """Count a row without problems."""
        quote = self._account.quote(values, files)
        key = quote.key.encode("utf-8", "surrogatepass")
        mark = hashlib.blake2b(key, digest_size=MARK_BYTES).digest()
        kind = self._kinds.get(mark)
        self.rows += 1
        if kind is not None:
            kind.rows += 1
        elif self._has_room(quote.request):
            self._kinds[mark] = Kind(quote.request, line)
        else:
            self.others += 1

    def largest(self, most: int) -> list[Kind]:
        """Return the kinds with most rows, at most so many."""
        found = heapq.nsmallest(
            most, self._kinds.items(), key=lambda item: (-item[1].rows, item[0])
        )
        return [kind for _, kind in found]

    def _has_room(self, request: Request) -> bool:
        size = len(request.json or b"") + sum(len(n) + len(v) for n, v in request.form)
        if len(self._kinds) >= KINDS_MAX or size > self._room_bytes:
            return False

        self._room_bytes -= size
        return True
