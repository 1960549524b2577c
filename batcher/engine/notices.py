"""What a person should know of a run besides its numbers, each thing told once.

A run may go on for hours with a mistyped column or a full disk; its log says so, but nobody looks
there. Notices go to the log and to whoever watches.
"""

from __future__ import annotations

from dataclasses import dataclass

from batcher.core.log import Log

NOTICES_MAX = 100  # more kinds of trouble than this are not worth a line each


@dataclass(frozen=True, slots=True)
class Notice:
    """One line for a person. An urgent one is told even to those who want no words."""

    text: str
    urgent: bool = False


class Notices:
    """Collects notices. May be called from the thread that reads the manifest."""

    def __init__(self, log: Log) -> None:
        self.told: list[Notice] = []
        self._seen: set[str] = set()
        self._log = log

    def tell(self, event: str, text: str, *, urgent: bool = False, once: str = "") -> None:
        """Tell *text*; with `once`, nothing more is told under that name."""
        if once in self._seen or len(self.told) >= NOTICES_MAX:
            return

        if once:
            self._seen.add(once)

        self.told.append(Notice(text, urgent))
        self._log.warning(event, message=text)
