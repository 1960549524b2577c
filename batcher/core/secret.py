"""A value that does not print."""

from __future__ import annotations

import hashlib
import hmac
from typing import NoReturn


class Secret:
    """An API key. Only `reveal()` gives it out, and only the transport calls it.

    It does not show in `repr`, `str`, a format, a traceback's locals or a log line, and it cannot
    be pickled or encoded.
    """

    __slots__ = ("__value", "source")

    def __init__(self, value: str, source: str) -> None:
        self.__value = value
        self.source = source  # where it came from, for messages: "REMOVIT_API_KEY"

    def reveal(self) -> str:
        """Return the value itself."""
        return self.__value

    def fingerprint(self, scope: str) -> str:
        """Return a mark that tells two keys of one *scope* (an origin) apart and tells no more."""
        return self.mac(scope.encode()).hex()[:16]

    def derived(self, label: str) -> Secret:
        """Return the secret for one purpose: 64 hex digits, the same for the same *label*.

        Whoever learns it knows neither this one nor what another label gives. A label must not be
        the scope of a `fingerprint`, which shows a part of the same digest.
        """
        return Secret(self.mac(label.encode()).hex(), self.source)

    def mac(self, message: bytes) -> bytes:
        """Return the HMAC-SHA256 of *message* under this secret: 32 bytes (RFC 2104)."""
        return hmac.new(self.__value.encode(), message, hashlib.sha256).digest()

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")
