"""The base URL of an API: where a key may be sent to.

Rule: a key leaves this machine over https only. Plain http is for loopback, where nobody listens.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from batcher.core.errors import UsageError


def checked_base_url(text: str) -> str:
    """Return *text* as an origin with an optional path prefix, without a trailing slash.

    Raises `UsageError` for anything that a key must not be sent to.
    """
    shown = text[:200]
    url = _split(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise UsageError(f"--base-url {shown!r}: write https://host, a path prefix allowed")

    if url.netloc.endswith(":") or url.port == 0:
        raise UsageError(f"--base-url {shown!r}: names no port; write its number, or no colon")

    if url.username is not None or url.password is not None:
        raise UsageError("--base-url: must not hold a user or password; keys have their own place")

    if url.query or url.fragment or "?" in text or "#" in text:
        raise UsageError(f"--base-url {shown!r}: must not have a query or a fragment")

    if url.scheme == "http" and not is_loopback(text):
        raise UsageError(
            f"--base-url {shown!r}: the API key would cross the network in the clear; use https. "
            "Plain http goes to this machine only (127.0.0.1, ::1, localhost)"
        )

    return text.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine itself."""
    host = _split(url).hostname or ""
    if host.lower() == "localhost":
        return True

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        _ = url.port  # raises for one that is no number
    except ValueError as error:
        raise UsageError(f"--base-url {text[:200]!r}: {error}") from error

    return url
