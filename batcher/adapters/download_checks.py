"""What a download may be: which address, which answer, which content, and what a failure means.

Rule: everything here only decides. An address is judged where a socket is made for it, which is
after names are resolved and for each redirect anew: what is judged is what is connected to.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from pathlib import PurePosixPath
from typing import Any

import aiohttp
from yarl import URL

from batcher.core.names import Kind, kind_of

PICTURES = frozenset(
    ("png", "jpg", "jpeg", "webp", "gif", "tif", "tiff", "psd", "bmp", "avif", "heic", "svg")
)
TEXTS = frozenset(("txt", "json", "md", "csv", "html", "xml"))

_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits
_OLD = (403, 404, 410)  # a signed address that is too old, or a result that was cleaned up
_LATER = (408, 425, 429)


class DownloadFailed(Exception):
    """A file could not be had. `reason` is short and has no URL: result URLs are often signed."""

    def __init__(self, reason: str, retriable: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retriable = retriable  # whether the same address may work later


class Expired(DownloadFailed):
    """The address does not work any more; read the job again, it may name a fresh one."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, retriable=True)


class _Private(OSError):
    """An address that is not on the public network."""

    def __init__(self) -> None:
        # The same words for each address: only then is it kept apart when a name has several.
        super().__init__(errno.EACCES, "the address is private")


# --- Addresses -----------------------------------------------------------------------------------


def checked_url(text: str, base: URL | None = None) -> URL:
    """Return a URL that may be called; *base* is where a redirect comes from."""
    try:
        # A signed URL is sent byte for byte: quoting it anew could break the signature.
        url = URL(text, encoded=text.isascii() and text.isprintable() and " " not in text)
        url = url if base is None else base.join(url)
        known = url.scheme in ("http", "https") and bool(url.host)
    except ValueError:
        known = False

    if not known:
        raise DownloadFailed("the address is not an http or https URL", retriable=False)

    if base is not None and base.scheme == "https" and url.scheme == "http":
        raise DownloadFailed(f"{base.host} redirects out of TLS", retriable=False)

    return url


def public_socket(info: tuple[Any, ...]) -> socket.socket:
    """Make the socket for an address (as `getaddrinfo` describes it), unless it is private."""
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise _Private

    return socket.socket(family, kind, protocol)


def is_public(text: str) -> bool:
    """Return whether an IP address is on the public network: nothing local, nothing shared."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(str(inner))

        if address.is_site_local:
            return False

    return address.is_global and not address.is_multicast


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to, if it is of such a kind."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)

    teredo = None if address.teredo is None else address.teredo[1]
    return address.ipv4_mapped or address.sixtofour or teredo


# --- Answers and contents ------------------------------------------------------------------------


def check_answer(status: int, host: str | None) -> None:
    """Raise what an answer means that is not a file."""
    if status in _OLD:
        raise Expired(f"{host} answered {status}")

    if status != 200:
        later = status in _LATER or status >= 500
        raise DownloadFailed(f"{host} answered {status}", retriable=later)


def wanted_ending(expected: str | None, path: str) -> str:
    """Return the ending to expect, in lower case: the caller's, or the URL's own, or ""."""
    ending = (expected or PurePosixPath(path).suffix).lstrip(".").lower()
    ending = "txt" if ending == "text" else ending
    return ending if ending.isascii() and ending.isalnum() and len(ending) <= 5 else ""


def checked_kind(head: bytes, wanted: str) -> Kind:
    """Return what a file is, by its first bytes; raise if it is no file but a page about it."""
    kind = kind_of(head)
    if not head:
        raise DownloadFailed("the file is empty", retriable=True)

    if kind is None:
        if wanted in PICTURES or wanted in TEXTS:
            raise DownloadFailed(f"expected {wanted}, got something unknown", retriable=True)

        return (wanted or "bin", "application/octet-stream")

    if kind[0] not in TEXTS or kind[0] == wanted:
        return kind

    if kind[0] in ("html", "xml") or (wanted and wanted not in TEXTS):
        raise DownloadFailed(f"expected {wanted or 'a file'}, got {kind[0]}", retriable=True)

    return (wanted or kind[0], kind[1])


# --- Failures ------------------------------------------------------------------------------------

_FAILURES: tuple[tuple[type[Exception], str, bool], ...] = (  # the first that fits counts
    (aiohttp.ClientConnectorCertificateError, "the server's TLS certificate is refused", False),
    (aiohttp.ClientConnectorDNSError, "the server's name cannot be resolved", True),
    (aiohttp.ClientConnectorError, "no connection to the server", True),
    (aiohttp.InvalidURL, "the address cannot be called", False),
    (aiohttp.ClientPayloadError, "the file was cut short, or cannot be unpacked", True),
    (aiohttp.ClientResponseError, "what the server answered is not HTTP", True),
    (TimeoutError, "the download stood still", True),
    (Exception, "the connection broke", True),
)


def failure_of(error: Exception) -> DownloadFailed:
    """Return what an error of the network means."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, _Private):
        return DownloadFailed("the address is private (see --allow-private)", retriable=False)

    return next(
        DownloadFailed(text, retriable)
        for kind, text, retriable in _FAILURES
        if isinstance(error, kind)
    )
