"""The stage of `batcher demo`: the simulator and a run, side by side in one event loop.

Rule: the run is an ordinary one, over real sockets; nothing in it knows that it is a demonstration.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from signal import Signals

import anyio

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import write_run_file
from batcher.cli.driving.drive import Drive, Ended, conduct
from batcher.cli.driving.screen import Screen
from batcher.cli.loop import run_async
from batcher.core.secret import Secret
from batcher.core.settings import Frozen, Settings
from batcher.report.summary import Summary
from batcher.simulator import TEST_KEY, FaultPlan, Simulation, serve


@dataclass(frozen=True, slots=True)
class Stage:
    """What is played, and where."""

    directory: RunDirectory
    provider: str
    manifest: Path
    faults: str
    seed: int
    rate_per_s: float


@dataclass(frozen=True, slots=True)
class End:
    """How it ended: what the run says, and what the API's ledger says of it."""

    summary: Summary
    signal: Signals | None
    ledger: dict[str, int]

    @property
    def kept_promise(self) -> bool:
        """Whether every row has its one outcome, and no row was paid for twice."""
        is_done = self.summary.state == "finished" and self.summary.pending == 0
        return is_done and self.ledger["duplicates"] == 0


def play(stage: Stage) -> End:
    """Run the manifest against the simulator; the caller holds the directory's lock."""
    simulation = Simulation(stage.provider, FaultPlan.parse(stage.faults), stage.seed)
    ended = run_async(lambda: _play(stage, simulation))
    return End(ended.summary, ended.signal, simulation.ledger.counts())


async def _play(stage: Stage, simulation: Simulation) -> Ended:
    listening = anyio.Event()
    base_urls: list[str] = []

    def ready(base_url: str) -> None:
        base_urls.append(base_url)
        listening.set()

    async def server() -> None:
        await serve(simulation, on_ready=ready)

    async with anyio.create_task_group() as beside:
        beside.start_soon(server)
        await listening.wait()
        end = await conduct(_run_against(base_urls[0], stage))
        beside.cancel_scope.cancel()

    return end


def _run_against(base_url: str, stage: Stage) -> Drive:
    frozen = Frozen(
        provider=stage.provider,
        base_url=base_url,
        manifest=str(stage.manifest.absolute()),
        download=str(stage.directory.downloads.absolute()),
    )
    settings = Settings(rate=f"{stage.rate_per_s:g}/s", allow_private=True)
    write_run_file(stage.directory.run_file, frozen, settings)
    return Drive(stage.directory, frozen, settings, Secret(TEST_KEY, "the demo"), Screen())
