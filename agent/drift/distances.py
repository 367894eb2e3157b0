"""Statistics of features and of the class mix at several time scales, from fading distributions in constant space.

Ranks of a normal hour are evenly spread whatever the hour, so windows of different hours can be added up, each
against what was normal at its own time. Distances are means over about 1, 4, 16 and 64 windows; until that many
were seen, what is missing counts as normal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.drift.evidence import BINS, EDGES
from agent.drift.memory import SCALE_KEEP, SCALES
from agent.drift.statistics import jensen_shannon, psi, statistics

_EVEN = np.full(BINS, 1.0 / BINS)


@dataclass(slots=True, eq=False)
class Fading:
    """Fading distributions: `ranks` (4, F, BINS-1), shares of classes `seen` and `expected` (4, C+1)."""

    ranks: NDArray[np.float64]
    seen: NDArray[np.float64]
    expected: NDArray[np.float64]

    @classmethod
    def empty(cls, features: int, classes: int) -> Fading:
        """Nothing seen: all as normal."""
        even = np.full((SCALES.size, classes + 1), 1.0 / (classes + 1))
        return cls(np.tile(EDGES, (SCALES.size, features, 1)), even, even.copy())

    def add(
        self,
        ranks: NDArray[np.float64],
        trust: NDArray[np.float64],
        seen: NDArray[np.float64],
        expected: NDArray[np.float64],
    ) -> None:
        """One window: `ranks` (F, BINS-1) trusted by `trust` (F,) 0..1, and its class shares (C+1,)."""
        keep = SCALE_KEEP[:, None]
        news = EDGES + trust[:, None] * (ranks - EDGES)
        self.ranks = news + keep[..., None] * (self.ranks - news)
        self.seen = seen + keep * (self.seen - seen)
        self.expected = expected + keep * (self.expected - expected)

    def rest(self, windows: float) -> None:
        """`windows` windows passed of which nothing is known: what is remembered fades towards normal."""
        keep = (SCALE_KEEP**windows)[:, None]
        self.ranks = EDGES + keep[..., None] * (self.ranks - EDGES)
        self.seen = self.expected + keep * (self.seen - self.expected)

    def of_features(self) -> NDArray[np.float64]:
        """The size of each statistic, (S, 4, F), in the registry's order."""
        shares = np.diff(self.ranks, axis=-1, prepend=0.0, append=1.0)
        return np.stack([statistic.size(shares, _EVEN) for statistic in statistics()])

    def ks_of_features(self) -> NDArray[np.float64]:
        """The Kolmogorov-Smirnov distances alone, (4, F)."""
        return np.asarray(np.abs(self.ranks - EDGES).max(axis=-1), dtype=np.float64)

    def of_classes(self) -> NDArray[np.float64]:
        """Jensen-Shannon distance and the square root of PSI of the class mix, (2, 4)."""
        return np.stack(
            [
                jensen_shannon.distance(self.seen, self.expected),
                np.sqrt(psi.distance(self.seen, self.expected)),
            ]
        )


def class_shares(
    counts: NDArray[np.float64], normal: NDArray[np.float64], usual: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Class shares (C+1,) of a window with `counts` (C+1,), the last being classes unknown to the reference.

    Returns what was seen and what is normal. A window with few boxes says little: a quarter of the `usual` number
    of boxes, in the `normal` mix (C,), is added to it. Where the normal mix is unknown, both are even.
    """
    if usual <= 0 or np.isnan(normal).any():
        even = np.full(counts.shape, 1.0 / counts.size)
        return even, even
    expected = np.append(normal, 0.0)
    added = 0.25 * usual
    return (counts + added * expected) / (counts.sum() + added), expected


class MixChange(NamedTuple):
    """What the likelihood of the class mix says: its `ratio` over the limit, the classes that `changed` (1, C), and
    `age` windows ago."""

    ratio: float
    changed: NDArray[np.bool_]
    age: int


NO_MIX = MixChange(0.0, np.zeros((1, 0), dtype=np.bool_), 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reached:
    """Distances over their limits after one window: `shapes` (4, F + 1) of each feature's distribution and of the class
    mix at each time scale, `pairs` (S, P) of each pair of features at each of theirs.

    Their noise, a usual size over the limit: `shape_noise` (F + 1,) and `pair_noise` of every pair. `mix` is what the
    likelihood of the class mix says.
    """

    shapes: NDArray[np.float64]
    pairs: NDArray[np.float64]
    shape_noise: NDArray[np.float64]
    pair_noise: float
    mix: MixChange = NO_MIX

    @property
    def top(self) -> float:
        """The largest of all, that of the mix's likelihood too."""
        return max(float(self.largest.max()), self.mix.ratio)

    @property
    def largest(self) -> NDArray[np.float64]:
        """The largest at each place, that is at each time scale of shapes, then of pairs, (4 + S,)."""
        return np.concatenate([each.max(axis=1, initial=0.0) for each in (self.shapes, self.pairs)])

    def at(self, place: int) -> NDArray[np.float64]:
        """All of one place, (F + 1,) or (P,)."""
        return np.asarray([*self.shapes, *self.pairs][place])

    def noise_at(self, place: int) -> NDArray[np.float64]:
        """The noise of each of one place, (F + 1,) or (P,)."""
        if place < len(self.shapes):
            return self.shape_noise
        return np.full(self.pairs.shape[1], self.pair_noise)
