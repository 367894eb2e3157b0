"""How a feature's evidence varies without a change, and the filters that detect a change in it.

The autocovariance of the evidence of successive windows is modelled as a sum of decaying exponentials with fixed
time constants and weights >= 0 (white noise, minutes, hours: traffic, clouds, weather). It is fitted to the
evidence of held-out blocks. From it follows, for every age a change may have, the linear filter of the fading
memory with the best ratio of signal to noise: the matched filter. Where evidence is white it is a plain mean over
the windows since; where it wanders slowly, it subtracts what was seen before, and so does not take clouds for drift.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.drift.memory import AGES, KEEP, step_response

DECAYS = np.array([0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0])
"""Time constants of the noise's parts, in windows; 0 is white."""

SLOW = DECAYS >= 30.0
"""The parts that are weather rather than traffic."""

CAUTIOUS = np.array([0.30, 0.30, 0.10, 0.10, 0.05, 0.05, 0.05, 0.05])
"""Noise assumed, per unit of variance, where a reference has no time structure to learn it from."""

_LAGS = np.unique(np.rint(np.geomspace(1, 1024, 24)).astype(int))
_SMALLEST = 1e-6
_RIDGE = 0.01  # filters that need more than two digits of the covariance are fitted to its errors
_SWEEPS = 400


def autocovariance(
    series: NDArray[np.float64], gate: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Lags (L,) and autocovariance (L, N) of series (W, N) about zero, of which windows count by `gate` (W, N), 0..1.

    The series has been multiplied by the gate: a pair of windows holds as much as the product of their gates.
    """
    lags = np.concatenate(([0], _LAGS[max(1, len(series) // 4) >= _LAGS]))
    lags = lags[lags < len(series)]
    end = len(series)
    sums = [(series[: end - lag] * series[lag:]).sum(axis=0) for lag in lags]
    pairs = [(gate[: end - lag] * gate[lag:]).sum(axis=0) for lag in lags]
    return lags, np.array(sums) / np.maximum(np.array(pairs), 1.0)


def fit(series: NDArray[np.float64], gate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (N, 8) of the noise's parts for series (W, N) under `gate` (W, N): least squares with weights >= 0.

    Long lags rest on few independent pairs and count less.
    """
    lags, covariance = autocovariance(series, gate)
    parts = np.where(DECAYS > 0, np.exp(-lags[:, None] / np.maximum(DECAYS, 1e-9)), lags[:, None] == 0)
    importance = (1.0 + lags) ** -0.25
    design, target = parts * importance[:, None], covariance * importance[:, None]
    weights = _non_negative(design.T @ design, design.T @ target)
    # What decays over longer than was recorded looks like a constant: keep it, but never below a trace.
    return np.asarray(np.maximum(weights.T, _SMALLEST), dtype=np.float64)


def _non_negative(gram: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """argmin |x| >= 0 of the quadratic form, by coordinate descent; gram (P, P), target (P, N) -> (P, N)."""
    solution = np.zeros_like(target)
    for _ in range(_SWEEPS):
        for part in range(len(gram)):
            rest = target[part] - gram[part] @ solution + gram[part, part] * solution[part]
            solution[part] = np.maximum(rest / max(gram[part, part], 1e-12), 0.0)
    return solution


def memory_covariance(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance (..., K, K) of the fading memory under noise of `weights` (..., 8)."""
    return np.asarray(np.tensordot(weights, _PARTS, axes=1), dtype=np.float64)


def _part_covariance(decay: float) -> NDArray[np.float64]:
    keep = np.exp(-1.0 / decay) if decay > 0 else 0.0
    a, b = KEEP[:, None], KEEP[None, :]
    crossed = 1.0 + a * keep / (1.0 - a * keep) + b * keep / (1.0 - b * keep)
    return np.asarray((1.0 - a) * (1.0 - b) / (1.0 - a * b) * crossed, dtype=np.float64)


_PARTS = np.array([_part_covariance(decay) for decay in DECAYS])


def matched_filters(weights: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    """Filters (..., J, K) for noise of `weights` (..., 8): filter j of the memory has variance 1 under the noise.

    Ages above `longest` (in windows) get filters of zeros: the reference is too short to judge them by.
    """
    covariance = memory_covariance(weights)
    diagonal = np.einsum("...kk->...k", covariance)
    steadied = covariance + _RIDGE * diagonal[..., None] * np.eye(KEEP.size)
    response = step_response()
    filters = np.linalg.solve(steadied, np.broadcast_to(response.T, (*weights.shape[:-1], *response.T.shape)))
    filters = np.swapaxes(filters, -1, -2)
    variance = np.einsum("...jk,...kl,...jl->...j", filters, covariance, filters)
    filters = filters / np.sqrt(np.maximum(variance, 1e-30))[..., None]
    return np.asarray(np.where((longest >= AGES)[:, None], filters, 0.0), dtype=np.float64)
