"""The class mix as evidence: class by class, how far the boxes' shares are from what is normal at their hour.

Of a window's n boxes n_c are of class c, and p_c is normal. The variance of n_c is n p_c (1 - p_c) (a + rho n): of a
Dirichlet-multinomial a is 1 - rho, and its overdispersion rho is 1 where all boxes of a window are alike (the cars that
are parked there); a is larger where each object gives a boxes, one a frame, and there are the more objects the more
boxes. The score of a change of shares under it (Williams, Extra-binomial variation in logistic linear models, Applied
Statistics 31, 1982) is

    e_c = w (n_c / n - p_c) / sqrt(p_c (1 - p_c)),   w = n / (a + rho n)

so that a window counts for as many boxes as it has independent ones. From there on it is judged like any evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.drift.contexts import HOURS
from agent.drift.noise import matched_filters
from agent.drift.series import EvidenceSeries, largest, score

MOST_CLASSES = 8
"""Classes judged by themselves; the others, and those that the reference never saw, are judged together."""

_LEAST_SHARE = (
    0.01  # of all boxes: rarer ones are judged with the others; no share counts as less likely than this
)
_MOST = 4.0  # what one window may count for, in usual sizes
_LEAST_UNIT = 0.5  # of the largest: by the model all are alike, but where nothing of a class was seen
_LEAST = 1e-3  # of a: a single class has no scatter at all
_PRIOR_WINDOWS = 120.0  # what "this hour's boxes are as dependent as the others'" is worth


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassMix:
    """What is learnt of it; C columns, one for each place in `judged` (of the reference's class_ids), and the others.

    `overdispersion` (24, 2), a and rho by hour of day; `unit` (C,) the usual size of evidence; `noise` (1, C, 8) how it
    wanders, `size` (1, C, J) what scores still exceed 1 by.
    """

    judged: tuple[int, ...]
    overdispersion: NDArray[np.float64]
    unit: NDArray[np.float64]
    noise: NDArray[np.float64]
    size: NDArray[np.float64]

    def evidence(
        self, counts: NDArray[np.float64], shares: NDArray[np.float64], hours: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Evidence (W, C) of windows with boxes `counts` (W, K+1), the last being unknown classes, where `shares`
        (W, K) are normal; 0 without boxes, or where nothing is known of the hour."""
        found = _scores(*_grouped(counts, shares, self.judged), self.overdispersion[hours])
        return np.asarray(np.clip(found / self.unit, -_MOST, _MOST), dtype=np.float64)

    def weights(
        self,
        counts: NDArray[np.float64],
        shares: NDArray[np.float64],
        hours: NDArray[np.int64],
        usual_boxes: float,
    ) -> NDArray[np.float64]:
        """With what weight a change shows in windows, (W,): how many boxes of their own each counts for, and 1 is what
        a window with the usual number of boxes does."""
        seen, normal = _grouped(counts, shares, self.judged)
        usual = _independent(
            np.array([max(usual_boxes, 1.0)]), self.overdispersion.mean(axis=0, keepdims=True)
        )
        found = _independent(seen.sum(axis=1), self.overdispersion[hours]) / usual
        return np.asarray(np.where(_known(seen, normal), found, 0.0))

    def shown(
        self, counts: NDArray[np.float64], shares: NDArray[np.float64], hour: int, usual_boxes: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Evidence (1, C) of one window with boxes `counts` (K+1,), and with what weight a change shows, alike."""
        where = counts[None], shares[None], np.array([hour])
        evidence = self.evidence(*where)
        return evidence, np.broadcast_to(self.weights(*where, usual_boxes)[:, None], evidence.shape)

    def filters(self, longest: int) -> NDArray[np.float64]:
        """Filters (1, C, J, K) that make scores out of a fading memory (1, C, K)."""
        return matched_filters(self.noise, longest) / self.size[..., None]

    @staticmethod
    def tops(memory: NDArray[np.float64], filters: NDArray[np.float64]) -> NDArray[np.float64]:
        """The largest weighted score of each column (C,) of a memory (1, C, K), by `filters`."""
        return np.asarray(largest(score(memory, filters))[0])


def learn_class_mix(
    counts: NDArray[np.float64],
    shares: NDArray[np.float64],
    hours: NDArray[np.int64],
    gaps: NDArray[np.float64],
    blocks: int,
) -> tuple[ClassMix, NDArray[np.float64]]:
    """The mix of held-out windows with boxes `counts` (W, K+1) where `shares` (W, K) are normal, and the largest scores
    (W, C) that it has there."""
    common = counts[:, :-1].sum(axis=0) / max(counts.sum(), 1.0)
    order = np.argsort(-common, kind="stable")[:MOST_CLASSES]
    judged = tuple(int(place) for place in order if common[place] >= _LEAST_SHARE)
    seen, normal = _grouped(counts, shares, judged)
    overdispersion = _overdispersion(seen, normal, hours)
    raw = _scores(seen, normal, overdispersion[hours])
    gate = np.broadcast_to((_known(seen, normal))[:, None], raw.shape).astype(np.float64)
    unit = np.sqrt((raw**2).sum(axis=0) / np.maximum(gate.sum(axis=0), 1.0))
    unit = np.maximum(unit, _LEAST_UNIT * max(float(unit.max()), _LEAST))
    evidence = np.clip(raw / unit, -_MOST, _MOST)
    series = EvidenceSeries(evidence=evidence[:, None], gates=gate[:, None], gaps=gaps, blocks=blocks)
    noise = _with_others(series.noise(max(len(judged), 1)))
    size = series.sizes(noise)
    made = ClassMix(judged=judged, overdispersion=overdispersion, unit=unit, noise=noise, size=size)
    return made, series.tops(made.filters(series.longest))[:, 0]


def _with_others(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noise (1, C, 8) in which the others, the last, of whom there may be none, wander as much as a usual class."""
    usual = noise[:, : max(noise.shape[1] - 1, 1)].mean(axis=1)
    return np.concatenate([noise[:, :-1], np.maximum(noise[:, -1:], usual[:, None])], axis=1)


def _grouped(
    counts: NDArray[np.float64], shares: NDArray[np.float64], judged: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts and shares of the classes judged, and of the others together: both (W, C)."""
    places = list(judged)
    seen, normal = counts[:, places], shares[:, places]
    others = counts.sum(axis=1) - seen.sum(axis=1)
    return np.column_stack([seen, others]), np.column_stack([normal, 1.0 - normal.sum(axis=1)])


def _known(seen: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which windows (W,) have boxes, at an hour of which something is known."""
    return np.asarray((seen.sum(axis=1) > 0) & np.isfinite(normal).all(axis=1))


def _spreads(normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """p (1 - p), with p no closer to 0 or 1 than what a reference can know."""
    share = np.clip(normal, _LEAST_SHARE, 1.0 - _LEAST_SHARE)
    return share * (1.0 - share)


def _scores(
    seen: NDArray[np.float64], normal: NDArray[np.float64], overdispersion: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The scores e_c of windows, (W, C)."""
    known = _known(seen, normal)
    boxes = np.maximum(seen.sum(axis=1), 1.0)
    weight = _independent(boxes, overdispersion)
    off = (seen / boxes[:, None] - normal) / np.sqrt(_spreads(normal))
    return np.where(known[:, None], weight[:, None] * off, 0.0)


def _independent(boxes: NDArray[np.float64], overdispersion: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many independent boxes (W,) so many count for, by a and rho (W, 2)."""
    return np.asarray(boxes / (overdispersion[:, 0] + overdispersion[:, 1] * boxes))


def _overdispersion(
    seen: NDArray[np.float64], normal: NDArray[np.float64], hours: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(a, rho) by hour of day, (24, 2): the least squares of Pearson's statistic of windows on their boxes, and by how
    much more each hour has of it, drawn towards the whole."""
    known = _known(seen, normal)
    if not known.any():
        return np.tile([1.0, 0.0], (HOURS, 1))
    boxes, at = seen[known].sum(axis=1), hours[known]
    off = seen[known] / boxes[:, None] - normal[known]
    pearson = boxes * (off**2).sum(axis=1) / _spreads(normal[known]).sum(axis=1)
    whole = _line(boxes, pearson)
    excess, weights = np.zeros((2, HOURS))
    np.add.at(excess, at, pearson / (whole[0] + whole[1] * boxes))
    np.add.at(weights, at, 1.0)
    return np.asarray(((excess + _PRIOR_WINDOWS) / (weights + _PRIOR_WINDOWS))[:, None] * whole)


def _line(boxes: NDArray[np.float64], pearson: NDArray[np.float64]) -> NDArray[np.float64]:
    """(a, rho), neither below 0 and not both 0: pearson = a + rho boxes, windows with many boxes scattering more."""
    weight = np.asarray(boxes**-0.5)
    line, *_ = np.linalg.lstsq(np.column_stack([weight, weight * boxes]), weight * pearson, rcond=None)
    if line[0] < _LEAST:
        line = np.array([_LEAST, pearson.sum() / boxes.sum()])
    elif line[1] < 0:
        line = np.array([pearson.mean(), 0.0])
    return np.asarray(np.maximum(line, [_LEAST, 0.0]), dtype=np.float64)
