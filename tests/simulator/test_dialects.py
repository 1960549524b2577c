"""The dialects against the simulator: two independent readings of one contract must agree.

The ledger is the judge of the table that money hangs on: what a dialect calls accepted made a job
whose id left, what it calls refused made none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from batcher.core.errors import Lost, NotSent
from batcher.core.exchange import Request, Response
from batcher.core.model import LocalFile
from batcher.core.verdict import (
    Accepted,
    Done,
    Doubt,
    Halt,
    JobFailed,
    Later,
    Missing,
    Pending,
    Refused,
    SubmitVerdict,
    Unreadable,
)
from batcher.providers import PROVIDERS, provider_named
from batcher.providers.base import Callback
from batcher.simulator import FaultPlan, Ledger, SimulatedTransport, Simulation
from batcher.simulator.samples import sample

pytestmark = pytest.mark.virtual

HEADERS = {"X-API-Key": "test-key", "Authorization": "Bearer test-key"}
ROWS: dict[str, list[dict[str, object]]] = {
    "removit": [
        {"file_url": "https://example.com/a.jpg"},
        {"file_url": "https://example.com/b.jpg", "mode": "params", "params": "Test-Api"},
        {"file_url": "https://example.com/c.jpg", "mode": "params", "params": {"a": {"b": 1}}},
        {"file": "a.png", "delivery_mode": "final_url", "output_format": "webp"},
        {"file": "a.png", "mode": "params", "params": {"a": 1}},
    ],
    "deapi": [
        {"task": "background-removals", "file": "a.png", "model": "Ben2"},
        {"task": "upscales", "file": "a.png", "model": "RealESRGAN_x4"},
        {
            "task": "ocr",
            "file": "a.png",
            "model": "Nanonets_Ocr_S_F16",
            "format": "json",
            "return_result_in_response": True,
        },
        {
            "task": "edits",
            "file": "a.png",
            "model": "QwenImageEdit_Plus_NF4",
            "prompt": "red",
            "steps": 20,
            "seed": -1,
        },
        {
            "task": "edits",
            "file": ["a.png", "b.png"],
            "model": "Flux_2_Klein_4B_BF16",
            "prompt": "red",
            "steps": 4,
            "seed": 3,
            "width": 512,
            "height": 512,
            "loras": [{"name": "x", "weight": 0.5}],
        },
        {
            "task": "generations",
            "model": "Flux1schnell",
            "prompt": "a shoe",
            "width": 512,
            "height": 512,
            "steps": 4,
            "seed": 7,
        },
        {
            "task": "generations",
            "model": "gpt-image-2",
            "prompt": "a shoe",
            "width": 1024,
            "height": 1024,
            "steps": 1,
            "seed": 7,
        },
    ],
}


class Conversation:
    """One dialect that talks to one simulation."""

    def __init__(
        self,
        provider: str,
        faults: str,
        folder: Path,
        seed: int = 0,
        params: Mapping[str, object] | None = None,
    ) -> None:
        self.provider = provider_named(provider, params or {})
        self.simulation = Simulation(provider, FaultPlan.parse(faults), seed)
        self.carrier = SimulatedTransport(self.simulation, HEADERS)
        self.callback: Callback | None = None
        self.image = folder / "a.png"
        self.image.write_bytes(sample("png"))

    def files_of(self, row: Mapping[str, object]) -> tuple[LocalFile, ...]:
        """Return what a row uploads: its image, as often as it names one."""
        names = row.get("file", [])
        count = len(names) if isinstance(names, list) else 1
        return (LocalFile(str(self.image), self.image.stat().st_size, (64, 64)),) * count

    async def ask(self, request: Request) -> Response:
        """Send a request that is no submit."""
        return await self.carrier.send(request, timeout_s=60)

    async def submit(self, row: Mapping[str, object]) -> SubmitVerdict | Exception:
        """Submit a row and return the verdict, or what came in the place of an answer."""
        files = self.files_of(row)
        assert [p for p in self.provider.problems(row, files) if not p.warning] == []
        request = self.provider.submit(self.provider.merged(row), files, self.callback)
        try:
            return self.provider.read_submit(await self.carrier.send(request, timeout_s=60))
        except (Lost, NotSent) as exc:
            return exc

    @property
    def ledger(self) -> Ledger:
        """Return the judge."""
        return self.simulation.ledger


@pytest.mark.parametrize(
    ("provider", "row"), [(name, row) for name in PROVIDERS for row in ROWS[name]]
)
async def test_a_row_that_the_dialect_finds_good_is_accepted_and_done(
    provider: str, row: dict[str, object], tmp_path: Path
) -> None:
    """Every field arrives in the form that the contract asks for, and the result is found."""
    talk = Conversation(provider, "", tmp_path)
    verdict = await talk.submit(row)
    assert isinstance(verdict, Accepted), verdict
    assert list(talk.ledger.jobs) == [verdict.job_id]
    answer = await talk.carrier.send(talk.provider.status(verdict.job_id), timeout_s=60)
    done = talk.provider.read_status(answer)
    assert isinstance(done, Done)
    assert not done.result.is_empty
    for url in done.result.urls.values():
        assert (await talk.carrier.fetch(url)).status == 200


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "faults", ["", "hostile", "hostile,error_before=0.1,garbled=0.3", "credits=20", "key_limit=20"]
)
async def test_the_ledger_agrees_with_every_verdict(
    provider: str, faults: str, tmp_path: Path
) -> None:
    """Accepted: a job whose id left. Refused, halted, later, not sent: no job. Else: in doubt."""
    talk = Conversation(provider, faults, tmp_path)
    for _ in range(60):
        for row in ROWS[provider]:
            before = len(talk.ledger.jobs)
            verdict = await talk.submit(row)
            made = list(talk.ledger.jobs.values())[before:]
            match verdict:
                case Accepted(job_id=job_id):
                    assert [job.id for job in made if job.delivered] == [job_id]
                case Later(resubmission=True):
                    pass  # deAPI's own advice: a 500 may be repeated
                case Refused() | Halt() | Later() | NotSent():
                    assert made == []
                case _:
                    assert isinstance(verdict, Doubt | Lost)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_dialect_says_of_a_job_what_is_in_store_for_it(
    provider: str, tmp_path: Path
) -> None:
    """Through lag, drops, errors and strange words, the end that is told is the true one."""
    faults = "hostile,lag=0,missing_s=0,no_connect=0,drop_before=0,drop_after=0,hang=0,garbled=0"
    talk = Conversation(provider, faults, tmp_path)
    talk.simulation.plan = FaultPlan.parse(faults + ",429=0,503=0,500=0,duration=30,latency=0")
    row = ROWS[provider][0]
    for number in range(120):
        talk.image.write_bytes(sample("png") + str(number).encode())
        url = f"https://example.com/{number}.jpg"
        assert isinstance(
            await talk.submit(row | ({"file_url": url} if "file_url" in row else {})), Accepted
        )

    kinds = set()
    for job in talk.ledger.jobs.values():
        kinds.add(job.course.end.value)
        for _ in range(3):
            try:
                answer = await talk.carrier.send(talk.provider.status(job.id), timeout_s=60)
            except Lost:
                continue

            verdict = talk.provider.read_status(answer)
            assert isinstance(verdict, Pending | Missing | Later | Unreadable), verdict

    assert kinds == {"done", "rejected", "stuck", "forgotten"}
    talk.simulation.plan = FaultPlan.parse("rejected_503=0.5")
    await anyio.sleep(60)  # long enough for every job that ever ends
    for job in talk.ledger.jobs.values():
        for _ in range(4):
            answer = await talk.carrier.send(talk.provider.status(job.id), timeout_s=60)
            verdict = talk.provider.read_status(answer)

        expected = {"done": Done, "rejected": JobFailed, "stuck": Pending, "forgotten": Missing}
        assert isinstance(verdict, expected[job.course.end.value]), (job.course, verdict)
        if isinstance(verdict, JobFailed):
            refunds = {"done": "done", "already": "already_done", "unconfirmed": "unconfirmed"}
            told = refunds.get(job.course.refund)
            assert verdict.refund == (
                "done" if provider == "deapi" and told == "already_done" else told
            )
