"""Chance that can be repeated: every draw is a function of the seed and of what it is drawn for.

Rule: no draw depends on an earlier one, so the fate of a row is the same in whatever order the
requests arrive. That is why there is no generator with a state here, but a keyed hash.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from statistics import NormalDist

_NORMAL = NormalDist()
_TINY = 1e-12  # keeps a draw off the ends, where the normal and exponential laws are infinite


class Chance:
    """Draws that are fixed by a seed, a purpose, a key and an ordinal."""

    __slots__ = ("_key",)

    def __init__(self, seed: int) -> None:
        self._key = str(seed).encode()[:64]

    def draw(self, purpose: str, key: str, ordinal: int = 0) -> float:
        """Return a number in [0, 1), evenly spread over keys and ordinals."""
        return (int.from_bytes(self._digest(purpose, key, ordinal, 8), "big") >> 11) / (1 << 53)

    def token(self, purpose: str, key: str, ordinal: int = 0) -> str:
        """Return 32 hexadecimal digits."""
        return self._digest(purpose, key, ordinal, 16).hex()

    def uuid(self, purpose: str, key: str, ordinal: int = 0) -> str:
        """Return 32 hexadecimal digits in the shape of a UUID."""
        text = self.token(purpose, key, ordinal)
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _digest(self, purpose: str, key: str, ordinal: int, size: int) -> bytes:
        text = f"{purpose}\0{ordinal}\0{key}".encode("utf-8", "surrogatepass")
        return blake2b(text, digest_size=size, key=self._key).digest()


@dataclass(frozen=True, slots=True)
class Spread:
    """How a time is distributed, in seconds. `Spread()` is always 0."""

    law: str = "constant"
    values: tuple[float, ...] = (0.0,)

    @property
    def is_nothing(self) -> bool:
        """Whether every value is 0, so that nothing need be drawn."""
        return not any(self.values)

    def at(self, draw: float) -> float:
        """Return the value below which the share *draw* of all values lies, in seconds."""
        return _LAWS[self.law].quantile(self.values, min(max(draw, _TINY), 1.0 - _TINY))

    def __str__(self) -> str:
        values = ":".join(f"{value:g}" for value in self.values)
        return values if self.law == "constant" else f"{self.law}:{values}"

    @classmethod
    def parse(cls, text: str) -> Spread:
        """Read `2.5`, `uniform:1:3`, `exponential:2`, `lognormal:4:0.5`, `bimodal:1:30:0.1`.

        Raises `ValueError` with a sentence that says what is possible.
        """
        head, *tail = text.split(":")
        law, words = (head, tail) if head in _LAWS else ("constant", [head, *tail])
        try:
            values = tuple(float(word) for word in words)
        except ValueError:
            values = ()

        expected = _LAWS[law].names
        if len(values) != len(expected) or not all(math.isfinite(v) and v >= 0 for v in values):
            raise ValueError(f"use one of {spread_forms()}, no number below 0")

        if law == "bimodal" and values[2] > 1:
            raise ValueError("the share of slow ones is between 0 and 1")

        return cls(law, values)


def spread_forms() -> str:
    """Return every way to write a spread, for messages and help."""
    forms = [":".join((law, *_LAWS[law].names)) for law in _LAWS if law != "constant"]
    return ", ".join(["seconds", *forms])


class _Law:
    """One law: the names of its numbers, and its quantile function."""

    names: tuple[str, ...] = ("seconds",)

    def quantile(self, values: tuple[float, ...], draw: float) -> float:
        return values[0]


class _Uniform(_Law):
    names = ("least", "most")

    def quantile(self, values: tuple[float, ...], draw: float) -> float:
        return values[0] + (values[1] - values[0]) * draw


class _Exponential(_Law):
    names = ("mean",)

    def quantile(self, values: tuple[float, ...], draw: float) -> float:
        return -values[0] * math.log(1.0 - draw)


class _Lognormal(_Law):
    names = ("median", "sigma")

    def quantile(self, values: tuple[float, ...], draw: float) -> float:
        return values[0] * math.exp(values[1] * _NORMAL.inv_cdf(draw))


class _Bimodal(_Law):
    names = ("fast", "slow", "share_slow")

    def quantile(self, values: tuple[float, ...], draw: float) -> float:
        return values[1] if draw >= 1.0 - values[2] else values[0]


_LAWS: dict[str, _Law] = {
    "constant": _Law(),
    "uniform": _Uniform(),
    "exponential": _Exponential(),
    "lognormal": _Lognormal(),
    "bimodal": _Bimodal(),
}
