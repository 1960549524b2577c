"""deAPI's dialect against its simulator, beyond jobs: versions, money, models, webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from batcher.core.exchange import Response
from batcher.core.money import nanos
from batcher.core.secret import Secret
from batcher.core.verdict import (
    Accepted,
    BadCall,
    Balance,
    CallVerdict,
    Done,
    Halt,
    JobEvent,
    JobFailed,
    Later,
    Model,
    ModelsPage,
    Price,
    Refused,
    Unreadable,
)
from batcher.providers.base import Account, Callback
from batcher.simulator import FaultPlan, deliver
from tests.simulator.test_dialects import ROWS, Conversation

pytestmark = pytest.mark.virtual

SECRET = Secret("0123456789" * 4, "a test")
HOOK = Callback("https://hooks.example/in/7?a=b", SECRET)


def talk_with(
    folder: Path, faults: str = "", params: Mapping[str, object] | None = None
) -> tuple[Conversation, Account]:
    """Start a conversation with deAPI, and its questions."""
    talk = Conversation("deapi", faults, folder, params=params)
    account = talk.provider.account
    assert account is not None
    return talk, account


async def price_of(talk: Conversation, account: Account, row: Mapping[str, object]) -> Price:
    """Ask for the price of a row."""
    request = account.quote(row, talk.files_of(row)).request
    verdict = account.read_quote(await talk.ask(request))
    assert isinstance(verdict, Price), verdict
    return verdict


async def catalogue(talk: Conversation, account: Account) -> list[Model]:
    """Read every page of the models."""
    found: list[Model] = []
    page: int | None = 1
    while page is not None:
        verdict = account.read_models(await talk.ask(account.models(page)))
        assert isinstance(verdict, ModelsPage), verdict
        found += verdict.models
        page = verdict.next_page

    return found


# --- Versions and money ---------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS["deapi"])
async def test_the_first_version_does_the_same(row: dict[str, object], tmp_path: Path) -> None:
    """`--set api=v1`: submit, status and price by the old paths, nothing sent that it lacks."""
    talk, account = talk_with(tmp_path, params={"api": "v1"})
    verdict = await talk.submit(row)
    assert isinstance(verdict, Accepted), verdict
    answer = await talk.ask(talk.provider.status(verdict.job_id))
    assert isinstance(talk.provider.read_status(answer), Done)
    assert (await price_of(talk, account, row)).amount > 0
    assert "unknown fields" not in talk.ledger.tally


@pytest.mark.parametrize("row", ROWS["deapi"])
async def test_a_quote_is_what_the_ledger_charges(row: dict[str, object], tmp_path: Path) -> None:
    """To the nano for native models; a partner's is an estimate, and the job tells the rest."""
    talk, account = talk_with(tmp_path)
    price = await price_of(talk, account, row)
    verdict = await talk.submit(row)
    assert isinstance(verdict, Accepted)
    done = talk.provider.read_status(await talk.ask(talk.provider.status(verdict.job_id)))
    charged = talk.ledger.charged_nanos
    assert isinstance(done, Done)
    assert price.is_estimate is (row["model"] == "gpt-image-2")
    if price.is_estimate:
        assert done.result.cost is not None
        assert nanos(done.result.cost) == charged != nanos(price.amount)
    else:
        assert nanos(price.amount) == charged


@pytest.mark.parametrize("faults", ["", "balance_at=top", "era=e4", "era=e2"])
async def test_the_balance_is_what_the_ledger_leaves(faults: str, tmp_path: Path) -> None:
    """Wherever it stands in the answer."""
    talk, account = talk_with(tmp_path, f"balance_usd=5,{faults}")
    await talk.submit(ROWS["deapi"][0])
    verdict = account.read_balance(await talk.ask(account.balance()))
    assert verdict == Balance(talk.simulation.balance_usd)
    assert talk.simulation.balance_usd < 5


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        ("role=api", Unreadable),
        ("question_error=1", Unreadable),
        ("question_garbled=1", Unreadable),
        ("question_throttle=1", Later),
        ("key_dead_from=1", Unreadable),
    ],
)
async def test_no_answer_to_a_question_is_never_a_bad_row(
    faults: str, kind: type[Any], tmp_path: Path
) -> None:
    """A key without the right, an error, half an answer: nothing is known, nothing is refused."""
    talk, account = talk_with(tmp_path, faults)
    row = ROWS["deapi"][0]
    assert isinstance(account.read_balance(await talk.ask(account.balance())), kind)
    if faults != "role=api":
        price = await talk.ask(account.quote(row, talk.files_of(row)).request)
        assert isinstance(account.read_quote(price), kind)
        assert isinstance(account.read_models(await talk.ask(account.models(1))), kind)


@pytest.mark.parametrize("era", ["e2", "e4", "e5"])
@pytest.mark.parametrize(
    "faults", ["balance_usd=0.48", "unauthorized_from=1", "forbidden_from=1", "key_limit=1"]
)
async def test_what_stops_every_row_halts_in_every_era(
    faults: str, era: str, tmp_path: Path
) -> None:
    """No money, a dead key, a suspended account: no job, and the run pauses."""
    talk, _ = talk_with(tmp_path, f"{faults},era={era}")
    if faults == "key_limit=1":
        await talk.submit(ROWS["deapi"][1])
        if era != "e5":
            return  # keys had no limits then

    before = len(talk.ledger.jobs)
    verdict = await talk.submit(ROWS["deapi"][0])
    assert isinstance(verdict, Halt), verdict
    assert len(talk.ledger.jobs) == before


async def test_a_price_question_for_an_unknown_model_is_refused(tmp_path: Path) -> None:
    """The row would be refused too."""
    talk, account = talk_with(tmp_path)
    row = ROWS["deapi"][0] | {"model": "RMBG-1.4"}
    answer = await talk.ask(account.quote(row, talk.files_of(row)).request)
    assert isinstance(account.read_quote(answer), Refused)


