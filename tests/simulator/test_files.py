"""Result files behind signed URLs."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit
from zlib import crc32

import orjson
import pytest

from batcher.simulator import Fate, Received, Reply
from batcher.simulator.samples import CONTENT_TYPES, sample
from tests.simulator.calls import T0, RemovitCalls, body_of

MAGIC = {
    "png": b"\x89PNG\r\n\x1a\n",
    "jpg": b"\xff\xd8\xff",
    "jpeg": b"\xff\xd8\xff",
    "webp": b"RIFF",
    "tiff": b"II*\0",
    "psd": b"8BPS",
}


def result_url(api: RemovitCalls, form: str = "png") -> str:
    """Let a job be done and return the URL of its result."""
    job_id = api.job(output_format=form)
    return str(body_of(api.status(job_id))["final_urls"]["clipping"])


def get(
    api: RemovitCalls, url: str, *, at: float = T0, headers: dict[str, str] | None = None
) -> Reply:
    """Download a result."""
    parts = urlsplit(url)
    received = Received("GET", parts.path, dict(parse_qsl(parts.query)), headers or {})
    return api.simulation.handle(received, at)


@pytest.mark.parametrize("form", MAGIC)
def test_a_result_is_a_file_of_the_format_that_was_ordered(form: str) -> None:
    """Content type and magic bytes are real, and the name ends in the format."""
    api = RemovitCalls.with_faults()
    url = result_url(api, form)
    reply = get(api, url)
    assert urlsplit(url).path.endswith(f"/clipping.{form}")
    assert (reply.status, reply.headers["content-type"]) == (200, CONTENT_TYPES[form])
    assert reply.body.startswith(MAGIC[form])


def is_whole(form: str, body: bytes) -> bool:
    """Whether a file has its end, and where its format says so its length."""
    match form:
        case "png":
            return body.endswith(sample("png")[-12:]) and _chunks(body) == _PNG_CHUNKS
        case "jpg" | "jpeg":
            return body.endswith(b"\xff\xd9")
        case "webp":
            return len(body) % 2 == 0 and len(body) == 8 + int.from_bytes(body[4:8], "little")
        case "psd":
            return len(body) - int.from_bytes(body[30:34], "big") == len(sample("psd"))
        case "json":
            return bool(orjson.loads(body))
        case _:
            return body.startswith(sample(form))


_PNG_CHUNKS = [b"IHDR", b"IDAT", b"IEND"]


def _chunks(body: bytes) -> list[bytes]:
    """Return the names of a PNG's chunks, but private ones; each has its checksum."""
    at, names = 8, []
    while at < len(body):
        length = int.from_bytes(body[at : at + 4], "big")
        chunk = body[at + 4 : at + 8 + length]
        assert int.from_bytes(body[at + 8 + length : at + 12 + length], "big") == crc32(chunk)
        names += [chunk[:4]] if chunk[1:2].isupper() else []
        at += 12 + length

    assert at == len(body)
    return names


@pytest.mark.parametrize("form", CONTENT_TYPES)
def test_files_can_be_made_larger_and_stay_whole(form: str) -> None:
    """Downloads can be measured with files of any size; their end is still their end."""
    small = len(sample(form))
    assert is_whole(form, sample(form))
    for size in (small + 1, small + 11, 5000, 70_000, 200_001):
        body = sample(form, size)
        assert is_whole(form, body)
        assert size <= len(body) <= max(size + 1, small + 12)


def test_the_plan_says_how_large_a_file_is() -> None:
    """Every format is filled up on its way out."""
    api = RemovitCalls.with_faults("file_bytes=5000")
    assert len(get(api, result_url(api)).body) == 5000


def test_half_a_file_in_good_order_lacks_its_end() -> None:
    """Nothing but its content tells."""
    for form in MAGIC:
        api = RemovitCalls.with_faults("file_short=1,file_bytes=5000")
        reply = get(api, result_url(api, form))
        assert (reply.status, reply.fate, len(reply.body)) == (200, Fate.ANSWER, 2500)
        assert form == "tiff" or not is_whole(form, reply.body)


