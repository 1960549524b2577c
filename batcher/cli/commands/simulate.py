"""`batcher simulate`: a faithful local copy of an API, with faults on demand."""

from __future__ import annotations

import os
from functools import partial
from signal import SIGHUP, SIGINT, SIGTERM
from typing import TYPE_CHECKING

import click

from batcher.cli.failure import say
from batcher.cli.flags.origin import is_loopback
from batcher.cli.program import program
from batcher.core.money import amount
from batcher.providers import PROVIDERS
from batcher.report.text import command_text
from batcher.simulator.faults import FaultPlan, knobs
from batcher.simulator.presets import PRESETS

if TYPE_CHECKING:
    from anyio import CancelScope

    from batcher.simulator import Simulation

TEST_KEY = "test-key"
NOTES = {"duplicates": "(jobs beyond the first of a row, all runs together)"}
GROUPS = (os.linesep * 2).join("\b\n" + os.linesep.join(lines) for lines in knobs())
EPILOG = f"""\b
Examples:
  batcher simulate --provider removit
  batcher simulate --provider deapi --port 8080 --preset nightly --seed 7
  batcher simulate --provider removit --faults drop_after=0.05,duration=3

Knobs of --faults, joined by commas; a preset may come first.

{GROUPS}

Exit code: 0, when it is ended by Ctrl-C or SIGTERM.
"""


@click.command(epilog=EPILOG)
@click.option("--provider", type=click.Choice(list(PROVIDERS)), required=True, help="Which API.")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="0 takes a free one. [0]")
@click.option(
    "--files-port",
    type=click.IntRange(0, 65_535),
    help="Serve the result files from this port, as from a host of their own. [the same one]",
)
@click.option("--host", default="127.0.0.1", help="A loopback address. [127.0.0.1]")
@click.option(
    "--seed", type=int, default=0, help="The same seed and calls give the same faults. [0]"
)
@click.option("--preset", type=click.Choice(list(PRESETS)), help="A named set of faults.")
@click.option("--faults", metavar="KNOB=VALUE,…", help="What goes wrong; over --preset, if given.")
@click.option(
    "--key", "keys", multiple=True, help=f"An API key that it accepts; repeatable. [{TEST_KEY}]"
)
@click.option(
    "--webhook-via",
    metavar="ORIGIN",
    help="Where webhooks go in the place of their own host, such as http://127.0.0.1:8099; "
    "path and query stay. [none: no webhook arrives]",
)
def command(
    provider: str,
    port: int,
    files_port: int | None,
    host: str,
    seed: int,
    preset: str | None,
    faults: str | None,
    keys: tuple[str, ...],
    webhook_via: str | None,
) -> int:
    """Serve a copy of an API on this machine until Ctrl-C, then say what it saw.

    It is strict, keeps a ledger of every submit, job and charge, and costs nothing. The two lines
    to type are printed when it listens. Nothing leaves this machine.
    """
    if not is_loopback(f"http://{f'[{host}]' if ':' in host else host}"):
        raise click.UsageError(f"--host {host}: only a loopback address, such as 127.0.0.1")

    if webhook_via and not (webhook_via.startswith("http://") and is_loopback(webhook_via)):
        wish = "only an origin on this machine, such as http://127.0.0.1:8099"
        raise click.UsageError(f"--webhook-via {webhook_via}: {wish}")

    plan = FaultPlan.parse(",".join(part for part in (preset, faults) if part))

    import anyio

    from batcher.cli.loop import run_async
    from batcher.simulator import Simulation, serve

    simulation = Simulation(provider, plan, seed, keys=keys or (TEST_KEY,))

    def tell(base_url: str) -> None:
        key = simulation.keys[0]
        click.echo(command_text("export", f"{PROVIDERS[provider].facts.key_env}={key}"))
        words = (program(), "run", "MANIFEST", "--provider", provider, "--base-url", base_url)
        click.echo(command_text(*words))
        say("listening; Ctrl-C ends it")

    serving = partial(
        serve,
        simulation,
        host,
        port,
        on_ready=tell,
        files_port=files_port,
        webhook_via=webhook_via and webhook_via.rstrip("/"),
    )

    async def until_signal() -> None:
        async with anyio.create_task_group() as server:
            server.start_soon(_end_on_signal, server.cancel_scope)
            await serving()

    run_async(until_signal)
    _say_counts(simulation)
    return 0


def _say_counts(simulation: Simulation) -> None:
    for name, count in simulation.ledger.counts().items():
        note = NOTES.get(name, "")
        if name.endswith("_nanos"):
            note = f"({amount(count):.6f} USD)" if count else ""

        click.echo(f"{name:<24} {count:,}{f'  {note}' if note else ''}")


async def _end_on_signal(server: CancelScope) -> None:
    import anyio

    with anyio.open_signal_receiver(SIGINT, SIGTERM, SIGHUP) as signals:
        async for _ in signals:
            server.cancel()
            return
