"""From a window's raw evidence to what is remembered of it: centred, gated, bounded, and freed of shared causes.

1. Each aspect less its usual mean, within ±`most`, over how loud its hour is.
2. The window as a whole is shrunk where it says more than the reference's windows do: one odd minute is no drift.
3. Causes that move many features at once (weather, light) are taken out as a few common factors. What is left of
   each feature is free of them, and the factors follow as further columns, with noise and limits of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.drift.contexts import HOURS
from agent.drift.evidence import ASPECTS
from agent.drift.memory import TIMES, fading_means

MOST = np.array([4.0, 3.0, 3.0])
"""What one window may count for, in sigma of each aspect: a minute with a lorry before the lens is no drift, and
means of bounded evidence are soon normal, whatever its tails."""

UNBOUNDED = 1e30
"""The bound of a window where none was learnt."""

FACTORS = 3
"""Common factors of each aspect at most: light, weather, and people."""

_LEAST_SPREAD = 0.02
_PRIOR_WINDOWS = 120.0  # what "this hour scatters like the others" is worth
_LEAST_INFORMED = 0.08  # of all windows: a feature that says something in fewer is left to its distribution
_USUAL_SHARE = 0.98  # of the reference's windows are left as they are by the bound
_SLOW = int(np.flatnonzero(TIMES == 16.0)[0])
"""The fading mean that factors are looked for in: over half an hour a shared cause outweighs what is each one's own."""

