"""What a download may be: which address, which content, and what a failure means.

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

from batcher.core.errors import OUR_LIMITS
from batcher.core.names import Kind, ending_of, kind_of
from batcher.core.pictures import Read
from batcher.core.wholeness import is_cut, is_json

PICTURES = frozenset(
    ("png", "jpg", "jpeg", "webp", "gif", "tif", "tiff", "psd", "bmp", "avif", "heic", "svg")
)
TEXTS = frozenset(("txt", "json", "md", "csv", "html", "xml"))
PAGES = frozenset(("html", "xml"))  # what an error page is, unless it was asked for

_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits
_PAGE_BEGINS = (b"<!doctype html", b"<html", b"<?xml", b"<error>")
_BLANK = b"\xef\xbb\xbf \t\n\f\r"


class DownloadFailed(Exception):
    """A file could not be had. `reason` is short and has no URL: result URLs are often signed."""

    def __init__(self, reason: str, retriable: bool, local: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retriable = retriable  # whether the same address may work later
        self.local = local  # the trouble is this machine's, and says nothing of the address


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
    except (IndexError, ValueError):  # yarl's own, for `http://[::1]@/`
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


# --- Contents ------------------------------------------------------------------------------------


def wanted_ending(expected: str | None, path: str) -> str:
    """Return the ending to expect: the caller's, or the URL's own, or ""."""
    ending = ending_of(expected or PurePosixPath(path).suffix)
    return ending if ending.isascii() and ending.isalnum() and len(ending) <= 5 else ""


def checked_kind(head: bytes, wanted: str) -> Kind:
    """Return what a file is, by its first bytes; raise if it is no file but a page about it."""
    if not head:
        raise DownloadFailed("the file is empty", retriable=True)

    kind = kind_of(head)
    if kind is not None and kind[0] not in TEXTS:
        return kind  # what it is by its own bytes, whatever was expected: it was paid for

    if wanted in TEXTS:
        return _text_kind(kind, head, wanted)

    if wanted in PICTURES or (kind is not None and (wanted or kind[0] in PAGES)):
        got = "something unknown" if kind is None else kind[0]
        raise DownloadFailed(f"expected {wanted or 'a file'}, got {got}", retriable=True)

    return kind or (wanted or "bin", "application/octet-stream")


def _text_kind(kind: Kind | None, head: bytes, wanted: str) -> Kind:
    """Return what a text is that was expected. Recognised text may have tags in it, or be blank."""
    is_page = head.lstrip(_BLANK).lower().startswith(_PAGE_BEGINS)
    if (is_page and wanted not in PAGES) or (kind is None and b"\0" in head):
        got = "something unknown" if kind is None else kind[0]
        raise DownloadFailed(f"expected {wanted}, got {got}", retriable=True)

    if wanted == "json":
        return (wanted, "application/json")

    return (wanted, "text/plain" if kind is None else kind[1])


def check_whole(kind: Kind, wanted: str, read: Read, size_bytes: int) -> Kind:
    """Return what a file is, by all of it; raise if its end is missing. Reads it: it blocks."""
    if kind[0] == "json" and not is_json(read, size_bytes):
        if wanted == "json":
            raise DownloadFailed("expected json, got a part of it or something else", True)

        return ("txt", "text/plain")  # it only began like JSON

    if is_cut(kind[0], read, size_bytes):
        raise DownloadFailed(f"the {kind[0]} is cut short", retriable=True)

    return kind


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

    if isinstance(error, OSError) and error.errno in OUR_LIMITS:
        return DownloadFailed(f"no connection: {error.strerror}", retriable=True, local=True)

    return next(
        DownloadFailed(text, retriable)
        for kind, text, retriable in _FAILURES
        if isinstance(error, kind)
    )
