"""The two webhook flags: where calls of the API are received, and by which address it reaches that.

Rule: the address is https, because whoever can read a call can answer for the API; and it holds no
user, password or query, because what is added to it for each submit must stay the only secret.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

import click

PORT_MAX = 65_535
URL_CHARS_MAX = 1_800  # deAPI takes 2,048 (docs.deapi.ai, webhooks): the rest is for our own part

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_LISTEN_FORM = "write HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080"
_URL_FORM = "write https://host, a port and a path allowed"


def listen_address(value: Any) -> str:
    """Read `127.0.0.1:8080`, `[::1]:8080` or `myhost:8080`."""
    text = str(value).strip()
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text[:200]!r} is no address with a port: {_LISTEN_FORM}")

    host, port = found[1], int(found[2])
    if host.startswith("[") and not _is_ipv6(host[1:-1]):
        raise click.BadParameter(f"{text!r} has no such address in it: {_LISTEN_FORM}")

    if not 0 < port <= PORT_MAX:
        raise click.BadParameter(f"{text!r}: the port is a number from 1 to {PORT_MAX}")

    return f"{host}:{port}"


def webhook_url(value: Any) -> str:
    """Read an https address without user, query or fragment; return it without a last slash."""
    text = str(value).strip()
    shown = f"{text[:200]!r}"
    if "@" in text:
        raise click.BadParameter("must not hold a user or password; nobody asks for one")

    if not text.isascii() or not text.isprintable() or " " in text:
        raise click.BadParameter(f"{shown} is no address: {_URL_FORM}")

    if not _has_host(text):
        raise click.BadParameter(
            f"{shown}: the API calls over https only; put a proxy or tunnel that speaks it before "
            f"--webhook-listen, and {_URL_FORM}"
        )

    if "?" in text or "#" in text:
        raise click.BadParameter(f"{shown}: must not have a query or a fragment; {_URL_FORM}")

    if len(text) > URL_CHARS_MAX:
        raise click.BadParameter(f"is longer than {URL_CHARS_MAX} characters: {_URL_FORM}")

    return "https" + text[len("https") :].rstrip("/")


def _has_host(text: str) -> bool:
    """Whether a text is an https URL with a host, and a port that is one if it has any."""
    try:
        url = urlsplit(text)
        return url.scheme == "https" and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False
