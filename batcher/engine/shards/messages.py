"""What the leading process and its workers tell each other: one line of JSON for each message.

Rule: nothing here is needed for a row to be safe. Each worker keeps its own journal and its own
part of every limit; messages only make all of them slow down, stop and talk as one. A secret is in
none of them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from batcher.core.model import Stop
from batcher.core.stats import Snapshot

How = Literal["halt", "interrupt", "abort"]


class Held(msgspec.Struct, frozen=True, tag="held"):
    """An answer asked everybody to wait, or a limit is used up until its window opens."""

    lane: str
    why: str
    wait_s: float  # from now


class Stopping(msgspec.Struct, frozen=True, tag="stopping"):
    """The run is on its way out, and how: `engine.control` has the three ways."""

    how: How
    stop: Stop


class UsedUp(msgspec.Struct, frozen=True, tag="used_up"):
    """A worker has used up its part of the jobs or of the money; the others go on with theirs."""

    text: str


class Sharing(msgspec.Struct, frozen=True, tag="sharing"):
    """Every limit is shared by so many workers from now on; never more than before."""

    parts: int


class Said(msgspec.Struct, frozen=True, tag="said"):
    """A line for a person."""

    text: str
    is_urgent: bool = False


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """How a worker's part of the run stands."""

    shot: Snapshot


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Why a worker cannot go on, as one line for a person. Its exit code says whose fault it is."""

    text: str


Message = Held | Stopping | UsedUp | Sharing | Said | Seen | Failed

_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encoded(message: Message) -> bytes:
    """Return a message as one line, with its newline."""
    return msgspec.json.encode(message) + b"\n"


def decoded(line: bytes) -> Message:
    """Read a message back. Raises `msgspec.MsgspecError` for anything else."""
    return _decoder.decode(line)
