"""Answers whose HTTP is right and whose content is not: no JSON, or the wrong JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from tests.proofs.malformed.kinds import Make, Says, bound

DEEP = 100_000
PAGE = b"<!doctype html><html><head><title>Bad gateway</title></head><body>sorry</body></html>"

# Where a value should be. Each of them is put into the place of each field.
WRONG: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e300, 10**18, "", " ", "0", "null", "\0"),
    *("\r\nX: y", "../..", "%00", "done", "https://a.invalid/x", "<script>"),
    *("\u202e", "\x1b[2J", "x" * 513, "x" * 5_000, "é" * 40, "a/b?c#d", "..", [], [[]], ["x"], {}),
    *({"x": {}}, [None] * 50),
)  # fmt: skip

# Not JSON, or JSON that says nothing; {} stands for the right text, [] for its first half.
TEXTS: dict[str, tuple[Says, Make]] = {
    "nothing": (Says.NOTHING, lambda good: b""),
    "blanks": (Says.NOTHING, lambda good: b" \r\n\t "),
    "NULs": (Says.NOTHING, lambda good: bytes(100)),
    "half of it": (Says.NOTHING, lambda good: good[: len(good) // 2]),
    "all but its end": (Says.NOTHING, lambda good: good[:-1]),
    "its end": (Says.NOTHING, lambda good: good[1:]),
    "blanks around": (Says.ALL, lambda good: b"\r\n\t " + good + b" \n"),
    "blanks up to the limit": (Says.ALL, lambda good: good + b" " * (1_048_576 - len(good))),
    "blanks above the limit": (Says.NOTHING, lambda good: good + b" " * 1_048_576),
    "a byte order mark": (Says.ALL, lambda good: b"\xef\xbb\xbf" + good),
    "two byte order marks": (Says.NOTHING, lambda good: b"\xef\xbb\xbf" * 2 + good),
    "UTF-16": (Says.NOTHING, lambda good: good.decode().encode("utf-16")),
    "UTF-16 without a mark": (Says.NOTHING, lambda good: good.decode().encode("utf-16-be")),
    "UTF-32": (Says.NOTHING, lambda good: good.decode().encode("utf-32")),
    "EBCDIC": (Says.NOTHING, lambda good: good.decode().encode("cp500")),
    "twice": (Says.NOTHING, lambda good: good * 2),
    "lines": (Says.NOTHING, lambda good: good + b"\n" + good),
    "a list of it": (Says.NOTHING, lambda good: b"[" + good + b"]"),
    "a text of it": (Says.NOTHING, lambda good: json.dumps(good.decode()).encode()),
    "behind a guard": (Says.NOTHING, lambda good: b")]}',\n" + good),
    "a call of it": (Says.NOTHING, lambda good: b"callback(" + good + b");"),
    "an event": (Says.NOTHING, lambda good: b"data: " + good + b"\n\n"),
    "a comment": (Says.NOTHING, lambda good: b"/* */" + good),
    "a comma too many": (Says.NOTHING, lambda good: good[:-1] + b",}"),
    "single quotes": (Says.NOTHING, lambda good: good.replace(b'"', b"'")),
    "no quotes": (Says.NOTHING, lambda good: good.replace(b'"', b"")),
    "bytes that are no UTF-8": (Says.NOTHING, lambda good: good[:-1] + b',"a":"\xff"}'),
    "Latin-1": (Says.NOTHING, lambda good: good[:-1] + b',"a":"caf\xe9"}'),
    "an overlong slash": (Says.NOTHING, lambda good: good[:-1] + b',"a":"\xc0\xaf"}'),
    "half a surrogate": (Says.NOTHING, lambda good: good[:-1] + b',"a":"\\ud800"}'),
    "a bare control": (Says.NOTHING, lambda good: good[:-1] + b',"a":"\x01"}'),
    "an escaped NUL": (Says.ALL, lambda good: good[:-1] + b',"a":"\\u0000"}'),
    "NaN": (Says.NOTHING, lambda good: good[:-1] + b',"a":NaN}'),
    "Infinity": (Says.NOTHING, lambda good: good[:-1] + b',"a":-Infinity}'),
    "a number beyond doubles": (Says.PERHAPS, lambda good: good[:-1] + b',"a":1e999}'),
    "5,000 digits": (Says.PERHAPS, lambda good: good[:-1] + b',"a":' + b"1" * 5_000 + b"}"),
    "an octal": (Says.NOTHING, lambda good: good[:-1] + b',"a":017}'),
    "a deep list": (Says.NOTHING, lambda good: b"[" * DEEP),
    "a deep list that ends": (Says.NOTHING, lambda good: b"[" * DEEP + b"]" * DEEP),
    "a deep object": (Says.NOTHING, lambda good: b'{"a":' * DEEP),
    "a deep list beside": (
        Says.PERHAPS,
        lambda good: good[:-1] + b',"a":' + b"[" * DEEP + b"]" * DEEP + b"}",
    ),
    "10,000 fields": (
        Says.ALL,
        lambda good: good[:-1] + b"".join(b',"f%d":0' % n for n in range(10_000)) + b"}",
    ),
    "an empty key": (Says.ALL, lambda good: good[:-1] + b',"":0}'),
    "every field twice": (Says.PERHAPS, lambda good: good[:-1] + b"," + good[1:]),
    "every field null before": (
        Says.PERHAPS,
        lambda good: json.dumps(dict.fromkeys(json.loads(good)))[:-1].encode() + b"," + good[1:],
    ),
    "every field null behind": (
        Says.NOTHING,
        lambda good: good[:-1] + b"," + json.dumps(dict.fromkeys(json.loads(good))).encode()[1:],
    ),
    "keys in capitals": (Says.NOTHING, lambda good: _renamed(good, str.upper)),
    "keys with a blank": (Says.NOTHING, lambda good: _renamed(good, lambda key: f" {key}")),
    "keys that are escaped": (
        Says.ALL,
        lambda good: good.replace(b"_", b"\\u005f").replace(b"data", b"\\u0064ata"),
    ),
    "one level deeper": (Says.PERHAPS, lambda good: b'{"data":' + good + b"}"),
    "another level deeper": (Says.NOTHING, lambda good: b'{"result":{"data":' + good + b"}}"),
    "an error beside": (Says.ALL, lambda good: good[:-1] + b',"error":"no","errors":[]}'),
    "only an error": (Says.NOTHING, lambda good: b'{"error":"no"}'),
    "success, and no more": (Says.NOTHING, lambda good: b'{"success":true,"message":"ok"}'),
    **{
        f"the text {text!r}"[:60]: (Says.NOTHING, bound(lambda good, text: text, text))
        for text in (
            *(b"null", b"true", b"0", b'""', b"[]", b"{}", b"[{}]", b"OK", b"{", b"}", b'{"', b"-"),
            *(PAGE, b"<xml/>", b"<?xml version='1.0'?><Error/>", b"a=b&c=d", b"---\na: b\n"),
            *(
                b"\x82\xa1a\x01",
                b"\x1f\x8b\x08",
                b"%PDF-1.4",
                b"\x89PNG\r\n\x1a\n",
                b"HTTP/1.1 200",
            ),
        )
    },
}


def texts() -> Iterator[tuple[str, Says, Make]]:
    """Yield what an endpoint might say in the place of its JSON."""
    for name, (says, make) in TEXTS.items():
        yield f"body: {name}", says, make


def wrong_values(good: bytes) -> Iterator[tuple[str, Says, Make]]:
    """Yield, for each field of the right body and each wrong value, that body with it inside."""
    for n in range(len(list(_fields(json.loads(good))))):
        for number, value in enumerate(WRONG):
            yield (
                f"field {n}, wrong value {number}",
                Says.PERHAPS,
                bound(lambda good, n, value: _with(good, n, value), n, value),
            )

        yield f"without field {n}", Says.PERHAPS, bound(lambda good, n: _with(good, n, _with), n)


def _with(good: bytes, n: int, value: Any) -> bytes:
    """Return *good* with another value in its n-th field, or without it (the value is `_with`)."""
    document = deepcopy(json.loads(good))
    holder, key = list(_fields(document))[n]
    if value is _with:
        del holder[key]
    else:
        holder[key] = value

    return json.dumps(document, ensure_ascii=False).encode()


def _fields(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place of a document that holds a value, as (holder, key)."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(pairs):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _fields(inner)


def _renamed(good: bytes, rename: Any) -> bytes:
    document = json.loads(good, object_pairs_hook=lambda pairs: {rename(k): v for k, v in pairs})
    return json.dumps(document).encode()
