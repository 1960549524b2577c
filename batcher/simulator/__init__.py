"""A local stand-in for each API: strict, seeded, with faults on demand and a ledger that tells all.

Rule: it reads the APIs' contracts by itself (it shares no code with the dialects) and imports
nothing of batcher but its core. In process it carries requests in virtual time
(`SimulatedTransport`), over sockets it is a server of its own (`serve`).
"""

from batcher.simulator.chance import Spread
from batcher.simulator.faults import FaultPlan, knobs
from batcher.simulator.ledger import Job, Ledger
from batcher.simulator.presets import PRESETS
from batcher.simulator.server import serve
from batcher.simulator.service import TEST_KEY, Simulation
from batcher.simulator.transport import SimulatedTransport
from batcher.simulator.wire import Fate, Received, Reply, Upload

__all__ = [
    "PRESETS",
    "TEST_KEY",
    "Fate",
    "FaultPlan",
    "Job",
    "Ledger",
    "Received",
    "Reply",
    "SimulatedTransport",
    "Simulation",
    "Spread",
    "Upload",
    "knobs",
    "serve",
]
