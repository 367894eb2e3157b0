"""Familiar excursions: passing events in the reference (rain, lorries) are no drift, unless they last.

    ready ── over the limit, alike a familiar one ──▶ excused ── longer or larger than that one was ──▶ spent
    excused, spent ── CALM windows below the limit ──▶ ready

Only while excused there is no alarm, of distributions and classes neither: a lorry changes them as well. When it is
over, all is judged anew, as after an alarm: what is remembered of nine hours would be over a limit for hours more. What
is excused once is not excused again before it has ended. How long it lasts is the number of windows over the limit: two
lorries in an hour are one excursion, as long as both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.untrusted import take_integer, take_number
from agent.drift.memory import TIMES, fading_means

CALM = 60
"""Windows between two excursions at least; nearer ones are one."""

MOST_KEPT = 16
NEARLY = 0.8
"""Of the limit: an excursion of the reference that came so near to it may go beyond it the next time."""

ALIKE = 0.7
"""Cosine of two directions that are one and the same: half of the evidence is in that direction."""

PART = 0.25
"""Of the largest square: columns less than half as far off are no part of a change."""

_LEAST_WINDOWS = 3  # that an excursion's direction is the mean of
_LONGER, _LONGER_WINDOWS = 1.5, 5.0
_LARGER = 1.5
_GONE = 0.25
"""Of an excursion: where less is there for minutes it is over, although what is remembered of it is over a limit."""

LATELY = int(np.flatnonzero(TIMES == 4.0)[0])
"""The fading mean that says how large something is at the moment."""

DISTINCT = int(np.flatnonzero(TIMES == 16.0)[0])
"""The one that says in which direction it is, where no filter does: a quarter of an hour outweighs chance."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What a judge has seen: `memory` (3, C, K) in usual sizes; of a change that began at each age the `scores`
    (3, C, J), each of variance 1 by chance, and the `answers`, alike: what a change of one usual size scores."""

    memory: NDArray[np.float64]
    scores: NDArray[np.float64]
    answers: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Excursions:
    """The largest excursions of a reference: `directions` (N, 3, C), the mean evidence from start to peak in usual
    sizes, as far as a few windows went in it at most; `spans` (N,), in how many windows each was near the limit.
    """

    directions: NDArray[np.float64]
    spans: NDArray[np.float64]

    def alike(self, seen: Seen) -> int | None:
        """The longest excursion that what is `seen` resembles at any age without being much larger than it; None if
        there is none."""
        if not len(self.spans):
            return None
        rows = self.directions.reshape(len(self.spans), -1)
        scores, answers = (each.reshape(rows.shape[1], -1) for each in (seen.scores, seen.answers))
        cosines = likeness(rows[..., None] * answers, scores[None], axis=1).max(axis=1)
        sizes = rows @ seen.memory[..., LATELY].ravel() / np.maximum((rows**2).sum(axis=1), 1e-12)
        found = np.where((cosines >= ALIKE) & (sizes <= _LARGER), self.spans, -1.0)
        return int(found.argmax()) if found.max() >= 0.0 else None

    def allowed(self, number: int) -> float:
        """How many windows what is like excursion `number` may be over a limit."""
        return _LONGER * float(self.spans[number]) + _LONGER_WINDOWS

    def outgrown(self, number: int, seen: Seen) -> bool:
        """Whether what was lately `seen` is much larger than excursion `number` was."""
        direction = self.directions[number]
        return float((seen.memory[..., LATELY] * direction).sum()) > _LARGER * float((direction**2).sum())


def likeness(
    one: NDArray[np.float64], other: NDArray[np.float64], axis: int | tuple[int, int] = (0, 1)
) -> NDArray[np.float64]:
    """The cosine along `axis` of two changes that broadcast to one shape, in the columns that are part of either.

    The chance of seventy that did not change outweighs four that did.
    """
    parts = _parts(one, axis) | _parts(other, axis)
    lengths = (one**2 * parts).sum(axis=axis) * (other**2 * parts).sum(axis=axis)
    return np.asarray((one * other * parts).sum(axis=axis) / np.sqrt(np.maximum(lengths, 1e-18)))


def _parts(scores: NDArray[np.float64], axis: int | tuple[int, int]) -> NDArray[np.bool_]:
    """Which columns are half as far off as the farthest."""
    squares = scores**2
    return np.asarray(squares >= PART * squares.max(axis=axis, keepdims=True))


def at_least(direction: NDArray[np.float64], *shown: NDArray[np.float64]) -> NDArray[np.float64]:
    """A `direction`, not 0, as far as what is `shown` went in it, and no shorter than it is; all of one shape.

    Clouds are twice as far off in the shade as they are on the mean of an hour: no shade is larger than they were.
    """
    square = max(float((direction**2).sum()), 1e-30)
    return np.asarray(direction * max(1.0, *(float((direction * each).sum()) / square for each in shown)))


def no_excursions(columns: tuple[int, int]) -> Excursions:
    """None, for evidence of (3, C)."""
    return Excursions(directions=np.zeros((0, *columns)), spans=np.zeros(0))


def learn_excursions(ratios: NDArray[np.float64], evidence: NDArray[np.float64]) -> Excursions:
    """The largest episodes in which `ratios` (W,) of held-out windows came near 1.

    `evidence` (W, 3, C) is in usual sizes.
    """
    near = np.flatnonzero(ratios >= NEARLY)
    runs = np.split(near, np.flatnonzero(np.diff(near) >= CALM) + 1) if near.size else []
    runs = sorted(runs, key=lambda run: -ratios[run].max())[:MOST_KEPT]
    found = no_excursions(evidence.shape[1:])
    if not runs:
        return found
    return Excursions(
        directions=np.stack([_direction(evidence[run[0] :], ratios[run], run - run[0]) for run in runs]),
        spans=np.array([float(run.size) for run in runs]),
    )


def _direction(
    evidence: NDArray[np.float64], ratios: NDArray[np.float64], run: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Of an episode with these `ratios` in the windows `run` of evidence (W, 3, C), the first of which is its first."""
    mean = evidence[: max(int(run[ratios.argmax()]) + 1, _LEAST_WINDOWS)].mean(axis=0)
    lasts = evidence[: int(run[-1]) + 1]
    return at_least(mean, *fading_means(lasts, np.ones(len(lasts)), LATELY))


