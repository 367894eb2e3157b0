"""What a feature's level alone does to its spread and noise, learnt from the reference and taken off.

A share near its bound jumps less from frame to frame, a count that doubled jumps more, and a cloud that lowers the
level for an hour widens the scores about their usual middle. None of that is a change of spread or noise, but all of
it makes heavy tails. So both are regressed, feature by feature, on the location now and of the last quarter of an
hour, and their squares.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.drift.memory import KEEP, TIMES

TERMS = 4
PLACE = int(np.flatnonzero(TIMES == 16.0)[0])
"""The fading mean that is "the last quarter of an hour", in windows of a minute."""

_MOST = 2.5  # beyond this location nothing was seen to learn from
_RIDGE = 1e-3


def terms(location: NDArray[np.float64], recent: NDArray[np.float64]) -> NDArray[np.float64]:
    """The regressors (..., F, TERMS) of a window's location (..., F) and the fading mean of the last ones."""
    now, slow = np.clip(location, -_MOST, _MOST), np.clip(recent, -_MOST, _MOST)
    return np.stack([now, now**2, slow, slow**2], axis=-1)


def recent_location(location: NDArray[np.float64], gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The fading mean of locations (W, F) after each window, (W, F)."""
    keep, memory = float(KEEP[PLACE]), np.zeros(location.shape[1])
    out = np.empty_like(location)
    for place, (new, gap) in enumerate(zip(location, gaps, strict=True)):
        memory = memory * keep**gap + (1.0 - keep) * new
        out[place] = memory
    return out


def learn(series: NDArray[np.float64], gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients (2, F, TERMS) of spread and noise on the level, for centred evidence (W, 3, F)."""
    location = series[:, 0]
    design = terms(location, recent_location(location, gaps))
    design = design - design.mean(axis=0)
    gram = np.einsum("wfi,wfj->fij", design, design)
    trace = np.einsum("fii->f", gram) + 1e-9
    gram = gram + _RIDGE * trace[:, None, None] * np.eye(TERMS)
    target = np.einsum("wfi,waf->afi", design, series[:, 1:])
    return np.asarray(np.linalg.solve(gram, target[..., None])[..., 0], dtype=np.float64)


def without_level(
    aspects: NDArray[np.float64], recent: NDArray[np.float64], coefficients: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Evidence (..., 3, F) with what the level explains taken off spread and noise; `recent` (..., F)."""
    explained = np.einsum("...fi,afi->...af", terms(aspects[..., 0, :], recent), coefficients)
    zeros = np.zeros_like(aspects[..., :1, :])
    return np.asarray(aspects - np.concatenate([zeros, explained], axis=-2), dtype=np.float64)
