"""The API key in use, and one way to another: its source is read again.

Rule: many requests are open when a key dies, and all of them are refused. So whoever was refused
says under which turn of the key it sent; only the first one of a turn has the source read.
"""

from __future__ import annotations

from collections.abc import Callable

from batcher.core.errors import UsageError
from batcher.core.secret import Secret

_SCOPE = "keyring"  # two keys are told apart by their fingerprints in it


class Keyring:
    """Holds one key at a time. `reread` reads its source again and raises `UsageError`."""

    def __init__(self, key: Secret, reread: Callable[[], Secret] | None = None) -> None:
        self.key = key
        self.turn = 0  # how often the key was replaced
        self._reread = reread

    def renew(self, turn: int) -> bool:
        """Return whether another key than the one of *turn* is in use now."""
        if self.turn != turn:
            return True

        try:
            key = self.key if self._reread is None else self._reread()
        except UsageError:
            return False

        if key.fingerprint(_SCOPE) == self.key.fingerprint(_SCOPE):
            return False

        self.key = key
        self.turn += 1
        return True