def test_a_file_of_another_format_than_it_says() -> None:
    """Name and content type are right, the bytes are not."""
    for form, magic in MAGIC.items():
        api = RemovitCalls.with_faults("file_wrong=1")
        reply = get(api, result_url(api, form))
        assert reply.headers["content-type"] == CONTENT_TYPES[form]
        assert not reply.body.startswith(magic)


def test_a_download_may_be_sent_on_once() -> None:
    """302 to another URL of the same host, which serves the file."""
    api = RemovitCalls.with_faults("file_redirect=1,url_expires_s=60")
    reply = get(api, result_url(api))
    assert reply.status == 302
    assert get(api, reply.headers["location"]).body == sample("png")
    assert get(api, reply.headers["location"], at=T0 + 60).status == 403


def test_a_file_can_be_had_in_parts() -> None:
    """One range, if the file is still the same one; beyond its end there is nothing."""
    api = RemovitCalls.with_faults("file_bytes=1000")
    url = result_url(api)
    whole = get(api, url)
    etag = whole.headers["etag"]
    assert whole.headers["accept-ranges"] == "bytes"
    for asked, told in [
        ({"range": "bytes=600-"}, (206, 400, "bytes 600-999/1000")),
        ({"range": "bytes=0-9", "if-range": etag}, (206, 10, "bytes 0-9/1000")),
        ({"range": "bytes=999-5000"}, (206, 1, "bytes 999-999/1000")),
        ({"range": "bytes=600-", "if-range": '"another"'}, (200, 1000, None)),
        ({"range": "bytes=1-2,4-5"}, (200, 1000, None)),
    ]:
        reply = get(api, url, headers=asked)
        assert (reply.status, len(reply.body), reply.headers.get("content-range")) == told

    first, rest = (get(api, url, headers={"range": f"bytes={r}"}).body for r in ("0-599", "600-"))
    assert first + rest == whole.body
    reply = get(api, url, headers={"range": "bytes=1000-"})
    assert (reply.status, reply.headers["content-range"]) == (416, "bytes */1000")


def test_a_wrong_signature_is_refused_like_an_expired_one() -> None:
    """403 in a storage service's XML; a later read of the job signs anew."""
    api = RemovitCalls.with_faults("url_expires_s=60")
    job_id = api.job()
    url = str(body_of(api.status(job_id))["final_urls"]["clipping"])
    assert get(api, url, at=T0 + 59).status == 200
    assert get(api, url, at=T0 + 60).status == 403
    assert b"expired" in get(api, url, at=T0 + 60).body
    for forged in (url[:-1] + "x", url.replace("clipping", "compose"), url.partition("?")[0]):
        reply = get(api, forged)
        assert (reply.status, b"SignatureDoesNotMatch" in reply.body) == (403, True)

    fresh = str(body_of(api.status(job_id, after_s=100))["final_urls"]["clipping"])
    assert get(api, fresh, at=T0 + 100).status == 200


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_a_key_that_comes_along_is_refused_and_counted(header: str) -> None:
    """Keys have no business at the host of the files."""
    api = RemovitCalls.with_faults()
    assert get(api, result_url(api), headers={header: "test-key"}).status == 400
    assert api.simulation.ledger.counts()["leaked keys"] == 1


def test_downloads_fail_and_break_off_by_the_plan() -> None:
    """503, or half a file; each try for itself."""
    api = RemovitCalls.with_faults("file_error=0.5,file_cut=0.5")
    url = result_url(api)
    replies = [get(api, url) for _ in range(40)]
    assert {(reply.status, reply.fate) for reply in replies} == {
        (503, Fate.ANSWER),
        (200, Fate.CUT),
        (200, Fate.ANSWER),
    }
    (job,) = api.simulation.ledger.jobs.values()
    assert job.fetches == 40
