"""Limits of an accepted reference, wider while the new level and its scatter are known only roughly.

A level known from n windows is wrong by as much as a mean over n windows wanders. To a judge that begins anew, that
error looks like a drift of its size which begins now: by V its variance, a score that says r of a unit step has
variance 1 + V r² in place of 1, and is divided by the root of it. V is what it exceeds that of a whole day by, of which
limits know already; so it shrinks as more is seen, to nothing after a day.

Levels may also wander more than before, from window to window: then values scatter more on the whole than windows show,
and what of it exceeds the greater scatter is noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.drift.calibrate import Calibration
from agent.drift.class_mix import ClassMix
from agent.drift.memory import SCALES, step_response
from agent.drift.noise import DECAYS, matched_filters
from agent.drift.recent import Block
from agent.drift.statistics import statistics

_MOST_WANDER = 100.0
_CHANCE = 2.0  # standard errors of a variance: what exceeds them is more than chance
_KS_OF_SHIFT, _KS_OF_SCALE = 0.3989, 0.2420
"""What a small shift, in sigma, and the logarithm of a small factor are as KS distances of normal distributions: the
largest of the density, and of x times it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Doubt:
    """What is uncertain of an accepted change: `level` (3, F + R), variances of what was taken for each aspect's new
    level; `windows`, how many were seen, and how many a `day` has."""

    level: NDArray[np.float64]
    windows: int
    day: float


WHOLE_SECONDS = 86400.0
"""What was seen for so long is known as well as what a reference was recorded of."""


