"""The API key in use, and one way to another: its source is read again.

Rule: many requests are open when a key dies, and all of them are refused. So whoever was refused
says under which turn of the key it sent; only the first one of a turn has the source read.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio

from batcher.core.errors import UsageError
from batcher.core.model import Stop, StopReason
from batcher.core.secret import Secret
from batcher.core.verdict import Halt
from batcher.engine.books.record import Offload, in_thread

ACCOUNT = "account"  # the journal's fact: the marks of the account's keys, the newest last
OF_KEY = (StopReason.UNAUTHORIZED, StopReason.FORBIDDEN)  # refusals that another key may end

_SCOPE = "keyring"  # two keys are told apart by their fingerprints in it


def with_mark(known: str | None, mark: str) -> str:
    """Return the fact `ACCOUNT` with a key's mark added.

    The marks before are kept: a new key may be a mistake, and the one before it good all the same.
    """
    marks = [] if known is None else known.split()
    return " ".join([*(other for other in marks if other != mark), mark])


class Keyring:
    """Holds one key at a time. `reread` reads its source again and raises `UsageError`.

    `reread` is called where it may block, by `offload`.
    """

    def __init__(
        self,
        key: Secret,
        reread: Callable[[], Secret] | None = None,
        offload: Offload = in_thread,
    ) -> None:
        self.key = key
        self.turn = 0  # how often the key was replaced
        self._reread = reread
        self._offload = offload
        self._turn_read = -1  # the turn for which the source was read
        self._trouble = ""  # why it could not be
        self._lock = anyio.Lock()

    async def renew(self, turn: int) -> bool:
        """Return whether another key than the one of *turn* is in use now."""
        async with self._lock:
            if self.turn == turn and self._turn_read != turn:
                await self._read_again()

        return self.turn != turn

    async def _read_again(self) -> None:
        self._turn_read = self.turn
        if self._reread is None:
            return

        try:
            key = await self._offload(self._reread)
        except UsageError as error:
            self._trouble = f"; read again: {error}"
            return

        if key.fingerprint(_SCOPE) != self.key.fingerprint(_SCOPE):
            self.key = key
            self.turn += 1

    def stop(self, verdict: Halt) -> Stop:
        """Return the stop for a refusal of this key: whose it is, and what the API said."""
        message = verdict.error.message
        if verdict.reason in OF_KEY:
            message = f"the key in {self.key.source}: {message}{self._trouble}"

        return Stop(verdict.reason, message, verdict.resume_at)
