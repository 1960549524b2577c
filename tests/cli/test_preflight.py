"""`check --preflight` asks a simulated API, in another process, and spends nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import KEY, Api, Shell, simulated
from tests.support.hostile import closed_port

pytestmark = pytest.mark.e2e

ROW = (
    '{"id":"%s","task":"generations","prompt":"a shoe","model":"Flux1schnell","width":%d,'
    '"height":768,"steps":4,"seed":-1}\n'
)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder with a manifest of four good rows of two kinds."""
    shell = Shell(tmp_path)
    write(shell, 768, 768, 768, 1024)
    return shell


def write(shell: Shell, *widths: int) -> None:
    """Write a manifest of pictures of these widths, one to a line."""
    rows = (ROW % (f"r{n}", width) for n, width in enumerate(widths, 1))
    (shell.folder / "m.jsonl").write_text("".join(rows))


def words(api: Api, *more: str, provider: str = "deapi") -> list[str]:
    """Return a preflight against the API."""
    base = ["--provider", provider, "--base-url", api.base_url]
    return ["check", "m.jsonl", *base, "--preflight", *more]


def preflight_of(stdout: str) -> dict[str, Any]:
    """Return the object of a preflight; the totals are the last line all the same."""
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert [line["kind"] for line in lines[-2:]] == ["preflight", "totals"]
    found: dict[str, Any] = lines[-2]
    return found


def spent(api: Api) -> int:
    """Return how many submits the API saw."""
    return api.counts["submits"] + api.counts["jobs"]


def test_what_a_manifest_will_cost(shell: Shell) -> None:
    """0: each kind is asked for once, the sum is exact, the balance is enough, nothing is spent."""
    with simulated("price_usd=0.25,balance_usd=2", provider="deapi") as api:
        done = shell.do(*words(api))
        found = preflight_of(shell.do(*words(api, "--json")).stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"key      DEAPI_API_KEY works at {api.base_url}" in done.stdout
    assert "price    1.00 USD for 4 rows, of 2 kinds that were all asked for" in done.stdout
    assert "balance  2.00 USD: enough" in done.stdout
    assert "time     about 4 min: 4 submits at 1/m\n         with a paid account" in done.stdout
    assert found["price"].items() >= {"total": 1.0, "exact": True, "kinds_priced": 2}.items()
    assert found["balance"] == {
        "amount": 2.0, "minimum": 0.49, "missing": 0.0, "enough": True, "problem": None,
    }  # fmt: skip
    assert spent(api) == 0
    assert KEY not in done.stdout + done.stderr


def test_money_that_is_missing(shell: Shell) -> None:
    """3: what is missing is said, with what must be left to submit the last row."""
    with simulated("price_usd=0.25,balance_usd=1.2", provider="deapi") as api:
        done = shell.do(*words(api))
        found = preflight_of(shell.do(*words(api, "--json")).stdout)
        stated = shell.do(*words(api, "--cost-per-job", "0.1"))

    assert done.returncode == 3
    assert "1.20 USD: not enough, 0.29 USD missing; with less than 0.49 USD" in done.stdout
    assert (found["balance"]["missing"], found["balance"]["enough"]) == (0.29, False)
    assert (stated.returncode, "0.40 USD: 4 rows at 0.10 USD" in stated.stdout) == (0, True)


def test_few_questions_make_an_estimate(shell: Shell) -> None:
    """The largest kind is asked for; the rest is taken at its price, and `about` says so."""
    with simulated("balance_usd=2", provider="deapi") as api:
        done = shell.do(*words(api, "--quotes", "1"))
        found = preflight_of(shell.do(*words(api, "--quotes", "1", "--json")).stdout)

    assert done.returncode == 0
    assert "price    about " in done.stdout
    assert "asked for 1 of 2 kinds (3 rows), the other 1 row at their mean" in done.stdout
    assert found["price"].items() >= {"exact": False, "rows": 4, "rows_priced": 3}.items()


def test_rows_are_checked_against_what_the_models_allow(shell: Shell) -> None:
    """3: file, line, field and the allowed values; without the network nobody knew."""
    write(shell, 768, 700)
    with simulated("duration=0", provider="deapi") as api:
        done = shell.do(*words(api))
        alone = shell.do("check", "m.jsonl", "--provider", "deapi")

    assert (alone.returncode, done.returncode) == (0, 3)
    assert done.stdout.startswith("m.jsonl:2: width: is 700; Flux1schnell takes 256 to 2048 in")
    assert "for 1 row" in done.stdout


def test_a_key_that_is_refused(shell: Shell) -> None:
    """2, in one line with the source of the key and the API's word; no row is even read."""
    shell.key = "another-key-than-that"
    (shell.folder / "m.jsonl").unlink()
    with simulated("duration=0", provider="deapi") as api:
        done = shell.do(*words(api))

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("batcher: DEAPI_API_KEY: deAPI does not take this API key: 401")
    assert shell.key not in done.stderr


def test_a_key_that_may_not_read_the_balance(shell: Shell) -> None:
    """0: a key for work alone is told so, and is not at fault."""
    with simulated("role=api,price_usd=0.25", provider="deapi") as api:
        done = shell.do(*words(api))
        found = preflight_of(shell.do(*words(api, "--json")).stdout)

    assert done.returncode == 0
    assert "balance  not known: 403 insufficient_permissions" in done.stdout
    assert (found["balance"]["enough"], found["price"]["total"]) == (None, 1.0)


def test_an_api_that_quotes_nothing(shell: Shell) -> None:
    """Removit has no prices and no balance: a stated cost gives the sum, and a bad key is found."""
    shell.write_manifest(3)
    with simulated("duration=0") as api:
        bare = shell.do(*words(api, provider="removit"))
        stated = shell.do(*words(api, "--cost-per-job", "0.05", provider="removit"))
        found = shell.do(*words(api, "--json", provider="removit"))
        shell.key = "another-key-than-that"
        refused = shell.do(*words(api, provider="removit"))

    assert (bare.returncode, stated.returncode, refused.returncode) == (0, 0, 2)
    assert "key      REMOVIT_API_KEY works" in bare.stdout
    assert "price    Removit quotes none; --cost-per-job AMOUNT gives the sum" in bare.stdout
    assert "price    0.15: 3 rows at 0.05" in stated.stdout
    assert preflight_of(found.stdout)["price"] is None
    assert refused.stderr.startswith("batcher: REMOVIT_API_KEY: Removit does not take this API key")
    assert spent(api) == 0


def test_an_api_that_is_not_there(shell: Shell) -> None:
    """2: a preflight that could not take place must not look like one that went well."""
    done = shell.do(*words(Api(f"http://127.0.0.1:{closed_port()}")))

    assert (done.returncode, done.stdout) == (2, "")
    assert "deAPI cannot be reached" in done.stderr


def test_no_key_no_preflight(shell: Shell) -> None:
    """2 before anything is asked or read; the check alone needs none."""
    shell.key = ""
    done = shell.do(*words(Api("https://api.example")))
    alone = shell.do("check", "m.jsonl", "--provider", "deapi")

    assert (done.returncode, alone.returncode) == (2, 0)
    assert "set DEAPI_API_KEY" in done.stderr
