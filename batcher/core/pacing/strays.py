"""Whether to hold a lane for a 429: by what holding was good for so far.

A 429 can be the account's limit, and then whoever goes on is refused again; or a stray one, of one
overloaded machine among many, and then a lane that stands still gains nothing. Its words do not say
which. What says it is how many requests are taken until the next refusal:

    after a hold     H answers taken for each refusal       a limit was given time to recover
    after a pass     P answers taken for each refusal       only the refused row waited

    P < RARE         hold       so many refusals are no accident
    H > HELPS * P    hold       it spares refusals
    else             pass

Rule: going on costs at most `HELPS` times the refusals that holding would, and at most one in
`RARE`. A lane of which `START` requests in a row were taken may pass before more is known. Now and
then the other way is tried, ever more seldom, because what was true may have changed. Who is asked
to wait for a minute or longer always holds.

Pure: it counts; it knows neither times nor requests.
"""

from __future__ import annotations

START = 20  # answers taken before the first 429 that may be a stray one
RARE = 10.0  # answers taken for each refusal, at least: strays of one in twenty still pass
HELPS = 3.0  # holding is worth it if it makes refusals so much rarer
LONG_S = 60.0  # Retry-After from here on is about a limit, whatever else it is
LOOK = 8  # decisions in a row after which the other way is tried; four times as many each time
LOOK_FACTOR = 4
LOOK_MAX = 512
KEEP_PASSED = 0.95  # of what was seen, at each refusal: passes are many and each says little
KEEP_HELD = 0.7


class Tally:
    """Answers taken for each refusal, the old ones fading.

    It begins as if there had been so many refusals already: one short run by chance settles
    nothing.
    """

    def __init__(self, keep: float, refused: float) -> None:
        self._keep = keep
        self._taken, self._refused = START * refused, refused

    @property
    def per_refusal(self) -> float:
        """How many were taken for each refusal."""
        return self._taken / self._refused

    def add(self, taken: int, refused: int = 1) -> None:
        """Note how many were taken before so many refusals."""
        self._taken = self._taken * self._keep + taken
        self._refused = self._refused * self._keep + refused


class Strays:
    """What one lane's refusals were like. `run`: answers taken since the last one."""

    def __init__(self) -> None:
        self.run = 0
        self._ways = {True: Tally(KEEP_PASSED, 3.0), False: Tally(KEEP_HELD, 1.0)}
        self._last: bool | None = None  # whether the last refusal was let pass
        self._in_row = 0
        self._look = {True: LOOK, False: LOOK}
        self._is_known = False  # whether one was ever let pass

    def passes(self, wait_s: float) -> bool:
        """Whether the lane may go on after a refusal that asks for so long; it counts."""
        run, self.run = self.run, 0
        if self._last is not None:
            self._ways[self._last].add(run)

        if wait_s >= LONG_S:
            self._last = None
            return False

        way = self._is_better() if self._is_known else run >= START
        if way is self._last and self._in_row >= self._look[way]:
            self._look[way] = min(self._look[way] * LOOK_FACTOR, LOOK_MAX)
            way = not way

        self._in_row = self._in_row + 1 if way is self._last else 1
        self._last = way
        self._is_known = self._is_known or way
        return way

    def erred(self, refused: int) -> None:
        """Note that it was a limit after all: so many more were refused, and the lane is held."""
        self._ways[True].add(self.run, refused)
        self._last, self._in_row, self.run = False, 1, 0

    def _is_better(self) -> bool:
        held, passed = self._ways[False].per_refusal, self._ways[True].per_refusal
        return passed >= RARE and held <= HELPS * passed
