"""Estimates how much of an observed mean is a real change, and the error of that estimate.

What chance explains is no change, and what is one is drawn towards none by how uncertain it is (James and Stein, 1961).
What that misses is Stein's unbiased estimate of the risk (Annals of Statistics 9, 1981).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.drift.acceptance_limits import uncertain
from agent.drift.calibrate import Calibration

_TURNS = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Believed:
    """How much of mean evidence is a change, `kept` (3, F), once `weather` (3, F), causes shared by many features, is
    taken off; `risk` (3, F) is the mean square by which what is taken misses."""

    kept: NDArray[np.float64]
    weather: NDArray[np.float64]
    risk: NDArray[np.float64]


def believe(
    aspects: NDArray[np.float64], windows: NDArray[np.float64], calibration: Calibration, *, chance: float
) -> Believed:
    """What is believed of the mean evidence (3, F) of so many `windows` (F,).

    There is a change where the square of what is left exceeds `chance` variances.
    """
    refinement, features = calibration.refinement, calibration.features
    variances = uncertain(calibration, windows)
    own, shared = np.maximum(variances[:, :features], 1e-12), variances[:, features:]
    loads = refinement.loadings * refinement.unit[..., None]
    found = [_changed(*each, chance) for each in zip(aspects, own, shared, loads, strict=True)]
    kept, weather, risk = zip(*found, strict=True)
    return Believed(kept=np.stack(kept), weather=np.stack(weather), risk=np.stack(risk))


def _changed(
    seen: NDArray[np.float64], own: NDArray[np.float64], shared: NDArray[np.float64],
    loads: NDArray[np.float64], chance: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """`believe` of one aspect: `seen` (F,) with variances `own` (F,), factors' `shared` (R,) and `loads` (F, R).

    Weather is read off the features that did not change; which those are is found by turns.
    """
    changed = np.zeros(seen.size, dtype=np.bool_)
    for _ in range(_TURNS):
        precise = np.where(changed, 0.0, 1.0 / own)
        doubt = np.linalg.inv(loads.T @ (precise[:, None] * loads) + np.diag(1.0 / np.maximum(shared, 1e-12)))
        weather = loads @ (doubt @ (loads.T @ (precise * seen)))
        variance = own + np.einsum("fr,rs,fs->f", loads, doubt, loads)
        signal = (seen - weather) ** 2 / variance
        before, changed = changed, signal > chance
        if (before == changed).all():
            break
    kept = np.where(changed, 1.0 - 1.0 / np.maximum(signal, 1.0), 0.0)
    risk = variance * np.where(changed, kept, np.maximum(signal - 1.0, 0.0))
    return kept, weather, risk