@dataclass(slots=True)
class Excuse:
    """The state: `number` of the excursion that is excused, or None; `left` windows that may still be over a limit, 0
    when spent; `calm` windows below the limit since; `lasted` windows since the first one over it."""

    number: int | None = None
    left: float = 0.0
    calm: int = CALM
    lasted: float = 0.0

    def step(self, excursions: Excursions, seen: Seen) -> bool:
        """One more window over the limit, with what is `seen`; whether it is excused."""
        self.lasted += 1.0
        alike = excursions.alike(seen)
        if self.calm >= CALM:
            self.lasted, self.number = 0.0, alike
            self.left = 0.0 if alike is None else excursions.allowed(alike)
        elif self.left and alike is not None:
            self._becomes(alike, excursions)
        self.calm = 0
        if self.number is not None and excursions.outgrown(self.number, seen):
            rest = 0.0 if alike is None else excursions.allowed(alike) - self.lasted
            self.number, self.left = alike, max(min(self.left, rest), 0.0)
        self.left = max(self.left - 1.0, 0.0)
        return self.left > 0.0

    def _becomes(self, alike: int, excursions: Excursions) -> None:
        """It turns out to be like one that lasted longer: what began as a shower is a day of rain."""
        longer = float(excursions.spans[alike] - excursions.spans[self.number])
        if longer > 0.0:
            self.number, self.left = alike, self.left + _LONGER * longer

    def gone(self, excursions: Excursions, seen: Seen) -> bool:
        """Whether what is excused is over, by what is `seen`."""
        if self.number is None:
            return False
        direction = excursions.directions[self.number]
        left = [float((seen.memory[..., place] * direction).sum()) for place in (LATELY, DISTINCT)]
        return max(left) < _GONE * float((direction**2).sum())

    def rest(self, windows: int) -> None:
        """`windows` windows below the limit."""
        self.lasted += windows
        self.calm = min(self.calm + windows, CALM)
        if self.calm >= CALM:
            self.left = 0.0

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return {"number": self.number, "left": self.left, "calm": self.calm, "lasted": self.lasted}

    @classmethod
    def restore(cls, state: Mapping[str, Any], excursions: Excursions) -> Excuse:
        """What `state` gave; BadInput for anything else."""
        number = state.get("number")
        if number is not None:
            number = take_integer(state, "number", minimum=0, maximum=max(len(excursions.spans) - 1, 0))
        return cls(
            number if len(excursions.spans) else None,
            take_number(state, "left", minimum=0.0),
            take_integer(state, "calm", minimum=0, maximum=CALM),
            take_number(state, "lasted", 0.0, minimum=0.0),
        )
