"""Prices: what a row will be charged, asked before it is submitted.

Rule: rows that cost the same are asked for once. A price is asked for only if the user wants to
know it (`--quote`) or to be held to it (`--max-cost`); one that the user states
(`--cost-per-job`) is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from batcher.core.verdict import PriceVerdict
from batcher.providers.base import Files


class Prices:
    """The prices of one run."""

    async def of(self, values: Mapping[str, object], files: Files) -> PriceVerdict | None:
        """Return what a row costs, or why that cannot be had; None = nobody asked."""
        return None
