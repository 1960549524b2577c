"""Result files behind signed URLs."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

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


def test_files_can_be_made_larger() -> None:
    """Downloads can be measured with files of any size."""
    api = RemovitCalls.with_faults("file_bytes=5000")
    assert len(get(api, result_url(api)).body) == 5000
    assert len(sample("png")) < 5000


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
