"""Seeds: what readers are fed before it is mutated, and what was once found by that.

Rule: seeds are real (recorded payloads, the sample manifests, whole pictures), so that mutations
reach what lies behind the first check. A finding stays here for ever, under the reader it broke.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from typing import Any, Final

from batcher.core.model import ErrorKind, Result, RowError
from tests.meta.source import ROOT
from tests.providers.conformance import recorded
from tests.support import pictures

SAMPLES = ROOT / "sample_manifests"
DEEP: Final = b"[" * 20_000

RECORD = (
    b'{"v":1,"id":"a","line":1,"outcome":"failed","provider":"removit","job_id":"7","result":null,'
    b'"error":null,"row":{"id":"a","file_url":"https://shop.example/a.jpg"},"base":"/m"}\n'
)
RUN_FILE = (
    b'version = 1\n[run]\nprovider = "removit"\nbase_url = "https://api.example"\n'
    b'manifest = "/m/rows.jsonl"\n[run.params]\nmode = "params"\n[run.params_json]\na = "[null]"\n'
    b'[settings]\nrate = "300/m"\nin_flight = 10\n'
)
CONFIG = (
    b'provider = "removit"\nrate = "5/m,100/d"\nin-flight = 300\nmax_cost = 1.5\n'
    b'finish-by = "06:00"\nwebhook-listen = "[::1]:8080"\n'
    b'set = { mode = "params", n = [1, 2] }\nsubmit-timeout = 30\n'
)
SUMMARY = (
    b'{"v":1,"state":"stopped","rows":3,"succeeded":1,"stopped":{"reason":"unauthorized",'
    b'"message":"no"},"cost":{"currency":"USD"},"wall_s":1.5,"updated":"2026-11-22T06:00:00Z"}'
)
FLAGS = (
    *(b"300/m", b"5/m,100/d", b"0.5/s", b"15m", b"1h30m", b"500ms", b"12.50", b"0.0035", b"5%"),
    *(b"100", b"06:00", b"2030-11-22T06:00", b"none", b"mode=params", b'a={"b":[1]}', b"a,b"),
    *(b"127.0.0.1:8080", b"[::1]:80", b"https://hooks.example/b", b"http://127.0.0.1:1/x"),
)
ADDRESSES = (
    *(b"https://files.example/a%20b.png?X-Amz-Signature=1", b"//other.example/x", b"../../etc"),
    *(b"http://[::1]:80/", b"https://a@b.example/", b"\x7f\0\0\1", bytes(15) + b"\1"),
)
NAMES = (
    *(
        b"sku-1\nclipping",
        b"../../etc/passwd\nresult",
        b"CON\nx",
        b".\n.",
        b"a\0b\nx",
        b"A\xcc\x8a\nx",
    ),
    *(b"C:\\x\nx", b"\xe2\x80\xaegpj.exe\nx", b"a" * 300 + b"\nx", b"-rf\n-rf", b"\xff\n\xff"),
)
HEADERS = (
    b"429\nretry-after: 60\nx-ratelimit-limit: 5\nx-ratelimit-reset: 9\n\n{}",
    b"429\nretry-after: Wed, 21 Oct 2026 07:28:00 GMT\nx-ratelimit-type: daily\n\n{}",
    b'200\nratelimit-policy: "a";q=5;w=60, "day";q=9;w=86400\nratelimit: "a";r=1;t=9\n\n{}',
    b"200\nratelimit-limit: 10, 10;w=1, 50;w=60\nratelimit-remaining: 9\nratelimit-reset: 1\n\n{}",
)

# What once broke a reader, by the reader's name.
FINDINGS: dict[str, tuple[bytes, ...]] = {
    "config": (
        b"rate = " + DEEP,
        b"max_duration = 1" + b"0" * 400,
    ),  # RecursionError, OverflowError
    "run_file": (b"a = " + DEEP, RUN_FILE.replace(b"[null]", DEEP)),  # RecursionError
    "summary": (b'{"x":' + DEEP, b'{"state":"\xff"}'),  # RecursionError, UnicodeDecodeError
    "decisions": (b'{"id":1,"x":' + DEEP,),  # RecursionError
    "flag": ("²".encode(), "5²%".encode()),  # a digit, but no number
    "fact": (
        b"{",
        b'[[1,"a"]]',
        b"[[1,99999999999]]",
        b'{"x":"job"}',
        b'{"1-1-1":"job"}',
    ),  # damage: not told as such
    "journal": (b"{", b"[]", b'{"kind":"odd"}', b'{"urls":1}'),  # damage: not told as such
}


@cache
def seeds_of(reader: str) -> tuple[bytes, ...]:
    """Return the seeds of a reader, what once broke it among them."""
    return (*_SEEDS[reader], *FINDINGS.get(reader, ()))


def _answers(*apis: str) -> tuple[bytes, ...]:
    return tuple(_as_text(record) for api, _, _, record in recorded("answers") if api in apis)


def _calls() -> tuple[bytes, ...]:
    return tuple(b"200\n\n" + record["text"].encode() for *_, record in recorded("calls"))


def _as_text(record: dict[str, Any]) -> bytes:
    headers = [f"{name}: {value}" for name, value in record.get("headers", {}).items()]
    body = record["text"] if "text" in record else json.dumps(record["body"])
    return "\n".join([str(record["status"]), *headers, "", body]).encode()


def _samples(suffix: str) -> tuple[bytes, ...]:
    """Return the sample manifests, cut: a fuzzer wants small seeds."""
    return tuple(b"".join(_lines(path, 4)) for path in sorted(SAMPLES.glob(f"*{suffix}")))


def _lines(path: Any, count: int) -> list[bytes]:
    return list(path.read_bytes().splitlines(keepends=True)[:count])


_TABLES = (*_samples(".csv"), b'id;file\r\n1;"[""a.png""]"\r\n', b'id\tfile\n"a\nb"\ta.png\n')
_LISTS = (b"https://shop.example/a.jpg\n\na.png\n", b"\xef\xbb\xbfa.png")
_ROWS = (*_samples(".jsonl"), RECORD, b'{"id":1.5,"file":["a.png"],"prompt":"x"}\n')
_PICTURES = (
    *(pictures.png(), pictures.jpeg(), pictures.jpeg(headers=1)[:400]),
    *(content[:4_096] for _, content in pictures.WHOLE.values()),
)
_SEEDS: dict[str, tuple[bytes, ...]] = {
    "removit": _answers("removit"),
    "deapi": _answers("deapi"),
    "limits": (*HEADERS, *_answers("deapi")[:20]),
    "call": _calls(),
    "jsonl": _ROWS,
    "table": _TABLES,
    "text": _LISTS,
    "stdin": (*_ROWS[:3], *_TABLES[:2], *map(gzip.compress, _ROWS[:2])),
    "record": (RECORD, RECORD + b'{"id":"b","job_id":'),
    "decisions": (b"a\t7\nb\n", b'{"id":"a","job_id":"7"}\n', RECORD),
    "picture": _PICTURES,
    "whole": _PICTURES,
    "content": (
        *_PICTURES,
        b'{"a":1}',
        b"<!doctype html><title>x",
        b"<Error><Code>AccessDenied</Code>",
    ),
    "name": NAMES,
    "address": ADDRESSES,
    "run_file": (RUN_FILE,),
    "config": (CONFIG,),
    "flag": FLAGS,
    "summary": (SUMMARY,),
    "holder": (b'{"host":"a","pid":1,"started":"2026-11-22T06:00:00Z"}\n',),
    "key": (b"77|canary-0f5b1c2d9e\n",),
    "fact": (b"[[1790000000.0,3]]", b'{"17-1":"job-7"}'),
    "journal": (
        json.dumps(RowError(ErrorKind.REJECTED, "no", 422).as_json()).encode(),
        Result(urls={"result": "https://files.example/a"}).kept(),
    ),
}
