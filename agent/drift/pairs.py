"""Pairs: two features that begin, or cease, to move together, each as before by itself.

From window to window each feature's location moves by d, in usual sizes. Of each pair the fading mean of d_i d_j gives
the correlation r of their movements, and Fisher's z = artanh r, whose scatter hardly depends on r, is compared with
the reference's. Movements instead of levels: a step or an event that both features share moves them twice, and is for
others to judge. The usual size of z on held-out windows is that of each pair and time scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SCALES = np.array([32.0, 96.0, 288.0])
"""Time constants over which correlations are judged, in windows."""

_KEEP = np.exp(-1.0 / SCALES)[:, None]
_LEAST_SIZE = 0.6 / np.sqrt(2.0 * SCALES)[:, None]  # of z for white movements: hardly a pair is steadier
_LEAST_SQUARE = 1e-6  # of a movement in usual sizes: a feature that never moves has none
_MOST = 3.0  # what one movement may count for, in usual sizes
CLEAREST = 0.999
"""A correlation nearer 1 says no more."""

_QUIET = 0.5  # of the usual variance: features that move less than this, counts at dawn, say less of what they share
_CHUNK = 512


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """What is learnt of F features' P pairs, in the order of `pairs_of(F)`.

    `step` (F,) is the usual size of a movement, 0 where there is none; `usual` (P,) the correlations; `size` (S, P) the
    usual size of z at each scale.
    """

    step: NDArray[np.float64]
    usual: NDArray[np.float64]
    size: NDArray[np.float64]

    def nothing(self) -> NDArray[np.float64]:
        """The memory (S, F + P) of a camera that moves as usual: variances, then products of pairs."""
        return np.tile(np.concatenate([np.ones(self.step.size), self.usual]), (SCALES.size, 1))

    def remember(self, memory: NDArray[np.float64], moved: NDArray[np.float64]) -> NDArray[np.float64]:
        """The memory after one more movement (F,); a feature that stands exactly still says nothing and keeps it."""
        return _added(memory, self._products(moved[None])[0])

    def rest(self, memory: NDArray[np.float64], windows: float) -> NDArray[np.float64]:
        """The memory after `windows` windows of which nothing is known: it fades to the usual."""
        usual = self.nothing()
        return np.asarray(usual + _KEEP**windows * (memory - usual))

    def scores(self, memory: NDArray[np.float64]) -> NDArray[np.float64]:
        """z of each pair less the usual, in usual sizes, of memories (..., S, F + P): (..., S, P)."""
        return self._off(memory) / self.size

    def correlations(self, memory: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of each pair at each scale, (..., S, P), of memories (..., S, F + P).

        Drawn towards the usual by what half the usual movements would say.
        """
        return self._correlations(memory[..., self.step.size :], *self._variances(memory))

    def _off(self, memory: NDArray[np.float64]) -> NDArray[np.float64]:
        """z of each pair less the usual; what both move more than usual is left out of what they share.

        Clouds move one feature by a and another by b: they add a² and b² to the variances, and ab to the product. Of
        the variances the lesser of a² and b² is taken off, lest the chance of one alone move a pair that goes together.
        """
        first, second = self._variances(memory)
        more = np.maximum(first - 1.0, 0.0), np.maximum(second - 1.0, 0.0)
        apart = memory[..., self.step.size :] - self.usual
        products = self.usual + np.sign(apart) * np.maximum(np.abs(apart) - np.sqrt(more[0] * more[1]), 0.0)
        both = np.minimum(*more)
        found = self._correlations(products, first - both, second - both)
        return np.asarray(np.arctanh(found) - np.arctanh(self.usual))

    def _variances(self, memory: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of the movements of each pair's first and second feature, (..., S, P)."""
        first, second = pairs_of(self.step.size)
        return memory[..., first], memory[..., second]

    def _correlations(
        self, products: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        found = (products + _QUIET * self.usual) / np.sqrt((first + _QUIET) * (second + _QUIET))
        return np.asarray(np.clip(found, -CLEAREST, CLEAREST))

    def _products(self, moved: NDArray[np.float64]) -> NDArray[np.float64]:
        """Squares and products (W, F + P) of movements (W, F); NaN where a feature does not move."""
        moving = self.step > 0
        units = np.where((moved != 0) & moving, moved / np.where(moving, self.step, 1.0), np.nan)
        units = np.clip(units, -_MOST, _MOST)
        first, second = pairs_of(self.step.size)
        return np.concatenate([units**2, units[:, first] * units[:, second]], axis=1)

    def _memories(
        self, moved: NDArray[np.float64], gaps: NDArray[np.float64]
    ) -> Iterator[NDArray[np.float64]]:
        """The memory (n, S, F + P) after each window, in pieces."""
        memory = self.nothing()
        for start in range(0, len(moved), _CHUNK):
            products = self._products(moved[start : start + _CHUNK])
            out = np.empty((len(products), *memory.shape))
            for place, (news, gap) in enumerate(zip(products, gaps[start : start + _CHUNK], strict=True)):
                memory = _added(memory, news) if gap <= 1 else self.rest(memory, gap)
                out[place] = memory
            yield out


def learn_pairs(
    location: NDArray[np.float64], gaps: NDArray[np.float64]
) -> tuple[Pairs, NDArray[np.float64]]:
    """The pairs of held-out windows' location (W, F), `gaps` (W,) apart, and the largest score of all, (W, 1)."""
    moved = np.diff(location, axis=0, prepend=location[:1])
    moved[gaps > 1] = 0.0
    step = np.sqrt((moved**2).sum(axis=0) / np.maximum((moved != 0).sum(axis=0), 1))
    count = step.size * (step.size - 1) // 2
    plain = Pairs(step=step, usual=np.zeros(count), size=np.ones((SCALES.size, count)))
    products = plain._products(moved)
    sums, counts = np.nansum(products, axis=0), np.isfinite(products).sum(axis=0)
    first, second = pairs_of(step.size)
    squares = (sums / np.maximum(counts, 1))[: step.size]
    spread = np.sqrt(np.maximum(squares[first] * squares[second], _LEAST_SQUARE))
    usual = np.clip((sums / np.maximum(counts, 1))[step.size :] / spread, -CLEAREST, CLEAREST)
    known = Pairs(step=step, usual=usual, size=plain.size)
    scatter = sum((known._off(memory) ** 2).sum(axis=0) for memory in known._memories(moved, gaps))
    uncertain = 1.0 + 4.0 * SCALES[:, None] / len(
        moved
    )  # of a variance from windows / 2 SCALES looks: Student's t
    size = np.sqrt(np.maximum(scatter / len(moved), _LEAST_SIZE**2) * uncertain)
    made = Pairs(step=step, usual=usual, size=size)
    tops = [
        np.abs(made.scores(memory)).max(axis=(1, 2), initial=0.0) for memory in made._memories(moved, gaps)
    ]
    return made, np.concatenate(tops)[:, None]


def _added(memory: NDArray[np.float64], news: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isnan(news), memory, news + _KEEP * (memory - news))


@lru_cache(maxsize=4)
def pairs_of(features: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the second feature of each of P = F (F - 1) / 2 pairs."""
    return np.triu_indices(features, 1)
