"""Addresses: where the API is to call for one attempt of one row, and with which secret.

Rule: nothing is stored. Address and secret are derived from the API key and from the identity of
the run, so they are the same after a restart, tell nothing of the key, and there is no table that
could be lost, leak or grow. Each attempt has its own secret: a call that was signed for one row
proves nothing at the address of another.

    https://hooks.example/batcher / 17-1-f00d…      row 17, attempt 1, 128 bits of HMAC over both

The last part alone counts: a proxy may take a prefix of the path away, or add one.
"""

from __future__ import annotations

import hmac
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from batcher.core.journal import Journal
from batcher.core.secret import Secret
from batcher.engine.keyring import Keyring
from batcher.providers.base import Callback

RUN_ID = "webhook_run"  # the fact that holds the run's identity
TOKEN_BYTES = 16
KEYS_MAX = 8  # keys of one process whose calls are still read

_TOKEN = re.compile(r"([1-9][0-9]{0,17})-([1-9][0-9]{0,8})-([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class Address:
    """Which attempt was called for, and the secret that the call must be signed with."""

    n: int  # the row's number in the journal
    generation: int
    secret: Secret


class Addresses:
    """The addresses of one run at one URL."""

    def __init__(self, url: str, keyring: Keyring, run_id: str) -> None:
        self._url = url.rstrip("/")
        self._keyring = keyring
        self._run_id = run_id
        self._turn = -1
        self._roots: deque[Secret] = deque(maxlen=KEYS_MAX)  # of this key, then of those before

    def of(self, n: int, generation: int) -> Callback:
        """Return where the API is to call for an attempt."""
        root = self._root()
        url = f"{self._url}/{n}-{generation}-{_token(root, n, generation)}"
        return Callback(url, _secret(root, n, generation))

    def read(self, path: str) -> Address | None:
        """Return the attempt that a path stands for, or None if it is none of ours."""
        self._root()
        found = _TOKEN.fullmatch(path.rpartition("/")[2])
        if found is None:
            return None

        n, generation, token = int(found[1]), int(found[2]), found[3]
        for root in self._roots:
            if hmac.compare_digest(token, _token(root, n, generation)):
                return Address(n, generation, _secret(root, n, generation))

        return None

    def _root(self) -> Secret:
        """Return the secret that all others come from; a new key brings a new one."""
        if self._turn != self._keyring.turn:
            self._turn = self._keyring.turn
            self._roots.appendleft(self._keyring.key.derived(f"webhooks of run {self._run_id}"))

        return self._roots[0]


def run_identity(journal: Journal, make: Callable[[], str]) -> str:
    """Return what tells this run from any other one of the same key; *make* it the first time."""
    known = journal.fact(RUN_ID)
    if known is None:
        known = make()
        journal.note({RUN_ID: known})

    return known


def _token(root: Secret, n: int, generation: int) -> str:
    return root.mac(f"address {n}-{generation}".encode())[:TOKEN_BYTES].hex()


def _secret(root: Secret, n: int, generation: int) -> Secret:
    return root.derived(f"secret {n}-{generation}")
