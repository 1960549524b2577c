"""A local stand-in for each API: strict, seeded, with faults on demand and a ledger that tells all.

Rule: it reads the APIs' contracts by itself (it shares no code with the dialects) and imports
nothing of batcher but its core. In process it carries requests in virtual time
(`SimulatedTransport`; `deliver` carries its webhooks), over sockets it is a server of its own
(`serve`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from batcher.simulator.chance import Spread
from batcher.simulator.faults import FaultPlan, knobs
from batcher.simulator.hooks import Delivery, Outbox, Target
from batcher.simulator.ledger import Job, Ledger
from batcher.simulator.presets import PRESETS
from batcher.simulator.service import TEST_KEY, Simulation
from batcher.simulator.wire import Fate, Received, Reply, Upload

__all__ = [
    "PRESETS",
    "TEST_KEY",
    "Delivery",
    "Fate",
    "FaultPlan",
    "Job",
    "Ledger",
    "Outbox",
    "Received",
    "Reply",
    "SimulatedTransport",
    "Simulation",
    "Spread",
    "Target",
    "Upload",
    "deliver",
    "knobs",
    "serve",
]

if TYPE_CHECKING:
    from batcher.simulator.pump import deliver
    from batcher.simulator.server import serve
    from batcher.simulator.transport import SimulatedTransport

# The carriers bring aiohttp and anyio, which take half a second: they are loaded when asked for.
CARRIERS = {"serve": "server", "SimulatedTransport": "transport", "deliver": "pump"}


def __getattr__(name: str) -> Any:
    """Load a carrier."""
    if name in CARRIERS:
        return getattr(import_module(f"{__name__}.{CARRIERS[name]}"), name)

    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
