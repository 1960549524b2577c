"""Answers whose first line or headers are wrong, or strange."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.proofs.malformed.kinds import END, MANY, OK, Make, Says, bound, sized

# --- The first line ----------------------------------------------------------------------------

LINES: Mapping[str, tuple[Says, bytes]] = {
    "plain": (Says.ALL, b"HTTP/1.1 200 OK"),
    "version 1.0": (Says.ALL, b"HTTP/1.0 200 OK"),
    **{
        f"first line {text[:40]!r}": (Says.PERHAPS, text)
        for text in (
            *(b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1  200 OK", b"HTTP/1.1\t200\tOK"),
            *(b" HTTP/1.1 200 OK", b"HTTP/1.1 200 OK ", b"HTTP/1.1 200 \xe2\x82\xac\xff"),
            *(b"HTTP/0.9 200 OK", b"HTTP/1.2 200 OK", b"HTTP/2 200", b"HTTP/2.0 200 OK"),
            *(b"HTTP/3 200", b"HTTP/11.1 200 OK", b"HTTP/1 200 OK", b"HTTP/1. 200 OK"),
            *(b"HTTP/.1 200 OK", b"HTTP/ 200 OK", b"HTTP 200 OK", b"http/1.1 200 OK"),
            *(b"HTTP /1.1 200 OK", b"HTTPS/1.1 200 OK", b"HTP/1.1 200 OK", b"XHTTP/1.1 200 OK"),
            *(b"HTTP/1,1 200 OK", b"HTTP/-1.1 200 OK", b"HTTP/1.1200 OK", b"HTTP/1.1 20"),
            *(b"HTTP/1.1 2", b"HTTP/1.1 2000 OK", b"HTTP/1.1 2OO OK", b"HTTP/1.1 -200 OK"),
            *(b"HTTP/1.1 +200 OK", b"HTTP/1.1 200.0 OK", b"HTTP/1.1 0xc8 OK", b"HTTP/1.1 OK 200"),
            *("HTTP/1.1 ٢٠٠ OK".encode(), b"HTTP/1.1 " + b"9" * 60, b"HTTP/1.1", b"HTTP/1.1 "),
            *(b"HTTP/1.1 4O2 No", b"HTTP/1.1 40", b"HTTP/1.1 4", b"HTTP/9 402 No", b"402 No"),
            *(b"HTTP/1.1 4020 No", b"HTTP/1.1 -402 No", b"HTTP/402 No", b"http/1.1 402 No"),
            *(b"HTTP/1.1 200 a\0b", b"HTTP/1.1 200 a\rb", b"HTTP/1.1\0200 OK", b"\0", b"\xff" * 9),
            *(b"ICY 200 OK", b"RTSP/1.0 200 OK", b"SIP/2.0 200 OK", b"220 mail ready", b"+OK"),
            *(b"SSH-2.0-OpenSSH_9.2", b"GET / HTTP/1.1", b"POST /x HTTP/1.1", b"\x16\x03\x01\x02"),
            *(b"\x15\x03\x01\x00\x02\x02\x28", b"PRI * HTTP/2.0", b"\0\0\x12\x04\0\0\0\0\0", b"{}"),
            *(b"<!doctype html>", b"A" * 70_000, b"HTTP/1.1 200 " + b"x" * 100_000),
        )
    },
}
ENDS_OF_LINES = {"LF only": b"\n", "CR only": b"\r", "LF CR": b"\n\r", "CR CR LF": b"\r\r\n"}
BEFORE = {
    "blank lines": b"\r\n\r\n", "a blank": b" ", "a byte order mark": b"\xef\xbb\xbf",
    "a NUL": b"\0", "a text": b"hello\r\n", "many blank lines": b"\r\n" * MANY,
}  # fmt: skip


def first_lines() -> Iterator[tuple[str, Says, Make]]:
    """Yield answers that are right but for what they begin with."""
    for name, (says, line) in LINES.items():
        yield name, says, bound(lambda good, line: sized(good, begin=line + END), line)

    for name, end in ENDS_OF_LINES.items():
        yield (
            f"lines that end in {name}",
            Says.PERHAPS,
            bound(
                lambda good, end: (
                    b"HTTP/1.1 200 OK%sContent-Length: %d%s%s" % (end, len(good), end, end) + good
                ),
                end,
            ),
        )

    for name, text in BEFORE.items():
        yield f"{name} first", Says.PERHAPS, bound(lambda good, text: text + sized(good), text)

    yield "the body alone", Says.NOTHING, lambda good: good
    yield "a version and the body", Says.NOTHING, lambda good: b"HTTP/1.1\r\n\r\n" + good
    yield "the first line and the body", Says.PERHAPS, lambda good: OK + good


# --- Headers -----------------------------------------------------------------------------------

HARMLESS = (
    *(b"Connection: close", b"Set-Cookie: a=b", b"Server: \xc3\xa9\xff", b"A: " + b"a" * 4_000),
    *(b"Content-Type: text/html", b"Content-Type: \xff;;=", b"Content-Type: a/b; charset=utf-16"),
    *(b"Content-Type: application/json; charset=" + b"x" * 500, b"Retry-After: 1e300"),
    *(b"Retry-After: -1", b"Retry-After: yesterday", b"Retry-After: 1\r\nRetry-After: 2"),
    *(b"RateLimit: \"a\";r=-1;t=x", b"X-RateLimit-Remaining: nan", b"X-RateLimit-Limit: 1e999"),
    *(b"X-RateLimit-Reset: 99999999999999999999", b"RateLimit-Policy: ;;;", b"Date: never"),
    *(b"Location: http://[", b"Location: file:///etc/passwd", b"ETag: \"", b"Trailer: X"),
    *(b"Keep-Alive: timeout=-1, max=x", b"Content-Range: bytes 5-1/0", b"Vary: *", b"Age: -1"),
    *(b"Content-Encoding: identity", b"Content-Encoding:", b"WWW-Authenticate: \x7e" * 1),
)  # fmt: skip
ODD = (
    *(b"no colon", b": nameless", b"A b: c", b"A : c", b"A: b\r\n folded", b" folded: first"),
    *(b"A: a\0b", b"A: a\rb", b"\xc3\xa9: c", b"(A): c", b"A: " + b"a" * 100_000, b"Host"),
    *(b"A" * 100_000 + b": c", b"\r\nA: b", b"Upgrade: websocket\r\nConnection: upgrade"),
    *(b"Connection: keep-alive, close, upgrade", b"Content-Encoding: x-unknown"),
    *(b"Content-Encoding: br", b"Content-Encoding: zstd", b"Content-Encoding: compress"),
    *(b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip", b"Transfer-Encoding: xchunked"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked, chunked", b"A: \x0b\x0c\x1b[2J"),
    *(b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding:\x0bchunked", b"A:" + b"a:" * 3_000),
)  # fmt: skip


def headers() -> Iterator[tuple[str, Says, Make]]:
    """Yield answers with one strange header beside a right length, or with too many."""
    for says, lines in ((Says.ALL, HARMLESS), (Says.PERHAPS, ODD)):
        for line in lines:
            yield (
                f"header {line[:50]!r} of {len(line)}",
                says,
                bound(lambda good, line: sized(good, line), line),
            )

    for count in (100, 127, 1_000, MANY):
        says = Says.ALL if count == 100 else Says.PERHAPS
        yield (
            f"{count} headers",
            says,
            bound(lambda good, count: sized(good, *[b"A: b"] * count), count),
        )

    yield "1 MB of headers", Says.PERHAPS, lambda good: sized(good, *[b"A: " + b"b" * 900] * 1_000)
