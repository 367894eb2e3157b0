"""Two distributions of each feature side by side: two references, or what a fleet sent against a reference. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import ReferenceMismatch
from agent.core.kll import Sketch
from agent.drift.reference import Reference
from agent.drift.statistics import ks, psi

BINS = 20
RANKS = (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparisonRow:
    """One feature: KS and PSI between `first` and `second`, of which p10, p50 and p90 (3,) are given."""

    feature: str
    ks: float
    psi: float
    first: NDArray[np.float64]
    second: NDArray[np.float64]


def compare(first: Reference, second: Reference) -> list[ComparisonRow]:
    """Two references over all their hours, the features that differ most first; ReferenceMismatch if incomparable."""
    if first.origin.features != second.origin.features or (
        first.origin.feature_version != second.origin.feature_version
    ):
        raise ReferenceMismatch(
            f"these references have different features (version {first.origin.feature_version} and "
            f"{second.origin.feature_version}): they cannot be compared"
        )
    rows = [_row(name, first.whole(name), second.whole(name)) for name in first.origin.features]
    return sorted(rows, key=lambda row: -row.ks)


def _row(feature: str, first: Sketch, second: Sketch) -> ComparisonRow:
    distance = distances(first, second)
    return ComparisonRow(
        feature=feature,
        ks=distance[0],
        psi=distance[1],
        first=first.quantiles(RANKS),
        second=second.quantiles(RANKS),
    )


def distances(normal: Sketch, seen: Sketch) -> tuple[float, float]:
    """KS, exact but for the sketches' grain, and PSI over the quantiles of `normal`; NaN where one is empty.

    A repeated value (a count) fills several quantiles: its bins are one.
    """
    if not normal.count or not seen.count:
        return float("nan"), float("nan")
    points = np.union1d(normal.weighted()[0], seen.weighted()[0]).astype(np.float64)
    largest = float(np.abs(normal.cdf(points) - seen.cdf(points)).max())
    edges = np.unique(normal.quantiles(np.arange(1, BINS) / BINS))
    shares = [np.diff(sketch.cdf(edges), prepend=0.0, append=1.0) for sketch in (normal, seen)]
    return max(largest, float(ks.distance(shares[1], shares[0]))), float(psi.distance(shares[1], shares[0]))
