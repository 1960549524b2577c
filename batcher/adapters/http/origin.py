"""What is checked before anything is called: where to, and with which key.

Rule: a key travels encrypted or stays on this machine, to the one origin that was named.
"""

from __future__ import annotations

import ipaddress

from yarl import URL

from batcher.core.errors import UsageError
from batcher.core.secret import Secret


def checked_base(text: str) -> URL:
    """Return a base URL without its last slash; raise `UsageError` if a key must not go there."""
    try:
        url = URL(text)
        host = url.host
    except ValueError:
        host = None

    if host is None or url.scheme not in ("http", "https") or url.raw_query_string or url.fragment:
        raise UsageError(f"base URL {text!r}: write an origin such as https://api.example.com")

    if url.user is not None or url.password is not None:
        raise UsageError("base URL: it must not contain a name or password")

    if url.scheme == "http" and not _is_loopback(host):
        raise UsageError(f"base URL {text!r}: the key would travel in the open; write https://")

    return URL(str(url).rstrip("/"))


def checked_key(key: Secret) -> str:
    """Return what a key is; raise `UsageError` if it cannot be a header's value."""
    value = key.reveal()
    if not value or not all("!" <= char <= "~" for char in value):
        raise UsageError(f"the API key from {key.source} is empty or has spaces or odd characters")

    return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
