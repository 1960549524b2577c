"""What a kind of malformed answer is, and how answers are put together byte by byte.

Rule: whoever adds a kind says what the answer says to somebody who only believes whole HTTP answers
(`Says`), and never what batcher makes of it. Each kind is made around the body that an endpoint
would have sent, so that a mistake shows: that body names a job, or says that one is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tests.support.hostile import Peer


class Says(Enum):
    """What an answer tells, if one believes whole HTTP answers only."""

    ALL = "all"  # it is a whole answer: the endpoint's own body, under 2xx
    REFUSAL = "refusal"  # it is a whole answer whose status code denies the job
    NOTHING = "nothing"  # it is no whole answer, or none that says anything
    PERHAPS = "perhaps"  # all or nothing: lenient readers and strict ones differ


@dataclass(frozen=True, slots=True)
class Kind:
    """One malformed answer. *send* gets the connection, after the request, and the body."""

    name: str
    says: Says
    send: Callable[[Peer, bytes], None]
    ends: bool = True  # False: it never does, so that only the time-out of the request ends it
    status: int = 200  # of the answer
    keeps: bool = False  # the connection goes on, and the next request is to be answered rightly
    early: bool = False  # it comes before the body of the request was read
    heavy: bool = False  # it would fill the memory of who believes it


Make = Callable[[bytes], bytes]  # the right body -> what goes over the wire in its place

OK = b"HTTP/1.1 200 OK\r\n"
END = b"\r\n"
MANY = 20_000


def bound(make: Callable[..., Any], *values: Any) -> Callable[..., Any]:
    """Return *make* with its last arguments fixed: a loop's own values, not its last ones."""
    return lambda *first: make(*first, *values)


def sized(body: bytes, *headers: bytes, begin: bytes = OK) -> bytes:
    """Return an answer that tells its length."""
    length = b"Content-Length: %d" % len(body)
    return begin + b"".join(line + END for line in (length, *headers)) + END + body


def chunked(*pieces: bytes) -> bytes:
    """Return an answer that says it comes in chunks, and then whatever comes."""
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(pieces)


def chunk(piece: bytes) -> bytes:
    """Return one chunk."""
    return b"%x\r\n%s\r\n" % (len(piece), piece)


LAST = b"0\r\n\r\n"
