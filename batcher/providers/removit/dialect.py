"""Removit: background removal and product compositions, two endpoints, polling only.

Rule of this API: the body comes before the status code. A job that failed for good says
`"status": "rejected"` under any code, and such a body even carries `"code": 503`.
Sources: https://removit.eu/en/docs (quickstart, authentication, endpoints/upload, endpoints/status,
errors). How each answer is read, and where those pages are silent: `docs/providers.md`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import orjson

from batcher.core.exchange import Request, Response
from batcher.core.model import ErrorKind, Refund, Result
from batcher.core.pacing.rates import WindowSeen
from batcher.core.verdict import Done, JobFailed, Model, Pending, StatusVerdict, SubmitVerdict
from batcher.providers import answers, limit_headers, parameters, reading, waiting
from batcher.providers.answers import Said
from batcher.providers.base import Callback, Facts, Files, Limits, Problem
from batcher.providers.removit.rows import PARAMETERS, UPLOAD, row_problems

REJECTED = "rejected"  # the word for the terminal failure

_CODE = re.compile(r"[a-z][a-z0-9_]*")  # `error` is a word like this, or else a phrase


class Removit:
    """The dialect of Removit."""

    facts: ClassVar[Facts] = Facts(
        name="removit",
        title="Removit",
        base_url="https://api.removit.eu",
        key_env="REMOVIT_API_KEY",
        auth_header="X-API-Key",
        auth_scheme="",
        docs_url="https://removit.eu/en/docs/quickstart",
        parameters={
            "file": "an image, relative to the manifest; instead of file_url",
            "file_url": "an http or https address that is publicly reachable; instead of file",
            **{parameter.name: parameter.about for parameter in PARAMETERS},
        },
        required_settings={},
        first_look_s=2.0,
        look_cap_s=15.0,
        cautious_rate="5/s",
        no_idempotency="no idempotency key and no list of jobs: an upload without an answer may "
        "have made a paid job that nobody can find again, so its row is held in doubt",
    )

    account: ClassVar[None] = None
    callbacks: ClassVar[None] = None
    idempotency: ClassVar[None] = None
    listing: ClassVar[None] = None

    def __init__(self, params: Mapping[str, object]) -> None:
        self._run = parameters.run_values(PARAMETERS, (), params)

    def limits(self) -> Limits:
        """Return that nothing is published: no page of the docs speaks of limits."""
        return Limits()

    def merged(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return the run's parameters overlaid by the row's, with its `file_url` if it has one."""
        source = values.get("file_url")
        own = {} if source in (None, "") else {"file_url": source}
        return own | parameters.chosen(PARAMETERS, self._run, values)

    def job_class(self, values: Mapping[str, object]) -> str:
        """Return what is made of the image; its size is not in a row that has a URL."""
        sent = self.merged(values)
        return f"{sent.get('mode') or 'clipping'} {sent.get('output_format') or 'png'}"

    def typed(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return CSV cells as the parameters' types: `params` may be an object."""
        return parameters.typed(PARAMETERS, values)

    def informed(self, models: Sequence[Model]) -> Self:
        """Return this dialect: the API has no models."""
        return self

    def problems(self, values: Mapping[str, object], files: Files) -> list[Problem]:
        """Return everything that is wrong with a row, before anything is sent."""
        return row_problems(values, self.merged(values), files)

    def submit(
        self, values: Mapping[str, object], files: Files, callback: Callback | None = None
    ) -> Request:
        """Return the upload: JSON with a `file_url`, multipart with a local file."""
        sent = self.merged(values)
        if sent.get("mode") != "params":
            sent.pop("params", None)  # whether the API ignores or refuses it there is not known

        if not files:
            return Request("POST", "/api/v1/upload", json=orjson.dumps(sent))

        sent.pop("file_url", None)
        form = parameters.form_fields(sent)
        return Request("POST", "/api/v1/upload", form=form, files=UPLOAD.parts(files))

    def read_submit(self, response: Response) -> SubmitVerdict:
        """Say what an answer to an upload means. Never raises."""
        body = reading.json_object(response.body)
        job_id = reading.job_id_of(body.get("job_id"))
        if made := answers.accepted(response, job_id):
            return made

        said = _said(body)
        status, state = _words(body)
        if (status or state) == REJECTED and job_id is None:
            # It speaks of a refund, so of a charge, so of a job: this is no plain 503.
            return answers.doubt(response, said, "the upload was answered with a rejected job")

        return answers.submit_verdict(response, said, job_id)

    def expected(self, values: Mapping[str, object], variant: str) -> str | None:
        """Return the output format that the row asks for, of every variant: png unless it says."""
        asked = str(self.merged(values).get("output_format", "png"))
        return "jpg" if asked == "jpeg" else asked

    def windows(self, response: Response) -> tuple[WindowSeen, ...]:
        """Return what standard headers tell, if they come: no page of the docs speaks of any."""
        return limit_headers.windows(response)

    def status(self, job_id: str) -> Request:
        """Return the request that reads a job."""
        return Request("GET", f"/api/v1/status?job_id={reading.encoded(job_id)}")

    def read_status(self, response: Response) -> StatusVerdict:
        """Say what an answer to a status read means: the body first, then the code. Never raises.

        Success is the docs' own rule, to wait until `state` is done. Each of the two words stands
        in for the other where that is missing, as `state` is in the rejected body as printed.
        """
        body = reading.json_object(response.body)
        status, state = _words(body)
        if (status or state) == REJECTED:
            return _rejected(response, body)

        if 200 <= response.status < 300:
            return _progress(response, body, status, state)

        return answers.status_verdict(response, _said(body))


def _words(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the two words that say where a job stands, `status` and `state`; empty = missing."""
    return reading.word_of(body.get("status")), reading.word_of(body.get("state"))


def _rejected(response: Response, body: Mapping[str, Any]) -> JobFailed:
    """Read the terminal failure. Whether trying again may work is not said, so it is not tried."""
    said = _said(body)
    message = "" if said.text else "the job was rejected, no reason given"
    error = answers.row_error(ErrorKind.REJECTED, response, said, message)
    raw = reading.raw_of(body.get("refund"))
    return JobFailed(replace(error, retriable=False), _refund(raw), raw)


def _refund(word: str | None) -> Refund | None:
    """Return what a refund word means: the docs print only `done` and describe two more."""
    if word is None:
        return None

    if word.lower() == "done":
        return Refund.DONE

    return Refund.ALREADY_DONE if "already" in word.lower() else Refund.UNCONFIRMED


def _progress(
    response: Response, body: Mapping[str, Any], status: str, state: str
) -> StatusVerdict:
    """Read a 2xx answer of a job that did not fail."""
    if (state or status) == "done":
        return Done(_result(body))

    if not status and not state:
        # A 202 is "not visible yet", its body undocumented: pending. Another 2xx is no news.
        return answers.status_verdict(response, _said(body))

    word = state if status in ("", "done") else status
    known = word == "queued" or word.startswith("pending")
    progress = reading.number_of(body.get("progress"))
    return Pending(word, progress, not known, waiting.retry_after_s(response))


def _result(body: Mapping[str, Any]) -> Result:
    """Read what a job that is done hands out. Which key holds URLs is up to the delivery mode."""
    named = reading.as_object(body.get("final_urls"))
    urls = {name: url for name, value in named.items() if (url := reading.url_of(value))}
    final = reading.url_of(body.get("final_url"))
    if final is not None and final not in urls.values():
        urls["final"] = final

    ignored = body.get("ignored_variations")
    names = [reading.text_of(name) for name in ignored] if isinstance(ignored, list) else []
    return Result(
        urls=urls,
        warnings=reading.fields_of(body.get("warnings")) or {},
        ignored=tuple(name for name in names if name),
    )


def _said(body: Mapping[str, Any]) -> Said:
    """Read an error body: `error` is a machine word, but a phrase in the rejected body."""
    error = reading.text_of(body.get("error"))
    message = reading.text_of(body.get("message"))
    code = reading.text_of(body.get("code"), reading.WORD_CHARS_MAX)
    if _CODE.fullmatch(error):
        code = code or error[: reading.WORD_CHARS_MAX]
    else:
        message = message or error

    return Said(message, code or None, reading.fields_of(body.get("details")))
