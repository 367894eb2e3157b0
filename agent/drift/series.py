"""Series of evidence over held-out windows: their memories, noise, filters, scores and the sizes of those."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.drift.contexts import HOURS
from agent.drift.memory import AGE_WEIGHTS, AGES, KEEP, fade
from agent.drift.noise import DECAYS, SLOW, fit, matched_filters

PRIOR = 10.0
"""Independent looks that "the noise model is right" is worth against the scores' own size."""

_NOISE_FLOOR = 0.02  # sigma of slow wandering below which no column is trusted to stay
_SINGLE_DAY = 1.2
"""By how much more slow noise there is than the held-out hours of a single day show: those are compared with the mean
of two hours before and after, which halves the reference's own weather, and share part of it. With more days it is
so much divided by their number: few days have seen little weather."""
_HISTORY = 4  # a change is looked for over at most the fourth part of what the reference covers
_CHUNK = 512


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvidenceSeries:
    """Evidence (W, A, C) of held-out windows, multiplied by `gates` (W, A, C); `gaps` (W,) between them, in windows.

    `blocks` hours stand behind it.
    """

    evidence: NDArray[np.float64]
    gates: NDArray[np.float64]
    gaps: NDArray[np.float64]
    blocks: int

    @property
    def longest(self) -> int:
        """The largest age judged, in windows."""
        return max(1, len(self.evidence) // _HISTORY)

    def noise(self, alike: int) -> NDArray[np.float64]:
        """Its wandering (A, C, 8), not below a floor; the first `alike` columns steady one another.

        A part of time constant t is known from windows / 2t independent looks, few for weather on one day: the slow
        parts' share of a column is drawn towards that of those alike. Others (factors) stay as they are.
        """
        windows, aspects, columns = self.evidence.shape
        fitted = fit(self.evidence.reshape(windows, -1), self.gates.reshape(windows, -1))
        noise = fitted.reshape(aspects, columns, DECAYS.size)
        looks = windows / (2.0 * np.maximum(DECAYS, 1.0))
        total = noise.sum(axis=-1, keepdims=True)
        common = total * (noise / total)[:, :alike].mean(axis=1, keepdims=True)
        drawn = (looks * noise + PRIOR * common) / (looks + PRIOR)
        drawn[:, alike:] = noise[:, alike:]
        steadied = np.where(SLOW, drawn, noise) + (DECAYS == 300.0) * _NOISE_FLOOR**2
        few_days = 1.0 + _SINGLE_DAY * min(1.0, HOURS / self.blocks)
        return np.asarray(np.where(SLOW, few_days, 1.0) * steadied, dtype=np.float64)

    def sizes(self, noise: NDArray[np.float64]) -> NDArray[np.float64]:
        """Root mean square (A, C, J) of scores by filters for `noise`, drawn towards 1 where few independent looks
        stand behind it."""
        filters = matched_filters(noise, self.longest)
        squares = np.zeros(filters.shape[:-1])
        for piece, memory in self.memories():
            squares += np.einsum("wac,wacj->acj", self.gates[piece], score(memory, filters) ** 2)
        looks = len(self.evidence) / (2.0 * AGES)
        mean = squares / np.maximum(self.gates.sum(axis=0), 1.0)[..., None]
        drawn = (looks * mean + PRIOR) / (looks + PRIOR)
        # A variance from n looks is uncertain: what is new scatters by that much more (Student's t).
        uncertain = np.maximum(drawn, 1.0) * (1.0 + 2.0 / looks)
        return np.asarray(
            np.where(AGES <= len(self.evidence) // _HISTORY, np.sqrt(uncertain), 1.0), dtype=np.float64
        )

    def memories(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """The fading memory (n, A, C, K) after each window, in pieces."""
        memory = np.zeros((*self.evidence.shape[1:], KEEP.size))
        for start in range(0, len(self.evidence), _CHUNK):
            piece = slice(start, min(start + _CHUNK, len(self.evidence)))
            out = np.empty((piece.stop - start, *memory.shape))
            for place, (new, gap) in enumerate(zip(self.evidence[piece], self.gaps[piece], strict=True)):
                memory = fade(memory, new, gap)
                out[place] = memory
            yield piece, out

    def tops(self, filters: NDArray[np.float64]) -> NDArray[np.float64]:
        """The largest weighted score over all ages after each window, (W, A, C)."""
        return np.concatenate([largest(score(memory, filters)) for _, memory in self.memories()])


def score(memory: NDArray[np.float64], filters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores (..., A, C, J) of memories (..., A, C, K) by filters (A, C, J, K)."""
    aspects, columns, ages, keeps = filters.shape
    rows = memory.reshape(-1, aspects * columns, keeps).transpose(1, 0, 2)
    found = rows @ filters.reshape(aspects * columns, ages, keeps).transpose(0, 2, 1)
    return np.asarray(found.transpose(1, 0, 2).reshape(*memory.shape[:-1], ages), dtype=np.float64)


def largest(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest weighted score (...) over all ages of scores (..., J)."""
    return np.asarray(np.abs(AGE_WEIGHTS * scores).max(axis=-1), dtype=np.float64)
