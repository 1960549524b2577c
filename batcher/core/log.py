"""The port for events: dotted, stable names with keys and values."""

from __future__ import annotations

from typing import Protocol


class Log(Protocol):
    """Where events go. Names are stable (`job.accepted`, `row.finished`); values hold no secret."""

    def info(self, event: str, /, **values: object) -> object:
        """Note something that went as it should."""
        ...

    def warning(self, event: str, /, **values: object) -> object:
        """Note something that a person may want to know."""
        ...

    def error(self, event: str, /, **values: object) -> object:
        """Note something that a person must know."""
        ...
