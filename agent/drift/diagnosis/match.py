"""The matching: which known cause explains a shift of a camera's numbers best, how surely, and how severe it is. Pure.

A *shift* is a vector: the image's features in units of the camera's own scatter, then the traits of its portrait in
units of TRAIT_UNITS; both as `sign(x) ln(1 + |x|)`, for a fault that is twice as strong is the same fault. Each cause
was applied to the camera's own frames at SEVERITIES: its *signature*, a curve through as many points from the shift of
none. The distance of a shift from a curve, over its distance from none, is what the cause leaves unexplained.

    unexplained > NONE              none of the known causes
    shift below LEAST               too small to compare
    else                            the nearest; confidence: its share of exp(-d^2 / 2 s^2), s = SPREAD times the shift

Two causes at once shift by about the sum of their shifts, before these are compressed: so the nearest cause is also
tried together with each other one. They are a pair where that leaves less than PAIR of what the nearest leaves alone.
A second cause has a severity of its own, and any of eleven will fit a little: with about 13 independent numbers that
alone is worth (BIC) a factor of exp(-(ln 13 + 2 ln 11) / 26) = 0.75 in distance.

Weighted by how well the causes of one implementation were recognised in frames that another had changed
(docs/benchmarks-diagnosis.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.drift.diagnosis.cause import SEVERITIES
from agent.drift.diagnosis.portrait import TRAITS

IMAGE_FEATURES = (
    "brightness", "contrast", "sharpness", "saturation", "warmth", "tint", "noise", "entropy", "clipped_dark",
    "clipped_bright",
)  # fmt: skip

_LOG_OFFSET = {"brightness": 2.0, "contrast": 1.0, "sharpness": 1.0, "saturation": 0.02, "noise": 0.1}
"""Features that change by factors are compared as logarithms, with so much added."""

_LEAST_SCATTER = np.array([0.03, 0.03, 0.05, 0.05, 0.01, 0.01, 0.05, 0.05, 0.005, 0.005])
"""Of IMAGE_FEATURES: what scatters less is no finer a measure of a change."""

TRAIT_UNITS = np.array(
    [0.1, 0.1, 0.1, 0.3, 0.3, 0.3, 0.5, 0.5, 0.4, 0.3, 0.3, 0.3, 0.2, 0.4, 0.15, 0.15, 0.1]
)
"""Of TRAITS: a change that a person would just see."""

_WEIGHTS = np.concatenate([np.ones(len(IMAGE_FEATURES)), np.full(len(TRAITS), 1.2)])
_MOST = 200.0
_GRID = np.array([0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0])

LEAST, NONE, SPREAD = 2.0, 0.7, 0.15
QUIET, QUIET_NONE = 4.0, 0.5
"""The same as NONE where no feature of the image is over its limit, and the shift is below QUIET: twice what frames
have to which nothing happened."""

UNLIKE, UNFIT = 0.3, 0.72
"""Of two views' likeness, 1 for the same: as they are, and once one was moved to fit the other best. Below both there
is another scene; a camera that was moved fits."""

SCENE_NONE = 0.45
"""The same as NONE where the views are unlike: what covers them explains more."""

PAIR = 0.6
"""Of what the nearest cause leaves unexplained: a pair that leaves more is none. Chosen on street.1, warehouse.2 and
bottle, by pairs of faults of other code."""

_PAIR_GRID = np.array([0.2, 0.4, 0.65, 1.0])

_SIGMAS_WITHIN = 2.563  # a normal distribution's, from its 10th to its 90th percentile


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A cause, its share of the confidence, the `variant` and severity at which it fits best, and what it leaves
    unexplained."""

    cause: str
    variant: int
    confidence: float
    severity: float
    unexplained: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The candidates, the likeliest first; `also` is the cause that explains most together with the first, and
    `together` what both leave unexplained; `size` of the shift; the views' `likeness` as they are, moved to `fit`."""

    candidates: tuple[Candidate, ...]
    also: str
    together: float
    size: float
    likeness: float
    fit: float


def scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """IMAGE_FEATURES (..., 10) as they are compared: some as logarithms."""
    out = np.array(values, dtype=np.float64)
    for name, offset in _LOG_OFFSET.items():
        place = IMAGE_FEATURES.index(name)
        out[..., place] = np.log(np.maximum(out[..., place], 0.0) + offset)
    return out


