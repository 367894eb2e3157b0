"""The rarest values of each feature, kept exactly: outliers need the 0.1 % rank, a sketch knows none below 1 %."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import ReferenceMismatch
from agent.core.untrusted import BadInput, take_integers, take_text

KEPT = 1024
"""Values kept at each end: 0.1 % of six days at 2 frames a second; beyond, the limits are a little wider."""


_MOST, _MOST_FEATURES = 2**53, 256
_LONGEST = 4 * (2 * KEPT * 4 // 3 + 1)  # characters of base64 for each feature


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
            counts = take_integers(data, "counts", longest=_MOST_FEATURES, minimum=0, maximum=_MOST)
            raw = base64.b64decode(
                take_text(data, "ends", longest=_LONGEST * max(len(counts), 1)), validate=True
            )
            if not counts or len(raw) % (8 * len(counts)):
                raise BadInput("`ends` and `counts` do not fit")
        except BadInput as error:
            raise ReferenceMismatch(f"not the extremes of features: {error}") from None
        except (binascii.Error, ValueError):
            raise ReferenceMismatch("not the extremes of features: `ends` is not base64") from None
        if not min(max(counts), KEPT) <= len(raw) // (8 * len(counts)) <= KEPT:
            raise ReferenceMismatch(
                "not the extremes of features: `ends` has another length than `counts` says"
            )
        extremes = cls(len(counts))
        extremes.counts = np.array(counts, dtype=np.int64)
        ends = np.frombuffer(raw, "<f4").astype(np.float32).reshape(len(counts), 2, -1)
        if np.isnan(ends).any():
            raise ReferenceMismatch("not the extremes of features: `ends` holds what is not a number")
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
