"""deAPI: image jobs on a decentralised GPU network, polled or called back.

Rule of this API: a job's fate is never an HTTP error. `GET /jobs/{id}` answers 200 whatever became
of the job, and nothing in that answer's object is sure to be there.
Sources: https://docs.deapi.ai (api/v2/errors, api/v2/utilities/jobs, api-keys, limits-and-quotas).
Version 1 is deprecated and the same API under other paths: `--set api=v1` chooses them, and it is
asked and read by the same code. How each answer is read: `docs/providers.md`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import orjson

from batcher.core.errors import UsageError
from batcher.core.exchange import Request, Response
from batcher.core.pacing.rates import WindowSeen
from batcher.core.verdict import Model, StatusVerdict, SubmitVerdict
from batcher.providers import answers, limit_headers, parameters, reading
from batcher.providers.base import Account, Callback, Callbacks, Facts, Files, Limits, Problem
from batcher.providers.deapi import answers as deapi_answers
from batcher.providers.deapi.account import DeApiAccount
from batcher.providers.deapi.calls import DeApiCalls
from batcher.providers.deapi.classes import class_of
from batcher.providers.deapi.form import form_of
from batcher.providers.deapi.limits import TIERS, limits_of
from batcher.providers.deapi.models import model_problems, naming_models
from batcher.providers.deapi.rows import SETTINGS, lacking, no_task, row_problems
from batcher.providers.deapi.tasks import PARAMETERS, TASKS, VERSIONS, Task

MINUTE_S = 60.0  # the length of the window that plain X-RateLimit-* headers speak of
TEXTS = {"text": "txt", "json": "json"}  # an OCR's `format` -> the ending of its file


class DeApi:
    """The dialect of deAPI."""

    facts: ClassVar[Facts] = Facts(
        name="deapi",
        title="deAPI",
        base_url="https://api.deapi.ai",
        key_env="DEAPI_API_KEY",
        auth_header="Authorization",
        auth_scheme="Bearer ",
        docs_url="https://docs.deapi.ai",
        parameters={
            "file": "an image, relative to the manifest (jpg, jpeg, png, gif, bmp, webp; 10 MB; "
            "64 to 5000 pixels a side); of edits also a list of them",
            "task": f"the API's own path word: {', '.join(TASKS)}",
            "tier": "--set only, never sent: basic (unless given) or premium, for the limits",
            "api": "--set only, never sent: v2 (unless given) or v1, the deprecated paths",
            **{parameter.name: parameter.about for parameter in PARAMETERS},
        },
        required_settings={
            "task": "in every row, or with --set for all; only --set gives a task its own pace, "
            "rows of their own tasks all go at the slowest task's"
        },
        first_look_s=4.0,
        look_cap_s=30.0,
        cautious_rate="5/m",
        no_idempotency="no idempotency key and no list of jobs: a submit without an answer may be "
        "running and charged under an id that nobody knows, so its row is held in doubt",
        tasks={task.name: task.about for task in TASKS.values()},
    )

    idempotency: ClassVar[None] = None
    listing: ClassVar[None] = None

    def __init__(self, params: Mapping[str, object]) -> None:
        self._run = parameters.run_values(PARAMETERS, SETTINGS, params)
        self._tier = _one_of("tier", self._run.get("tier", "basic"), TIERS)
        self._version = VERSIONS[_one_of("api", self._run.get("api", "v2"), tuple(VERSIONS))]
        self._models: Mapping[str, Model] = {}
        if "task" in params and self._task({}) is None:
            raise UsageError(
                f"--set task={params['task']}: no such task; allowed are: {', '.join(TASKS)}"
            )

        for name in self._version.lacks & params.keys():
            raise UsageError(f"--set {name}: {lacking(self._version)}")

    @property
    def account(self) -> Account | None:
        """Questions about balance, prices and models."""
        return DeApiAccount(self._version, self.merged)

    @property
    def callbacks(self) -> Callbacks | None:
        """Calls of version 2. Version 1 takes no secret, and calls without one prove nothing."""
        return DeApiCalls() if self._version.signs else None

    def limits(self) -> Limits:
        """Return what the tier may do with the run's task; status reads are limited too."""
        task = self._task({})
        return limits_of(self._tier, None if task is None else task.name, self._run.get("model"))

    def _task(self, values: Mapping[str, object]) -> Task | None:
        """Return the task of a row, by its own word or the run's; None = none or unknown."""
        return TASKS.get(str(values.get("task") or self._run.get("task")))

    def merged(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return the run's parameters overlaid by the row's: its task's own, and `task` itself."""
        task = self._task(values)
        if task is None:
            return {}

        known, lacks = task.parameters, self._version.lacks
        if lacks:
            known = tuple(each for each in known if each.name not in lacks)

        return {"task": task.name, **parameters.chosen(known, self._run, values)}

    def job_class(self, values: Mapping[str, object]) -> str:
        """Return task and model, and of generations the work: pixels times steps, in powers of 2.

        The price formula takes just these (docs.deapi.ai, pricing), and prices follow GPU time.
        """
        return class_of(self.merged(values))

    def typed(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return CSV cells as the parameters' types."""
        return parameters.typed(PARAMETERS, values)

    def informed(self, models: Sequence[Model]) -> Self:
        """Return the same dialect, whose checks also know the models' limits; none: no more."""
        other = copy.copy(self)
        other._models = {model.slug: model for model in models}
        return other

    def problems(self, values: Mapping[str, object], files: Files) -> list[Problem]:
        """Return everything that is wrong with a row, before anything is sent.

        What only the model knows (sizes, steps) is checked once `informed`; until then it is left
        to the API, whose 422 costs nothing.
        """
        task = self._task(values)
        if task is None:
            return [no_task(values.get("task"))]

        sent = self.merged(values)
        found = list(row_problems(task, self._version, values, sent, files))
        if found:
            found = list(naming_models(found, self._models, task, sent))

        return found + list(model_problems(self._models, task, sent, files))

    def submit(
        self, values: Mapping[str, object], files: Files, callback: Callback | None = None
    ) -> Request:
        """Return the submit of a row: multipart with its images, or JSON where none goes in.

        The specification bounds a callback: https, at most 2,048 characters, and a secret of 32 to
        255 of them, which is never sent without the URL.
        """
        sent = self.merged(values)
        task = TASKS[str(sent.pop("task"))]
        if callback is not None:
            sent |= {"webhook_url": callback.url, "webhook_secret": callback.secret.reveal()}

        path, secrets = task.path(self._version), () if callback is None else callback.secrets
        if task.upload is None or not files:
            return Request("POST", path, json=orjson.dumps(sent), secrets=secrets)

        parts = task.upload.parts(files)
        return Request("POST", path, form=form_of(sent), files=parts, secrets=secrets)

    def read_submit(self, response: Response) -> SubmitVerdict:
        """Say what an answer to a submit means. Never raises.

        A 500 with the API's own JSON body is `Later(resubmission=True)`: its docs tell clients to
        retry it. Who distrusts that (`--on-500 hold`) turns this verdict into a doubt.
        """
        body = reading.json_object(response.body)
        job_id = reading.job_id_of(reading.as_object(body.get("data")).get("request_id"))
        if made := answers.accepted(response, job_id):
            return made

        said = deapi_answers.said(body)
        refusal = None if job_id is not None else deapi_answers.refusal(response, body, said)
        return refusal or answers.submit_verdict(response, said, job_id)

    def expected(self, values: Mapping[str, object], variant: str) -> str | None:
        """Return the format of a result: images are PNG, and their alternates are named for theirs.

        A text is what `format` asks for; without one the docs name no default.
        """
        if variant in ("jpg", "webp"):
            return variant

        sent = self.merged(values)
        return TEXTS.get(str(sent.get("format"))) if sent.get("task") == "ocr" else "png"

    def windows(self, response: Response) -> tuple[WindowSeen, ...]:
        """Return what the answer's headers tell of its limit."""
        return limit_headers.windows(response, unnamed_s=MINUTE_S)

    def status(self, job_id: str) -> Request:
        """Return the request that reads a job."""
        return Request("GET", self._version.job + reading.encoded(job_id))

    def read_status(self, response: Response) -> StatusVerdict:
        """Say what an answer to a status read means. Never raises."""
        return deapi_answers.read_status(response, reading.json_object(response.body))


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> str:
    """Return a setting of the run if it is one of the allowed values; raise `UsageError` if not."""
    if value not in allowed:
        raise UsageError(f"--set {name}={value}: allowed are: {', '.join(allowed)}")

    return str(value)
