"""deAPI, version 2: image jobs on a decentralised GPU network, polled.

Rule of this API: a job's fate is never an HTTP error. `GET /jobs/{id}` answers 200 whatever became
of the job, and nothing in that answer's object is sure to be there.
Sources: https://docs.deapi.ai (api/v2/errors, api/v2/utilities/jobs, api-keys, limits-and-quotas),
deapi-ai/deapi-python-sdk for how forms are encoded. Version 1 is left out: it is deprecated and
shares keys, limits and jobs with version 2. How each answer is read: `docs/providers.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import orjson

from batcher.core.errors import UsageError
from batcher.core.exchange import Request, Response
from batcher.core.rates import WindowSeen
from batcher.core.verdict import Model, StatusVerdict, SubmitVerdict
from batcher.providers import answers, deapi_answers, parameters, reading
from batcher.providers.base import Account, Callback, Callbacks, Facts, Files, Limits, Problem
from batcher.providers.deapi_tasks import PARAMETERS, TASKS, TIERS, Task, limits_of

COLUMNS = (*parameters.OWN_COLUMNS, "task", *(parameter.name for parameter in PARAMETERS))
_TASK_RULE = f"set it in the row or with --set task=…; known are: {', '.join(TASKS)}"


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
            "file": "an image, relative to the manifest (jpg, jpeg, png, gif, bmp, webp; 10 MB)",
            "task": f"the API's own path word: {', '.join(TASKS)}",
            "tier": "--set only, never sent: basic (unless given) or premium, for the limits",
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
    )

    account: Account | None = None
    callbacks: Callbacks | None = None

    def __init__(self, params: Mapping[str, object]) -> None:
        self._run = parameters.run_values(PARAMETERS, ("task", "tier"), params)
        self._tier = self._run.get("tier", "basic")
        if self._tier not in TIERS:
            raise UsageError(f"--set tier={self._tier}: allowed are: {', '.join(TIERS)}")

        if "task" in params and self._task({}) is None:
            raise UsageError(
                f"--set task={params['task']}: no such task; known are: {', '.join(TASKS)}"
            )

    def limits(self) -> Limits:
        """Return what the tier may do with the run's task; status reads are limited too."""
        return limits_of(str(self._tier), self._task({}), self._run.get("model"))

    def _task(self, values: Mapping[str, object]) -> Task | None:
        """Return the task of a row, by its own word or the run's; None = none or unknown."""
        return TASKS.get(str(values.get("task") or self._run.get("task")))

    def merged(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return the run's parameters overlaid by the row's: its task's own, and `task` itself."""
        task = self._task(values)
        if task is None:
            return {}

        return {"task": task.name} | parameters.chosen(task.parameters, self._run, values)

    def typed(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return CSV cells as the parameters' types."""
        return parameters.typed(PARAMETERS, values)

    def informed(self, models: Sequence[Model]) -> Self:
        """Return the same dialect, whose checks also know the models' limits."""
        return self

    def problems(self, values: Mapping[str, object], files: Files) -> list[Problem]:
        """Return everything that is wrong with a row, before anything is sent.

        What only the model knows (sizes, steps) is left to the API, whose 422 costs nothing.
        """
        task = self._task(values)
        if task is None:
            word = values.get("task")
            prefix = f"is {reading.raw_of(word)}; " if word else "is missing; "
            return [Problem("task", prefix + _TASK_RULE)]

        found = list(_file_problems(task, values, files))
        found += parameters.faults(task.parameters, self.merged(values))
        return found + parameters.near_misses(COLUMNS, values)

    def submit(
        self, values: Mapping[str, object], files: Files, callback: Callback | None = None
    ) -> Request:
        """Return the submit of a row: multipart with its image, or JSON where none goes in."""
        sent = self.merged(values)
        task = TASKS[str(sent.pop("task"))]
        if task.upload is None or not files:
            return Request("POST", task.path, json=orjson.dumps(sent))

        return Request("POST", task.path, form=tuple(_form(sent)), files=task.upload.parts(files))

    def read_submit(self, response: Response) -> SubmitVerdict:
        """Say what an answer to a submit means. Never raises.

        A 500 with the API's own JSON body is `Later(resubmission=True)`: its docs tell clients to
        retry it. Who distrusts that (`--on-500 hold`) turns this verdict into a doubt.
        """
        body = reading.json_object(response.body)
        job_id = reading.job_id_of(reading.as_object(body.get("data")).get("request_id"))
        said = deapi_answers.said(body)
        refusal = None if job_id is not None else deapi_answers.refusal(response, body, said)
        return refusal or answers.submit_verdict(response, said, job_id)

    def expected(self, values: Mapping[str, object], variant: str) -> str | None:
        """Return the format of a result: images are PNG, and their alternates are named for theirs.

        What a text comes in is told by its own URL.
        """
        if variant in ("jpg", "webp"):
            return variant

        return None if self.merged(values).get("task") == "ocr" else "png"

    def windows(self, response: Response) -> tuple[WindowSeen, ...]:
        """Return what the answer's headers tell of its limit."""
        return ()

    def status(self, job_id: str) -> Request:
        """Return the request that reads a job."""
        return Request("GET", f"/api/v2/jobs/{reading.encoded(job_id)}")

    def read_status(self, response: Response) -> StatusVerdict:
        """Say what an answer to a status read means. Never raises."""
        return deapi_answers.read_status(response, reading.json_object(response.body))


def _file_problems(task: Task, values: Mapping[str, object], files: Files) -> Iterator[Problem]:
    """Yield what is wrong with a row's file: absent, of no use, or not one that is taken."""
    if task.upload is None:
        if files:
            yield Problem("file", f"{task.name} takes none; it is not sent", warning=True)
    elif files:
        yield from task.upload.problems(files)
    elif values.get("file_url"):
        yield Problem("file", f"is missing: {task.name} takes a local image and no file_url")
    else:
        yield Problem("file", f"is missing: {task.name} takes an image")


def _form(sent: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the fields of a form; a list of objects is spelt out as PHP forms want it."""
    plain = {name: value for name, value in sent.items() if name != "loras"}
    yield from parameters.form_fields(plain)
    for n, lora in enumerate(sent.get("loras", ())):
        yield from parameters.form_fields(
            {f"loras[{n}][{key}]": lora[key] for key in ("name", "weight")}
        )
