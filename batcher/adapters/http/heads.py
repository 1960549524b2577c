"""The head of a request: its first line and its headers, as bytes (RFC 9112, 2 to 6).

Rule: nothing gets into a head that could end a line of it. What stands in many heads is checked and
written once.
"""

from __future__ import annotations

import re

from yarl import URL

from batcher.adapters.http.body import NOTHING, Body
from batcher.core.exchange import Request

WITHOUT_LENGTH = ("GET", "HEAD")  # without a body; others say that they have none (RFC 9110, 8.6)

_METHOD = re.compile(r"[A-Z]+")
_PATH = re.compile(r'/[!"$-~]*')  # printable ASCII: anything else, and #, is percent-encoded
_HEADER = re.compile(r"[!#-'*+.^`|~\w-]+: [ -~\t]*", re.ASCII)


class Heads:
    """Writes the heads of all requests to one origin."""

    def __init__(self, base: URL, user_agent: str, auth_header: str, auth_scheme: str) -> None:
        self._prefix = base.raw_path.rstrip("/")
        self._auth_header, self._auth_scheme = auth_header, auth_scheme
        self._for_all = {
            "Host": base.host_port_subcomponent or "",
            "Accept": "application/json",
            # Answers are a few hundred bytes. Compressed, they would bring bombs and broken streams
            # (a lost answer to a submit is money) and save nothing. Sent anyway, it is unpacked.
            "Accept-Encoding": "identity",
            "User-Agent": user_agent,
        }
        self._fixed = b""
        self._starts: dict[str, bytes] = {}  # by method

    def use_key(self, key: str) -> None:
        """Send *key* from now on."""
        headers = {**self._for_all, self._auth_header: self._auth_scheme + key}
        self._fixed = b"".join(_line(name, text) for name, text in headers.items())

    def start(self, method: str, path: str) -> bytes:
        """Return the first line; raise `ValueError` for a path that is not one."""
        start = self._starts.get(method) or self._start(method)
        if not _PATH.fullmatch(path):
            raise ValueError(f"{method}: a path is encoded and begins with /")

        return b"%b%b HTTP/1.1\r\n" % (start, path.encode())

    def rest(self, request: Request, body: Body) -> bytes:
        """Return what follows the first line, and the content of the body if it is no stream."""
        own = b"".join(self._own(request)) if request.headers else b""
        if body is NOTHING:
            length = b"" if request.method in WITHOUT_LENGTH else b"Content-Length: 0\r\n"
            return b"%b%b%b\r\n" % (self._fixed, own, length)

        return b"%b%bContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            self._fixed,
            own,
            body.content_type,
            body.size_bytes,
            body.content,
        )

    def _start(self, method: str) -> bytes:
        if not _METHOD.fullmatch(method):
            raise ValueError(f"{method!r} is not a method")

        self._starts[method] = start = f"{method} {self._prefix}".encode()
        return start

    def _own(self, request: Request) -> list[bytes]:
        """Return a request's own headers. None of them takes the key's place."""
        auth = self._auth_header.lower()
        return [_line(name, text) for name, text in request.headers if name.lower() != auth]


def _line(name: str, text: str) -> bytes:
    line = f"{name}: {text}"
    if not _HEADER.fullmatch(line):
        raise ValueError(f"header {name!r}: it has characters that no header may have")

    return f"{line}\r\n".encode()
