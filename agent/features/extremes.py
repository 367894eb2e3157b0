"""The rarest values of each feature, kept exactly: outliers need the 0.1 % rank, a sketch knows none below 1 %."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.errors import ReferenceMismatch

KEPT = 1024
"""Values kept at each end: 0.1 % of six days at 2 frames a second; beyond, the limits are a little wider."""


class Extremes:
    """The lowest and highest KEPT values of `features` features; NaN counts as not seen. One thread's own."""

    def __init__(self, features: int) -> None:
        self.counts = np.zeros(features, dtype=np.int64)
        self._low = np.full((features, 0), np.inf, dtype=np.float32)
        self._high = np.full((features, 0), -np.inf, dtype=np.float32)

    def add(self, table: NDArray[np.float32]) -> None:
        """Add frames (n, F) float32."""
        known = np.isfinite(table)
        self.counts += known.sum(axis=0)
        self._low = _lowest(self._low, np.where(known, table, np.inf).T)
        self._high = -_lowest(-self._high, np.where(known, -table, np.inf).T)

    def limits(self, share: float = 0.001) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The values that a `share` of all lie below and above, (F,) each; NaN for a feature that was never seen."""
        ranks = np.minimum(np.floor(share * self.counts).astype(int), KEPT - 1)
        return _ranked(np.sort(self._low), ranks), -_ranked(np.sort(-self._high), ranks)

    def to_json(self) -> dict[str, Any]:
        """As JSON-able values; `from_json` gives the same limits."""
        ends = np.concatenate((self._low, self._high), axis=1).astype("<f4")
        return {"counts": self.counts.tolist(), "ends": base64.b64encode(ends.tobytes()).decode()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Extremes:
        """What `to_json` wrote; ReferenceMismatch for anything else."""
        try:
            extremes = cls(len(data["counts"]))
            extremes.counts = np.array(data["counts"], dtype=np.int64)
            ends = np.frombuffer(base64.b64decode(data["ends"], validate=True), "<f4").astype(np.float32)
            ends = ends.reshape(len(extremes.counts), 2, -1)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise ReferenceMismatch(f"not the extremes of features: {error}") from error
        extremes._low, extremes._high = ends[:, 0], ends[:, 1]
        return extremes


def _lowest(kept: NDArray[np.float32], new: NDArray[np.float32]) -> NDArray[np.float32]:
    every = np.concatenate((kept, new.astype(np.float32)), axis=1)
    return every if every.shape[1] <= KEPT else np.partition(every, KEPT - 1, axis=1)[:, :KEPT]


def _ranked(ordered: NDArray[np.float32], ranks: NDArray[np.int64]) -> NDArray[np.float32]:
    if not ordered.shape[1]:
        return np.full(len(ordered), np.nan, dtype=np.float32)
    found = np.take_along_axis(ordered, ranks[:, None], axis=1)[:, 0]
    return np.where(np.isfinite(found), found, np.nan).astype(np.float32)
