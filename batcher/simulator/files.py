"""The result files, behind signed URLs on a host of their own.

Rule: like a CDN, it knows nothing of API keys. A request that carries one is answered 400 and
counted as `leaked keys`: a client that sends its key there has a defect. S3, which signs such URLs,
answers 400 to a second way to authenticate as well.
"""

from __future__ import annotations

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

        fate = Fate.CUT if call.strikes("file_cut") else Fate.ANSWER
        tally[f"file {200 if fate is Fate.ANSWER else 'cut'}"] += 1
        form = name.rpartition(".")[2]
        body = sample(form, self._account.plan.file_bytes)
        return Reply(200, body, {"content-type": CONTENT_TYPES[form]}, fate=fate)

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


def _refused(status: int, code: str, message: str) -> Answer:
    return Answer(status, _xml(code, message), XML_HEADERS)


def _xml(code: str, message: str) -> bytes:
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode()
