"""The webhook flags take an address that the API can use, and nothing else."""

from __future__ import annotations

from typing import Any

import click
import pytest

from batcher.cli.flags.callbacks import URL_CHARS_MAX, listen_address, webhook_url


@pytest.mark.parametrize(
    "text", ["127.0.0.1:8080", "[::1]:8080", "0.0.0.0:1", "hooks.internal:65535", "[::]:80"]
)
def test_addresses_to_listen_at(text: str) -> None:
    """A host or an IP address, IPv6 in brackets, and a port."""
    assert listen_address(f" {text} ") == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("8080", "HOST:PORT"),
        (":8080", "HOST:PORT"),
        ("127.0.0.1", "HOST:PORT"),
        ("127.0.0.1:", "HOST:PORT"),
        ("::1:8080", "HOST:PORT"),
        ("[]:8080", "HOST:PORT"),
        ("[127.0.0.1]:8080", "no such address"),
        ("http://127.0.0.1:8080", "HOST:PORT"),
        ("127.0.0.1:8080/path", "HOST:PORT"),
        ("user@host:80", "HOST:PORT"),
        ("host:-1", "HOST:PORT"),
        ("host:0", "from 1 to 65535"),
        ("host:65536", "from 1 to 65535"),
        ("host:999999", "HOST:PORT"),
        ("ho st:80", "HOST:PORT"),
        ("host:80\n", ""),
        (8080, "HOST:PORT"),
    ],
)
def test_what_nobody_can_listen_at(text: Any, told: str) -> None:
    """Refused with what a good one looks like; blanks around it do not matter."""
    if not told:
        assert listen_address(text) == text.strip()
        return

    with pytest.raises(click.BadParameter, match=told):
        listen_address(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://hooks.example", "https://hooks.example"),
        ("https://hooks.example:8443/a/b/", "https://hooks.example:8443/a/b"),
        ("HTTPS://hooks.example/", "https://hooks.example"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
    ],
)
def test_addresses_to_be_called_at(text: str, url: str) -> None:
    """https with a host, a port and a path allowed; the last slash goes."""
    assert webhook_url(text) == url


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://hooks.example", "over https only"),
        ("http://127.0.0.1:8080", "over https only"),
        ("hooks.example", "over https only"),
        ("https://", "over https only"),
        ("https://:443", "over https only"),
        ("https://host:0", "over https only"),
        ("https://host:99999", "over https only"),
        ("https://[::1", "over https only"),
        ("https://user:s3cret@hooks.example", "must not hold a user"),
        ("https://hooks.example?x=1", "query or a fragment"),
        ("https://hooks.example/#x", "query or a fragment"),
        ("https://hooks.example/a b", "no address"),
        ("https://hooks.exa\x1b[2Jmple", "no address"),
        ("https://hooks.exämple", "no address"),
        ("https://hooks.example/" + "a" * URL_CHARS_MAX, "longer than"),
        ("", "over https only"),
    ],
)
def test_what_the_api_cannot_call(text: str, told: str) -> None:
    """Plain http never, and nothing that would hold a second secret; no password is repeated."""
    with pytest.raises(click.BadParameter, match=told) as refused:
        webhook_url(text)

    assert "s3cret" not in str(refused.value)