def lasting(windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is left of each part of the noise in a mean over so many `windows` (...), (..., 8)."""
    return np.asarray(np.minimum((1.0 + 2.0 * DECAYS) / np.maximum(windows, 1.0)[..., None], 1.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wander:
    """How the levels of windows wander now: `more` (F,), times their variance before, 1 or more; `stretch` (F,), by
    what factor values scatter more on the whole for it than within windows; `apart` (F,), the levels' own scatter."""

    more: NDArray[np.float64]
    stretch: NDArray[np.float64]
    apart: NDArray[np.float64]

    def noise(self, calibration: Calibration, *, stretched: bool) -> NDArray[np.float64]:
        """The noise (3, F + R, 8) of such levels, in scatters of within a window or `stretched` ones."""
        own = np.maximum(self.more / self.stretch**2, 1.0) if stretched else self.more
        shared = np.maximum((calibration.refinement.loadings[0] ** 2 * own[:, None]).sum(axis=0), 1.0)
        noise = np.array(calibration.noise)
        noise[0] *= np.concatenate([own, shared])[:, None]
        return noise


def wander(
    calibration: Calibration, blocks: Sequence[Block], sigma: NDArray[np.float64], log: NDArray[np.bool_]
) -> Wander:
    """What `blocks` show of it against the calibration's noise.

    `sigma` (F,) is what their values would scatter by if levels wandered as before, those of `log` (F,) features in
    logarithms.
    """
    found = np.array([np.where(log, each.squares[:, 1], each.squares[:, 0]) for each in blocks])
    windows = np.array([np.where(log, each.log_sums[:, 1], each.known) for each in blocks])
    usable = np.isfinite(found) & (windows >= 2) & (sigma > 0)
    noise = _with_shared(calibration)
    usual = noise.sum(axis=-1)
    expected = (windows[..., None] * noise * (1.0 - lasting(windows))).sum(axis=-1)
    squares = np.where(usable, found, 0.0).sum(axis=0) / np.maximum(sigma, 1e-30) ** 2
    ratio = squares / np.maximum(np.where(usable, expected, 0.0).sum(axis=0), 1e-30)
    total = np.where(usable, windows, 0.0).sum(axis=0)
    looks = np.maximum(usual / (noise * lasting(total)).sum(axis=-1), 1.0)
    # A variance from n looks is uncertain: what is new scatters by that much more (Student's t).
    beyond = usable.any(axis=0) & (ratio > 1.0 + _CHANCE * np.sqrt(2.0 / looks))
    more = np.clip(np.where(beyond, ratio * (1.0 + 2.0 / looks), 1.0), 1.0, _MOST_WANDER)
    return Wander(more=more, stretch=np.sqrt(1.0 + (more - 1.0) * usual), apart=sigma * np.sqrt(more * usual))


def _with_shared(calibration: Calibration) -> NDArray[np.float64]:
    """The noise (F, 8) of the features' levels together with that of the causes that many share."""
    features = calibration.features
    loads = calibration.refinement.loadings[0] * calibration.refinement.unit[0][:, None]
    noise = calibration.noise[0]
    return np.asarray(noise[:features] + loads**2 @ noise[features:], dtype=np.float64)


def uncertain(calibration: Calibration, windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variances (3, F + R) of what a mean over `windows` (F,) says of each level."""
    left = lasting(windows)
    every = np.concatenate([left, np.tile(np.median(left, axis=0), (calibration.refinement.factors, 1))])
    return np.asarray((calibration.noise * every).sum(axis=-1), dtype=np.float64)


def widened(before: Calibration, wanders: Wander, doubt: Doubt) -> Calibration:
    """The calibration `before` a change was accepted, by what is uncertain of that, for stretched scatters."""
    noise, refinement = wanders.noise(before, stretched=True), before.refinement
    times = noise[0, : before.features].sum(axis=-1) / before.noise[0, : before.features].sum(axis=-1)
    # They are in units of a scatter that is known as roughly: the mean of a log-normal factor's square.
    noise[0] *= np.exp(2.0 * doubt.level[1])[:, None]
    offset, most = refinement.offset.copy(), refinement.most.copy()
    offset[1] -= np.log(wanders.stretch)
    most[0] *= np.sqrt(times)
    return replace(
        before,
        refinement=replace(refinement, offset=offset, most=most),
        noise=noise,
        size=_sizes(noise, before.size, doubt.level, before.longest),
        distances=_distances(before, times, doubt),
        classes=np.hypot(before.classes, _of_so_many(before.classes, doubt.windows)),
        mix=_mix(before.mix, doubt, before.longest) if before.mix is not None else None,
    )


def _sizes(
    noise: NDArray[np.float64], size: NDArray[np.float64], level: NDArray[np.float64], longest: int
) -> NDArray[np.float64]:
    """Sizes (A, C, J) of scores where levels are wrong by variances (A, C)."""
    filters = matched_filters(noise, longest) / size[..., None]
    says = np.einsum("acjk,jk->acj", filters, step_response())
    return np.asarray(size * np.sqrt(1.0 + level[..., None] * says**2), dtype=np.float64)


def _distances(before: Calibration, times: NDArray[np.float64], doubt: Doubt) -> NDArray[np.float64]:
    """Usual distances (S, 4, F) of distributions of uncertain place and width that wander so many `times` as much."""
    features = before.features
    left = lasting(SCALES.astype(np.float64))
    more = (times - 1.0) * (left @ _with_shared(before).T)
    squares = _KS_OF_SHIFT**2 * (more + doubt.level[0, :features])
    squares = squares + _KS_OF_SCALE**2 * doubt.level[1, :features]
    per_ks = np.array([each.per_ks for each in statistics()])[:, None, None]
    return np.asarray(np.hypot(before.distances, per_ks * np.sqrt(squares)), dtype=np.float64)


def _of_so_many(usual: NDArray[np.float64], windows: int) -> NDArray[np.float64]:
    """How far a distribution known from so many windows usually is from what it will be, (N, 1), by `usual` (N, 4)
    distances of as many: beyond the longest scale it falls with the root."""
    scales = np.log(SCALES)
    at = np.clip(np.log(max(windows, 1)), scales[0], scales[-1])
    found = np.array([np.exp(np.interp(at, scales, np.log(np.maximum(row, 1e-9)))) for row in usual])
    return np.asarray(found * np.sqrt(min(1.0, SCALES[-1] / max(windows, 1))))[:, None]


def _mix(mix: ClassMix, doubt: Doubt, longest: int) -> ClassMix:
    left = lasting(np.array([doubt.windows, doubt.day]))
    now, later = (mix.noise @ left.T).transpose(2, 0, 1)
    return replace(mix, size=_sizes(mix.noise, mix.size, np.maximum(now - later, 0.0), longest))