_INDEPENDENT = 64.0  # windows between two looks of that mean that are as good as independent
_BEYOND_CHANCE = 1.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refinement:
    """What is learnt for it from held-out windows; R common factors of each aspect.

    `offset` (3, F) evidence's mean; `most` (3, F) what one window may count for; `loud` (24, 3, F) by how much more
    it scatters at an hour of the day than on the whole, 1 or more; `unit` (3, F) its size then; `bound` what a window's
    sum of squares in those units may be; `loadings` (3, F, R) orthonormal columns, or zeros: how each factor shows.
    """

    offset: NDArray[np.float64]
    most: NDArray[np.float64]
    loud: NDArray[np.float64]
    unit: NDArray[np.float64]
    bound: float
    loadings: NDArray[np.float64]

    @property
    def factors(self) -> int:
        """R, how many common factors each aspect has room for."""
        return int(self.loadings.shape[2])

    @property
    def units(self) -> NDArray[np.float64]:
        """The usual size of each column, (3, F + R)."""
        return np.concatenate([self.unit, np.ones((len(self.unit), self.factors))], axis=1)

    def __call__(
        self, aspects: NDArray[np.float64], trust: NDArray[np.float64], hours: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Evidence (..., 3, F) as it is remembered, (..., 3, F + R).

        `hours`, of a shape that broadcasts to (..., F), are the hours of day that each feature is compared with.
        """
        return self._separated(self._bounded(self._centred(aspects, trust, hours)))

    def weights(
        self, trust: NDArray[np.float64], speaks: NDArray[np.bool_], hours: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """With what weight a change would show in windows of this `trust` (..., 3, F), (..., 3, F + R): 1 in full, 0 of
        features that the moment does not `speak` of, (..., F)."""
        shows = speaks[..., None, :] & (self.most > 0.0)
        features = np.where(shows, trust, 0.0) / self._loudness_at(hours)
        factors = np.einsum("...af,afr->...ar", features, self.loadings**2)
        return np.concatenate([features, factors], axis=-1)

    def gates(self, gate: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much the moment lets each column say, (..., 3, F + R), of that of the features (..., F)."""
        features = np.repeat(gate[..., None, :], len(ASPECTS), axis=-2)
        factors = np.einsum("...f,afr->...ar", gate, self.loadings**2)
        return np.concatenate([features, factors], axis=-1)

    def of_features(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evidence (3, F, ...) of features with the factors' part, from columns (3, F + R, ...)."""
        features = self.offset.shape[1]
        own, factors = columns[:, :features], columns[:, features:]
        shared = np.einsum("afr,ar...->af...", self.loadings * self.unit[..., None], factors)
        return np.asarray(own + shared, dtype=np.float64)

    def converted(self, sizes: NDArray[np.float64], to: Refinement) -> NDArray[np.float64]:
        """A change (3, F + R) in usual sizes as what it is `to` another refinement of the same features."""
        return np.asarray(to._separated(self.of_features(sizes * self.units)) / to.units, dtype=np.float64)

    def _centred(
        self, aspects: NDArray[np.float64], trust: NDArray[np.float64], hours: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        kept = np.clip(aspects - self.offset, -self.most, self.most)
        return np.asarray(trust * kept / self._loudness_at(hours))

    def _loudness_at(self, hours: NDArray[np.int64]) -> NDArray[np.float64]:
        """How loud each feature is at `hours` (..., F), (..., 3, F)."""
        return np.swapaxes(self.loud[hours, :, np.arange(self.offset.shape[1])], -1, -2)

    def _bounded(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        size = _sizes(evidence, self.unit)
        return evidence * np.sqrt(np.minimum(1.0, self.bound / np.maximum(size, 1e-30)))[..., None, None]

    def _separated(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        units = evidence / self.unit
        factors = np.einsum("...af,afr->...ar", units, self.loadings)
        own = units - np.einsum("...ar,afr->...af", factors, self.loadings)
        return np.concatenate([own * self.unit, factors], axis=-1)


def learn(
    aspects: NDArray[np.float64],
    trust: NDArray[np.float64],
    gate: NDArray[np.float64],
    hours: NDArray[np.int64],
    gaps: NDArray[np.float64],
) -> Refinement:
    """The refinement that held-out windows (W, 3, F), gates (W, F), hours and gaps (W,) show."""
    weight = np.maximum(trust.sum(axis=0), 1e-9)
    offset = (trust * aspects).sum(axis=0) / weight
    spread = np.sqrt((trust * (aspects - offset) ** 2).sum(axis=0) / weight)
    informed = gate.mean(axis=0) >= _LEAST_INFORMED
    most = MOST[:, None] * np.where(informed, np.maximum(spread, _LEAST_SPREAD), 0.0)
    centred = trust * np.clip(aspects - offset, -most, most)
    loud = _loudness(centred, trust, hours)
    evidence = centred / loud[hours]
    weights = np.maximum((gate**2).sum(axis=0), 1e-9)
    unit = np.maximum(np.sqrt((evidence**2).sum(axis=0) / weights), _LEAST_SPREAD)
    features = offset.shape[1]
    plain = Refinement(
        offset=offset, most=most, loud=loud, unit=unit,
        bound=float(np.quantile(_sizes(evidence, unit), _USUAL_SHARE)),
        loadings=np.zeros((len(ASPECTS), features, 0)),
    )  # fmt: skip
    return replace(plain, loadings=_loadings(plain(aspects, trust, hours[:, None]) / unit, gaps))


def nothing_learnt(offset: NDArray[np.float64], most: NDArray[np.float64]) -> Refinement:
    """A refinement that only centres and bounds each feature by itself; both (3, F)."""
    return Refinement(
        offset=offset,
        most=most,
        loud=np.ones((HOURS, *offset.shape)),
        unit=np.ones(offset.shape),
        bound=UNBOUNDED,
        loadings=np.zeros((*offset.shape, 0)),
    )


def _sizes(evidence: NDArray[np.float64], unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of squares of each window (..., 3, F) in usual sizes, (...)."""
    return np.asarray(((evidence / unit) ** 2).sum(axis=(-2, -1)), dtype=np.float64)


def _loudness(
    series: NDArray[np.float64], trust: NDArray[np.float64], hours: NDArray[np.int64]
) -> NDArray[np.float64]:
    """By how much more evidence (W, 3, F) scatters at an hour of the day than on the whole, (24, 3, F), 1 or more.

    A count that is seldom above 0 at night says little then, and much at noon: one limit for both would be too
    low for noon. Hours count half for their neighbours, and are drawn towards the whole.
    """
    squares, weights = np.zeros((2, HOURS, *series.shape[1:]))
    np.add.at(squares, hours, series**2)
    np.add.at(weights, hours, trust**2)
    whole = squares.sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-9)
    around = [
        each + (np.roll(each, 1, axis=0) + np.roll(each, -1, axis=0)) / 2 for each in (squares, weights)
    ]
    drawn = (around[0] + _PRIOR_WINDOWS * whole) / (around[1] + _PRIOR_WINDOWS)
    return np.asarray(np.sqrt(np.maximum(drawn / np.maximum(whole, 1e-12), 1.0)), dtype=np.float64)


def _loadings(units: NDArray[np.float64], gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """How common factors show in evidence (W, 3, F) of unit size: (3, F, FACTORS), zeros where chance explains it.

    The eigenvectors of the correlation of its slow means whose eigenvalues exceed what independent features would
    show in as many looks: (1 + sqrt(F / looks))², the edge of Marchenko and Pastur's law.
    """
    slow = fading_means(units, gaps, _SLOW)
    windows, aspects, features = slow.shape
    edge = _BEYOND_CHANCE * (1.0 + np.sqrt(features / (windows / _INDEPENDENT))) ** 2
    found = np.zeros((aspects, features, FACTORS))
    for aspect in range(aspects):
        size = np.sqrt((slow[:, aspect] ** 2).mean(axis=0))
        ready = slow[:, aspect] / np.maximum(size, 1e-9)
        values, vectors = np.linalg.eigh(ready.T @ ready / windows)
        chosen = [place for place in range(features - 1, -1, -1) if values[place] > edge][:FACTORS]
        if chosen:
            basis, _ = np.linalg.qr(vectors[:, chosen] * size[:, None])
            found[aspect, :, : len(chosen)] = basis
    return found
