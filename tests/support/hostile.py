"""A server on loopback that does with each connection exactly what a test says, byte for byte.

Rule: plain blocking sockets in threads, so that the server does not share the client's event loop
and cannot be kinder to it than a real one. A script is a function of one `Peer`; the first
connection gets the first script, and the last script serves all that follow.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 10.0  # no thread of a test outlives this
HEAD_END = b"\r\n\r\n"
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came."""

    line: str
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass
class Peer:
    """One connection, seen from the server."""

    socket: socket.socket
    requests: list[Received]
    ended: threading.Event  # the test is over

    @property
    def _is_tls(self) -> bool:
        return isinstance(self.socket, ssl.SSLSocket)  # which cannot look ahead

    def head(self) -> Received:
        """Read a request up to its headers: what follows stays unread."""
        raw = bytearray()
        while not raw.endswith(HEAD_END):
            seen = b"" if self._is_tls else self.socket.recv(65_536, socket.MSG_PEEK)
            end = (raw + seen).find(HEAD_END)
            raw += self._some(len(seen) or 1 if end < 0 else end + len(HEAD_END) - len(raw))

        line, *lines = raw.decode().strip().split("\r\n")
        pairs = (text.split(": ", 1) for text in lines)
        received = Received(line, {name.lower(): value for name, value in pairs}, b"")
        self.requests.append(received)
        return received

    def request(self) -> Received:
        """Read a whole request."""
        head = self.head()
        body = b"".join(self.body(int(head.headers.get("content-length", "0"))))
        self.requests[-1] = Received(head.line, head.headers, body)
        return self.requests[-1]

    def body(self, size: int) -> Iterator[bytes]:
        """Read *size* bytes, piece by piece."""
        while size:
            piece = self._some(min(size, 65_536))
            size -= len(piece)
            yield piece

    def send(self, *pieces: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(b"".join(pieces))

    def answer(self, status: int, body: bytes = b"{}", *headers: str) -> None:
        """Send a whole answer."""
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
        self.send("\r\n".join(lines).encode(), body)

    def reset(self) -> None:
        """Close with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self.socket.close()

    def wait_gone(self) -> None:
        """Wait until the client has gone, and take whatever it still says."""
        with contextlib.suppress(OSError):
            while self.socket.recv(65_536):
                pass

    def _some(self, size: int) -> bytes:
        piece = self.socket.recv(size)
        if not piece:
            raise ConnectionResetError("the client has gone")

        return piece


Script = Callable[[Peer], None]


@dataclass
class Hostile:
    """The server. Use as a context manager; a script that fails fails the test at its end."""

    scripts: tuple[Script, ...]
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    requests: list[Received] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> Hostile:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, 0), family=family, backlog=64)
        self._listener.settimeout(PATIENCE_S)
        self._ended = threading.Event()
        self._failures: list[Exception] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

        for thread in self._threads:
            thread.join(PATIENCE_S)

        self._listener.close()
        if self._failures and failure == (None, None, None):
            raise self._failures[0]

    @property
    def port(self) -> int:
        """The port that the kernel chose."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Where the server is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._ended.is_set():
                connection, _ = self._listener.accept()
                script = self.scripts[min(self.connections, len(self.scripts) - 1)]
                self.connections += 1
                self._threads.append(
                    threading.Thread(target=self._serve, args=(connection, script))
                )
                self._threads[-1].start()

    def _serve(self, connection: socket.socket, script: Script) -> None:
        connection.settimeout(PATIENCE_S)
        try:
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)

            script(Peer(connection, self.requests, self._ended))
        except OSError:
            pass  # the client went away, which scripts need not care about
        except Exception as failure:
            self._failures.append(failure)
        finally:
            connection.close()


def hostile(
    *scripts: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Hostile:
    """Return a server that serves its connections with *scripts*."""
    return Hostile(scripts, tls, host)


def closed_port() -> int:
    """Return a port of loopback on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]

    return port


def has_ipv6_loopback() -> bool:
    """Return whether this machine has ::1; some containers do not."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False

    return True


def open_files(folder: Path) -> list[str]:
    """Return the files of a folder that this process has open."""
    targets = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile, by another thread
            targets.append(str(link.readlink()))

    return [target for target in targets if target.startswith(str(folder))]
