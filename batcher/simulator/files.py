"""The result files, behind signed URLs on a host of their own.

Rule: like a CDN, it knows nothing of API keys. A request that carries one is answered 400 and
counted as `leaked keys`: a client that sends its key there has a defect. S3, which signs such URLs,
answers 400 to a second way to authenticate as well. Parts of a file can be asked for, as RFC 9110
says in section 14, one range at a time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from batcher.simulator.account import Account
from batcher.simulator.call import Call
from batcher.simulator.chance import Chance
from batcher.simulator.ledger import Job
from batcher.simulator.samples import CONTENT_TYPES, sample
from batcher.simulator.wire import XML_HEADERS, Answer, Fate, Received, Reply

FILES_PATH = "/files/"


class Files:
    """Signs the URLs of results and serves what they name."""

    def __init__(self, account: Account, chance: Chance, origin: str) -> None:
        self.origin = origin  # scheme, host and port that the URLs begin with
        self._account = account
        self._chance = chance

    def url(self, job: Job, name: str, now_s: float) -> str:
        """Return the URL of the result *name* (such as `clipping.webp`), freshly signed."""
        path = f"{FILES_PATH}{job.id}/{name}"
        life_s = self._account.plan.url_expires_s
        expires = str(int(now_s + life_s)) if life_s else "never"
        return f"{self.origin}{path}?expires={expires}&sig={self._sign(path, expires)}"

    def answer(self, received: Received, now_s: float) -> Reply:
        """Serve a file, or say in a storage service's words why not."""
        tally = self._account.ledger.tally
        refusal = self._refusal(received, now_s)
        if refusal is not None:
            tally[f"file {refusal.status}"] += 1
            return Reply(refusal.status, refusal.body, refusal.headers)

        _, _, job_id, name = received.path.split("/", 3)
        job = self._account.ledger.jobs[job_id]
        call = Call(self._account, self._chance, received, now_s, received.path, job.fetches)
        job.fetches += 1
        if call.strikes("file_error"):
            tally["file 503"] += 1
            return Reply(503, _xml("SlowDown", "Please reduce your request rate."), XML_HEADERS)

        if "hop" not in received.query and call.strikes("file_redirect"):
            tally["file 302"] += 1
            return Reply(302, b"", {"location": f"{self._url_of(received)}&hop=1"})

        answer = _in_part(received, self._content(call, name))
        fate = Fate.CUT if call.strikes("file_cut") else Fate.ANSWER
        tally[f"file {answer.status if fate is Fate.ANSWER else 'cut'}"] += 1
        return Reply(answer.status, answer.body, answer.headers, fate=fate)

    def _content(self, call: Call, name: str) -> Answer:
        """Return the whole file, or what a careless host takes for it."""
        form = name.rpartition(".")[2]
        true_form = _OTHER.get(form, "png") if call.strikes("file_wrong") else form
        body = sample(true_form, self._account.plan.file_bytes)
        if call.strikes("file_short"):
            body = body[: len(body) // 2]

        etag = f'"{self._chance.token("etag", f"{name} {len(body)}")[:16]}"'
        headers = {"content-type": CONTENT_TYPES[form], "etag": etag, "accept-ranges": "bytes"}
        return Answer(200, body, headers)

    def _url_of(self, received: Received) -> str:
        query = "&".join(f"{name}={value}" for name, value in received.query.items())
        return f"{self.origin}{received.path}?{query}"

    def _refusal(self, received: Received, now_s: float) -> Answer | None:
        if "authorization" in received.headers or "x-api-key" in received.headers:
            self._account.ledger.tally["leaked keys"] += 1
            return _refused(400, "InvalidArgument", "Only one auth mechanism allowed")

        if received.method != "GET":
            return _refused(405, "MethodNotAllowed", "The method is not allowed.")

        expires = received.query.get("expires", "")
        if received.query.get("sig") != self._sign(received.path, expires):
            return _refused(403, "SignatureDoesNotMatch", "The signature does not match.")

        if expires != "never" and now_s >= float(expires):
            return _refused(403, "AccessDenied", "Request has expired")

        if received.path.split("/")[2] not in self._account.ledger.jobs:
            return _refused(404, "NoSuchKey", "The specified key does not exist.")

        return None

    def _sign(self, path: str, expires: str) -> str:
        return self._chance.token("file", f"{path}?{expires}")


_OTHER: Mapping[str, str] = {"png": "jpg"}  # what a PNG is mistaken for; anything else for a PNG
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})?")


def _in_part(received: Received, whole: Answer) -> Answer:
    """Return the range that is asked for, if it is one and of this very file; else all of it."""
    asked = _RANGE.fullmatch(received.headers.get("range", ""))
    etag = whole.headers["etag"]
    if asked is None or received.headers.get("if-range", etag) != etag:
        return whole

    size = len(whole.body)
    first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
    if first > last:
        refused = _refused(416, "InvalidRange", "The requested range is not satisfiable")
        return Answer(416, refused.body, {**refused.headers, "content-range": f"bytes */{size}"})

    headers = {**whole.headers, "content-range": f"bytes {first}-{last}/{size}"}
    return Answer(206, whole.body[first : last + 1], headers)


def _refused(status: int, code: str, message: str) -> Answer:
    return Answer(status, _xml(code, message), XML_HEADERS)


def _xml(code: str, message: str) -> bytes:
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode()
