"""How far an embedding is from all those of a reference: a Mahalanobis distance learnt in one pass.

The embedding is projected onto 32 fixed directions first (embedding.py): distances survive (Johnson and
Lindenstrauss), and the model is 9 kB instead of half a megabyte for 256 dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.arrays import array, numbers
from agent.core.errors import ReferenceMismatch
from agent.core.untrusted import BadInput, take_integer
from agent.features.embedding import project

DIMENSIONS = 32
LEAST = 4 * DIMENSIONS
"""Embeddings from which on there is a distance; with fewer, the covariance is mostly its own noise."""

BINS, SMALLEST, LARGEST = 256, 0.05, 50.0
"""Logarithmic bins of distances, 2.7 % wide: a KLL sketch knows no rank finer than 1 %, limits need 0.1 %."""

REFIT_GROWTH = 1.05
"""The factorised covariance is renewed when this much more has been added."""

_MOST = 2**53  # embeddings: a float64 counts no further
_HUGE = 1e20  # of a stored number: projected embeddings are of length one, and there are less than _MOST
_ROUNDING = 1e-9


class EmbeddingModel:
    """Mean and covariance of the embeddings of a reference, and how far its own embeddings were from them.

    `add` takes one embedding after another (Welford's update); `distance` is
    `sqrt((p - mean)' C^-1 (p - mean) / 32)`, about 1 for a usual frame, where C is the covariance shrunk
    towards a multiple of the identity (Chen, Wiesel, Eldar and Hero, 2010, "OAS"). Every embedding is
    measured before it is learnt, so `limit` speaks about frames the model had not seen. One thread's own.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = np.zeros(DIMENSIONS)
        self._scatter = np.zeros((DIMENSIONS, DIMENSIONS))
        self._before, self._now = np.zeros(BINS), np.zeros(BINS)  # how many distances fell into each bin
        self._whitener: NDArray[np.float64] | None = None
        self._fitted = 0

    def add(self, embedding: NDArray[np.float32]) -> None:
        """Learn one embedding (d,); one without direction (zero, not finite) is passed over."""
        point = project(embedding, DIMENSIONS)
        if point is None:
            return
        distance = self._distance(point)
        if distance is not None:
            self._now[_bin(distance)] += 1
        self.count += 1
        step = point - self._mean
        self._mean += step / self.count
        self._scatter += np.outer(step, point - self._mean)
        if self.count >= LEAST and self.count & (self.count - 1) == 0:
            # A new doubling: what was measured while the model knew a quarter of this is forgotten.
            self._before, self._now = self._now, np.zeros(BINS)

    def distance(self, embedding: NDArray[np.float32]) -> float:
        """The distance of `embedding` (d,); NaN while fewer than LEAST are known or it has no direction."""
        point = project(embedding, DIMENSIONS)
        distance = None if point is None else self._distance(point)
        return math.nan if distance is None else distance

    def limit(self, share: float = 0.001) -> float:
        """The distance that a `share` of normal frames exceeds; NaN while too little is known.

        The quantile of what was measured (upper edge of its bin); the largest distance seen where fewer than
        1 / share were.
        """
        counts = self._before + self._now
        above = counts[::-1].cumsum()
        if above[-1] < LEAST:
            return math.nan
        place = BINS - 1 - int(np.argmax(above > share * above[-1]))
        return float(SMALLEST * (LARGEST / SMALLEST) ** ((place + 1) / BINS))

    def merge(self, other: EmbeddingModel) -> EmbeddingModel:
        """A model of both sets of embeddings (Chan, Golub and LeVeque, 1979); neither is changed."""
        merged = EmbeddingModel()
        merged.count = self.count + other.count
        if merged.count == 0:
            return merged
        step = other._mean - self._mean
        merged._mean = self._mean + step * (other.count / merged.count)
        between = np.outer(step, step) * (self.count * other.count / merged.count)
        merged._scatter = self._scatter + other._scatter + between
        merged._before, merged._now = self._before + other._before, self._now + other._now
        return merged

    def widened(self, mean: NDArray[np.float64], count: int) -> EmbeddingModel:
        """A model that also knows `count` embeddings around `mean` (32,), projected, that scatter as its own do."""
        if not count or not self.count:
            return self.merge(EmbeddingModel())
        other = EmbeddingModel()
        other.count = min(count, self.count)
        other._mean = np.asarray(mean, dtype=np.float64)
        other._scatter = self._scatter * (other.count / self.count)
        return self.merge(other)

    def covariance(self) -> NDArray[np.float64]:
        """The shrunk covariance, (32, 32); needs two embeddings at least."""
        sample = self._scatter / self.count
        trace, squared = float(np.trace(sample)), float((sample * sample).sum())
        inverse = 1 / DIMENSIONS
        weight = 1.0
        spread = (self.count + 1 - 2 * inverse) * (squared - trace * trace * inverse)
        if spread > 0:
            weight = min(1.0, ((1 - 2 * inverse) * squared + trace * trace) / spread)
        # A camera that never sees anything new has no spread at all: a floor keeps the inverse finite.
        floor = trace * inverse * weight + 1e-9
        return (1 - weight) * sample + floor * np.eye(DIMENSIONS)

    def to_json(self) -> dict[str, Any]:
        """The model as a JSON object of 9 kB; `from_json` gives the same distances and limits."""
        upper = self._scatter[np.triu_indices(DIMENSIONS)]
        return {
            "dimensions": DIMENSIONS,
            "count": self.count,
            "mean": numbers(self._mean),
            "scatter": numbers(upper),
            "distances": numbers(np.concatenate((self._before, self._now)), "<u4"),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EmbeddingModel:
        """The model that `to_json` wrote. Raises ReferenceMismatch for anything else."""
        try:
            if take_integer(data, "dimensions", minimum=0) != DIMENSIONS:
                raise ReferenceMismatch(
                    f"the embedding model has {data['dimensions']} dimensions, this version {DIMENSIONS}"
                )
            model = cls()
            model.count = take_integer(data, "count", minimum=0, maximum=_MOST)
            model._mean = array(data, "mean", (DIMENSIONS,), low=-_HUGE, high=_HUGE)
            upper = np.zeros((DIMENSIONS, DIMENSIONS))
            half = (DIMENSIONS * (DIMENSIONS + 1) // 2,)
            upper[np.triu_indices(DIMENSIONS)] = array(data, "scatter", half, low=-_HUGE, high=_HUGE)
            distances = array(data, "distances", (2 * BINS,), kind="<u4")
            model._scatter = upper + np.triu(upper, 1).T
            model._before, model._now = distances[:BINS], distances[BINS:]
            model._check()
        except BadInput as error:
            raise ReferenceMismatch(f"not an embedding model: {error}") from None
        return model

    def _check(self) -> None:
        """BadInput where the scatter is that of no embeddings: it has no direction of negative size."""
        trace = float(np.trace(self._scatter))
        if not self.count and (trace or self._mean.any()):
            raise BadInput("`scatter` is that of embeddings, and there are none")
        smallest = float(np.linalg.eigvalsh(self._scatter)[0])
        if smallest < -_ROUNDING * max(trace, 1.0):
            raise BadInput("`scatter` is that of no embeddings")

    def _distance(self, point: NDArray[np.float64]) -> float | None:
        if self.count < LEAST:
            return None
        if self._whitener is None or self.count > self._fitted * REFIT_GROWTH:
            self._whitener = np.linalg.inv(np.linalg.cholesky(self.covariance()))
            self._fitted = self.count
        white = self._whitener @ (point - self._mean)
        return math.sqrt(float(white @ white) / DIMENSIONS)


def _bin(distance: float) -> int:
    place = BINS * math.log(max(distance, SMALLEST) / SMALLEST) / math.log(LARGEST / SMALLEST)
    return min(BINS - 1, int(place))