# --- Models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("faults", ["models_more=120", "models_more=120,era=e2"])
async def test_every_model_is_read_once_whatever_its_form(faults: str, tmp_path: Path) -> None:
    """Over all pages; tasks as lists or under keys, `info` whole or not."""
    talk, account = talk_with(tmp_path, faults)
    models = await catalogue(talk, account)
    by_slug = {model.slug: model for model in models}
    assert len(models) == len(by_slug) == 131
    assert by_slug["QwenImageEdit_Plus_NF4"].features["supports_guidance"] is True
    assert by_slug["gpt-image-2"].tasks == {"generations", "edits"}
    assert by_slug["Flux_2_Klein_4B_BF16"].limits["max_input_images"] == 3


@pytest.mark.parametrize(
    "change",
    [
        {"width": 100},
        {"width": 520},
        {"steps": 11},
        {"guidance": 7.5},
        {"model": "Ben2"},
        {"model": "nobody"},
    ],
)
async def test_what_the_models_forbid_is_found_before_it_is_sent(
    change: dict[str, object], tmp_path: Path
) -> None:
    """The dialect, once it knows the models, says beforehand what the API would refuse."""
    talk, account = talk_with(tmp_path)
    row = next(r for r in ROWS["deapi"] if r["model"] == "Flux1schnell")
    informed = talk.provider.informed(await catalogue(talk, account))
    assert [p for p in informed.problems(row, ()) if not p.warning] == []
    assert [p for p in informed.problems(row | change, ()) if not p.warning] != []
    request = talk.provider.submit(talk.provider.merged(row | change), ())
    assert isinstance(talk.provider.read_submit(await talk.ask(request)), Refused)


# --- Webhooks -------------------------------------------------------------------------------------


async def heard(talk: Conversation, rows: int) -> list[CallVerdict]:
    """Submit rows that are to be told of, and return what the dialect makes of the calls."""
    callbacks = talk.provider.callbacks
    assert callbacks is not None
    verdicts: list[CallVerdict] = []

    async def hear(path: str, headers: Mapping[str, str], body: bytes) -> int:
        assert path == "/in/7?a=b"
        verdict = callbacks.read(headers, body, secret=SECRET, now=anyio.current_time())
        verdicts.append(verdict)
        return 401 if isinstance(verdict, BadCall) else 200

    talk.callback = HOOK
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver, talk.simulation, hear, anyio.current_time)
        for n in range(rows):
            await talk.submit(ROWS["deapi"][-2] | {"prompt": str(n)})

        await anyio.sleep(3 * 86_400)
        tasks.cancel_scope.cancel()

    return verdicts


@pytest.mark.parametrize("era", ["e2", "e4", "e5"])
async def test_calls_are_believed_and_name_their_job(era: str, tmp_path: Path) -> None:
    """Also those about jobs whose submit was never answered."""
    talk, _ = talk_with(tmp_path, f"duration=30,rejected=0.3,drop_after=0.5,era={era}")
    verdicts = await heard(talk, 20)
    events = [verdict for verdict in verdicts if isinstance(verdict, JobEvent)]
    assert len(events) == len(verdicts) == 40
    assert {event.job_id for event in events} == set(talk.ledger.jobs)
    assert {event.word for event in events} == {"processing", "done", "error"}
    assert len({event.delivery_id for event in events}) == 40


@pytest.mark.parametrize("knob", ["bad_signature", "unsigned", "stale", "garbled"])
async def test_calls_with_a_blemish_are_not_believed(knob: str, tmp_path: Path) -> None:
    """Never, however often they come."""
    talk, _ = talk_with(tmp_path, f"hook_{knob}=1")
    verdicts = await heard(talk, 2)
    assert len(verdicts) == 2 * 2 * 10
    assert {type(verdict) for verdict in verdicts} == {BadCall}


async def test_among_blemishes_and_copies_every_call_is_believed_once(tmp_path: Path) -> None:
    """A refused attempt comes again, better signed; a copy has the id of its first."""
    faults = "hook_bad_signature=0.3,hook_stale=0.2,hook_duplicate=0.3,hook_delay=exponential:9"
    talk, _ = talk_with(tmp_path, faults)
    events = [v for v in await heard(talk, 20) if isinstance(v, JobEvent)]
    believed = {event.delivery_id for event in events}
    assert len(believed) == 40
    assert {event.job_id for event in events} == set(talk.ledger.jobs)
    assert len(events) > 40


# --- What is told of a failure --------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["TIMEOUT", "MOON_PHASE", "none"])
@pytest.mark.parametrize("bare", ["", "bare_job=1,"])
async def test_a_failure_is_a_failure_however_little_is_told(
    reason: str, bare: str, tmp_path: Path
) -> None:
    """Known and unknown reasons, none, and nothing but the word."""
    talk, _ = talk_with(tmp_path, f"rejected=1,{bare}error_reason={reason}")
    verdict = await talk.submit(ROWS["deapi"][0])
    assert isinstance(verdict, Accepted)
    answer: Response = await talk.ask(talk.provider.status(verdict.job_id))
    failed = talk.provider.read_status(answer)
    assert isinstance(failed, JobFailed)
    told = orjson.loads(answer.body)["data"].get("error_reason")
    assert told is None or told in f"{failed.error}"


def test_the_plan_of_a_night_is_for_the_whole_api() -> None:
    """The preset sets limits, refunds, files and webhooks at once."""
    plan = FaultPlan.parse("nightly")
    assert plan.tier == "premium"
    assert min(plan.drop_after, plan.hook_lost, plan.url_expires_s, plan.refund_none) > 0
