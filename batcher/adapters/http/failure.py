"""What a failed request means: `NotSent` or `Lost`, with a reason of our own words.

Rule: only a failure to connect proves that nothing left; all else, and all that is not known, is
`Lost`. It is known by the kind of the error, or because the request was never given a connection.
aiohttp's own texts are not used, because they contain URLs.
"""

from __future__ import annotations

import aiohttp
from aiohttp.http import HttpProcessingError

from batcher.core.errors import OUR_LIMITS, Lost, NotSent, TransportError

# The first line that fits counts.
_NOT_SENT: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorCertificateError, "the TLS certificate of {host} is refused: {detail}"),
    (aiohttp.ClientConnectorSSLError, "no TLS connection to {host}: {detail}"),
    (aiohttp.ClientConnectorDNSError, "the name of {host} cannot be resolved"),
    (aiohttp.ClientConnectorError, "no connection to {host}: {detail}"),
    (aiohttp.ConnectionTimeoutError, "no connection to {host} in time"),
    (aiohttp.InvalidURL, "{host} cannot be called"),
)
# Of a request that was never given a connection, whatever the error is.
_NOTHING_LEFT: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "no connection to {host} in time"),
    (UnicodeError, "the name of {host} cannot be resolved"),
    (Exception, "no connection to {host}: {detail}"),
)
_LOST: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "no whole answer from {host} in {timeout_s:g} s"),
    (aiohttp.ServerDisconnectedError, "{host} closed the connection without an answer"),
    (HttpProcessingError, "what {host} answered is not HTTP: {detail}"),
    (aiohttp.ClientPayloadError, "the answer of {host} was cut short, or cannot be unpacked"),
    (OSError, "the connection to {host} broke: {detail}"),
    (Exception, "the connection to {host} failed: {detail}"),
)


def failure_of(
    error: Exception, host: str, timeout_s: float, *, nothing_left: bool = False
) -> TransportError:
    """Return what *error* means for a request to *host* (a name, and a port if unusual).

    *nothing_left*: the request was never given a connection.
    """
    values = {"host": host, "timeout_s": timeout_s, "detail": _detail(error)}
    for kind, text in _NOT_SENT + (_NOTHING_LEFT if nothing_left else ()):
        if isinstance(error, kind):
            return NotSent(text.format(**values), local=_is_ours(error))

    return Lost(next(text for kind, text in _LOST if isinstance(error, kind)).format(**values))


def _is_ours(error: Exception) -> bool:
    """Return whether no connection could be made because this machine has no more to give."""
    return isinstance(error, aiohttp.ClientConnectorError) and error.errno in OUR_LIMITS


def _detail(error: Exception) -> str:
    """Return the part of an error that says why, in one clean short line."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error

    why = next(
        filter(
            None, (getattr(error, name, None) for name in ("verify_message", "strerror", "message"))
        ),
        type(error).__name__,
    )
    if isinstance(error, HttpProcessingError):  # what follows may quote the answer, and that a key
        why = str(why).partition(":")[0]

    return "".join(char if " " <= char <= "~" else " " for char in str(why))[:120].strip()