def shift_of(
    now: NDArray[np.float64], low: NDArray[np.float64], then: NDArray[np.float64], high: NDArray[np.float64],
    *, traits: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """The shift of medians `now` from the usual 10th, 50th and 90th percentile, (10,) each, with `traits` (T,)."""
    scatter = np.maximum((scaled(high) - scaled(low)) / _SIGMAS_WITHIN, _LEAST_SCATTER)
    features = np.clip((scaled(now) - scaled(then)) / scatter, -_MOST, _MOST)
    whole = np.nan_to_num(np.concatenate([features, traits / TRAIT_UNITS]))
    return _compressed(whole)


Curves = Mapping[str, Sequence[NDArray[np.float64]]]
"""Of each cause, its variants' shifts at SEVERITIES, (3, SIZE) each."""

SIZE = len(IMAGE_FEATURES) + len(TRAITS)
"""Numbers of a shift."""


def match(shift: NDArray[np.float64], none: NDArray[np.float64], curves: Curves) -> Match:
    """Match a `shift` (SIZE,) with the signatures `curves`; `none` (SIZE,) is the shift of frames that nothing happened
    to."""
    size = float(np.linalg.norm(_WEIGHTS * (shift - none)))
    found = {
        cause: min((*_nearest(shift, none, each), number) for number, each in enumerate(variants))
        for cause, variants in curves.items()
    }
    spread = max(SPREAD * size, 1e-6)
    best = min(distance for distance, _, _ in found.values())
    weights = {
        cause: float(np.exp((best**2 - distance**2) / (2 * spread**2)))
        for cause, (distance, _, _) in found.items()
    }
    total = sum(weights.values())
    ranked = sorted(found, key=lambda cause: found[cause][0])
    beside = {
        cause: _together(shift, none, curves[ranked[0]], curves[cause])
        for cause in curves
        if cause != ranked[0]
    }
    also = min(beside, key=beside.__getitem__)
    return Match(
        also=also,
        together=beside[also] / max(size, 1e-9),
        candidates=tuple(
            Candidate(
                cause=cause,
                variant=found[cause][2],
                confidence=weights[cause] / total,
                severity=found[cause][1],
                unexplained=found[cause][0] / max(size, 1e-9),
            )
            for cause in ranked
        ),
        size=size,
        likeness=1.0 + _trait(shift, "likeness"),
        fit=1.0 + _trait(shift, "likeness") + _trait(shift, "moved_gain"),
    )


def _trait(shift: NDArray[np.float64], name: str) -> float:
    """A trait as it was measured."""
    place = TRAITS.index(name)
    compressed = float(shift[len(IMAGE_FEATURES) + place])
    return float(_expanded(np.array(compressed)) * TRAIT_UNITS[place])


def _together(
    shift: NDArray[np.float64],
    none: NDArray[np.float64],
    first: Sequence[NDArray[np.float64]],
    second: Sequence[NDArray[np.float64]],
) -> float:
    """The distance from what two causes do together, at the severities and variants that fit best."""
    usual = _expanded(none)
    both = [
        np.vstack([_expanded(_curve(none, points, _PAIR_GRID)) for points in each]) - usual
        for each in (first, second)
    ]
    added = _compressed(both[0][:, None] + both[1][None] + usual)
    return float(np.linalg.norm(_WEIGHTS * (added - shift), axis=-1).min())


def _compressed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def _expanded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sign(values) * np.expm1(np.abs(values)))


def _curve(
    none: NDArray[np.float64], points: NDArray[np.float64], severities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The shifts (n, SIZE) at `severities` (n,) on the curve through `points`."""
    known = np.vstack([none, points])
    columns = [np.interp(severities, (0.0, *SEVERITIES), column) for column in known.T]
    return np.asarray(np.stack(columns, axis=-1), dtype=np.float64)


def _nearest(
    shift: NDArray[np.float64], none: NDArray[np.float64], points: NDArray[np.float64]
) -> tuple[float, float]:
    """The distance from a curve, and the severity there."""
    distances = np.linalg.norm(_WEIGHTS * (_curve(none, points, _GRID) - shift), axis=1)
    place = int(distances.argmin())
    return float(distances[place]), float(_GRID[place])
