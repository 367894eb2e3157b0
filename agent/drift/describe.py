"""What scores mean, for people: each feature's standing, by how much it changed, how it is and how it was. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from agent.drift.alarm import Gauge
from agent.drift.calibrate import ScoreLimits
from agent.drift.distances import NO_MIX, MixChange, Reached
from agent.drift.evidence import ASPECTS, EDGES
from agent.drift.memory import AGE_WEIGHTS, AGES, KEEP, SCALES
from agent.drift.pairs import SCALES as PAIR_SCALES
from agent.drift.pairs import pairs_of
from agent.drift.pairs_seen import PairsSeen
from agent.drift.reference import Reference
from agent.drift.remembered import QUANTILES, Remembered
from agent.drift.scoring import Scored
from agent.drift.series import score
from agent.drift.statistics import STATISTICS, statistics
from agent.drift.tables import ContextTable, interpolate_rows
from agent.drift.verdict import ClassVerdict, FeatureVerdict, Measured, PairVerdict

_FOLLOWS = 0.5
"""Of the largest share in a common factor: features with so much of it are named where the factor stands out."""

_KS = list(STATISTICS).index("ks")


class Describer:
    """Describes by one reference and its limits."""

    def __init__(self, reference: Reference, limits: ScoreLimits) -> None:
        self._names, self._boxes = reference.origin.features, reference.usual_boxes
        self._minutes = reference.origin.window_seconds / 60.0
        self._calibration, self._limits = reference.calibration, limits
        mix = reference.calibration.mix
        self._mix_filters = mix.filters(reference.calibration.longest) if mix else None

    def features(
        self, scored: Scored, remembered: Remembered, table: ContextTable
    ) -> tuple[FeatureVerdict, ...]:
        """One verdict for each feature, compared with what is normal by `table`."""
        usual, allowed, distances = self._calibration.distances, self._limits, remembered.fading.of_features()
        each = np.arange(len(self._names))
        column = self._standing_for(scored.ratios)
        aspect = np.take_along_axis(scored.ratios, column, axis=1).argmax(axis=0)
        column = column[aspect, each]
        ratios, weighted = scored.ratios[aspect, column], scored.weighted[aspect, column]
        best = np.abs(weighted).argmax(axis=-1)
        top = weighted[each, best] * self._direction(aspect, column)
        sizes = distances[_KS] / usual[_KS]
        scale = sizes.argmax(axis=0)
        shape = sizes[scale, each] / allowed.distances[_KS]
        by_shape = shape > ratios
        measured = _measured(distances[:, scale, each], usual[:, scale, each] * allowed.distances)
        now, then = _percentiles(scale, remembered, table)
        shift = self._shifts(remembered.memory, aspect, best)
        return tuple(
            FeatureVerdict(
                feature=name,
                aspect="shape" if by_shape[f] else ASPECTS[aspect[f]],
                score=float(sizes[scale[f], f] if by_shape[f] else top[f]),
                limit=float(
                    allowed.distances[_KS, f] if by_shape[f] else allowed.aspects[aspect[f], column[f]]
                ),
                ratio=float(max(shape[f], ratios[f])),
                minutes=float(SCALES[scale[f]] if by_shape[f] else AGES[best[f]]) * self._minutes,
                shift=float(shift[f]),
                distances=measured[f],
                distance_minutes=float(SCALES[scale[f]]) * self._minutes,
                now=tuple(now[f].tolist()),
                then=tuple(then[f].tolist()),
            )
            for f, name in enumerate(self._names)
        )

    def _standing_for(self, ratios: NDArray[np.float64]) -> NDArray[np.int64]:
        """The column (3, F) that stands out most of each feature's own and the factors it mainly follows."""
        loadings = np.abs(self._calibration.refinement.loadings)
        features = loadings.shape[1]
        follows = loadings >= np.maximum(_FOLLOWS * loadings.max(axis=1, keepdims=True), 1e-9)
        shared = np.where(follows, ratios[:, None, features:], 0.0)
        every = np.concatenate([ratios[:, :features, None], shared], axis=-1)
        place = every.argmax(axis=-1)
        return np.where(place > 0, features + place - 1, np.arange(features))

    def _direction(self, aspect: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.float64]:
        """1, or -1 where a feature goes down as the factor that stands for it goes up, (F,)."""
        loadings = self._calibration.refinement.loadings
        if not loadings.shape[2]:
            return np.ones(column.size)
        factor = np.maximum(column - column.size, 0)
        sign = np.sign(loadings[aspect, np.arange(column.size), factor])
        return np.where(column >= column.size, sign, 1.0)

    def _shifts(
        self, memory: NDArray[np.float64], aspect: NDArray[np.int64], age: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """By how much each feature's aspect has changed since, (F,)."""
        place = np.minimum(np.searchsorted(1.0 / (1.0 - KEEP), AGES[age]), KEEP.size - 1)
        whole = self._calibration.refinement.of_features(memory)
        level = whole[aspect, np.arange(age.size), place]
        return np.asarray(level / (1.0 - KEEP[place] ** AGES[age]), dtype=np.float64)

    def classes(self, remembered: Remembered, mix: MixChange) -> ClassVerdict | None:
        """The verdict on the class mix, of which the likelihood says `mix`; None where the reference has no boxes."""
        if not self._boxes:
            return None
        found, usual = remembered.fading.of_classes(), self._calibration.classes
        scale = int((found[0] / usual[0]).argmax())
        limit = float(usual[0, scale]) * self._limits.classes
        return ClassVerdict(
            distance=float(found[0, scale]),
            limit=limit,
            ratio=max(float(found[0, scale]) / limit, mix.ratio),
            psi=float(found[1, scale] ** 2),
            psi_limit=float((usual[1, scale] * self._limits.classes) ** 2),
            minutes=float(SCALES[scale]) * self._minutes,
        )

    def pair(self, seen: PairsSeen, ratios: NDArray[np.float64]) -> PairVerdict | None:
        """The verdict on the pair that stands out most by `ratios` (S, P), the scores of what was `seen` over their
        limit; None where pairs are not judged, or there is none."""
        if not ratios.size or seen.pairs is None or seen.memory is None:
            return None
        scale, place = np.unravel_index(int(ratios.argmax()), ratios.shape)
        first, second = (int(each[place]) for each in pairs_of(len(self._names)))
        return PairVerdict(
            first=self._names[first],
            second=self._names[second],
            correlation=float(seen.pairs.correlations(seen.memory)[scale, place]),
            usual=float(seen.pairs.usual[place]),
            ratio=float(ratios[scale, place]),
            minutes=float(PAIR_SCALES[scale]) * self._minutes,
        )

    def _mix_change(self, memory: NDArray[np.float64]) -> MixChange:
        """Of the mix's memory (1, C, K): the largest score of a class, over its limit, and the classes that stand out
        half as much."""
        if self._mix_filters is None:
            return NO_MIX
        scores = np.abs(AGE_WEIGHTS * score(memory, self._mix_filters)) / self._limits.mix[:, None]
        tops = scores.max(axis=-1)
        age = int(AGES[scores.max(axis=(0, 1)).argmax()])
        return MixChange(float(tops.max()), np.asarray(tops >= tops.max() / 2), age)

    @property
    def mix_gauge(self) -> Gauge:
        """What measures evidence of the class mix."""
        assert self._mix_filters is not None  # there is a likelihood
        return Gauge(filters=self._mix_filters, limits=self._limits.mix[None])

    def reached(self, remembered: Remembered) -> Reached:
        """How far distributions, the class mix and pairs are, over their limits."""
        fading, limits = remembered.fading, self._limits
        shapes = fading.ks_of_features() / (self._calibration.distances[_KS] * limits.distances[_KS])
        mix = np.zeros((SCALES.size, 1))
        if self._boxes:
            mix[:, 0] = fading.of_classes()[0] / (self._calibration.classes[0] * limits.classes)
        return Reached(
            shapes=np.hstack([shapes, mix]),
            pairs=self._pairs(remembered.pairs),
            shape_noise=limits.shape_noise,
            pair_noise=limits.pair_noise,
            mix=self._mix_change(remembered.classes),
        )

    def _pairs(self, seen: PairsSeen) -> NDArray[np.float64]:
        """The scores of pairs over their limit, (S, P); P is 0 where pairs are not judged."""
        if seen.pairs is None or seen.memory is None:
            return np.zeros((PAIR_SCALES.size, 0))
        return np.asarray(np.abs(seen.pairs.scores(seen.memory)) / self._limits.pairs[0])


def _measured(sizes: NDArray[np.float64], limits: NDArray[np.float64]) -> list[Mapping[str, Measured]]:
    """Each feature's distances by statistic, of their sizes and limits (S, F)."""
    return [
        {
            name: Measured(statistic.value(float(size)), statistic.value(float(limit)))
            for name, statistic, size, limit in zip(STATISTICS, every, *pairs, strict=True)
        }
        for every in [statistics()]
        for pairs in zip(sizes.T, limits.T, strict=True)
    ]


def _percentiles(
    scale: NDArray[np.int64], remembered: Remembered, table: ContextTable
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """p10, p50, p90 (F, 3) of now, at each feature's scale, and of what is normal.

    Within the range of the reference they are read off the fading ranks; beyond it ranks say nothing, and the
    mean of the windows' own percentiles stands in.
    """
    each = np.arange(scale.size)
    assert remembered.knots is not None  # a window was taken in before
    ranks, own = remembered.fading.ranks[scale, each], remembered.knots[scale, each]
    asked = np.broadcast_to(QUANTILES, (each.size, QUANTILES.size))
    edges = np.broadcast_to(EDGES, ranks.shape)
    at = interpolate_rows(asked, np.maximum.accumulate(ranks, axis=1), edges)
    now, then = table.values_at(at), table.values_at(asked)
    beyond = (at <= EDGES[0]) | (at >= EDGES[-1])
    return np.where(beyond & np.isfinite(own), own, now), then
