"""A log that remembers."""

from __future__ import annotations


class Events:
    """Keeps every event as (level, name, values)."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, object]]] = []

    def info(self, event: str, /, **values: object) -> None:
        """Keep it."""
        self.seen.append(("info", event, values))

    def warning(self, event: str, /, **values: object) -> None:
        """Keep it."""
        self.seen.append(("warning", event, values))

    def error(self, event: str, /, **values: object) -> None:
        """Keep it."""
        self.seen.append(("error", event, values))

    def names(self, level: str | None = None) -> list[str]:
        """Return the names, of one level or of all."""
        return [name for at, name, _ in self.seen if level in (None, at)]
