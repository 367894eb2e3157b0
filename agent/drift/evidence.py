"""Evidence: what one window says against what is normal at its moment, as a few numbers per feature.

    location   mean of the window's normal scores                          0 when normal, 1: one sigma up
    spread     root of mean |score|, less the normal one, in units of 0.34    0 when normal, 1: spread x1.9
    noise      log of the mean step from frame to frame, less the normal one  0 when normal, 0.69: doubled

Normal scores make every feature alike, heavy-tailed or bounded: under the reference they are normal by
construction, so means of them are nearly normal too and their tails can be trusted. `ranks` is the window's
distribution of ranks, uniform when normal: what KS and PSI are computed from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.drift.contexts import Expected
from agent.drift.sketch import WindowSketch
from agent.drift.tables import Ranked, rank

ASPECTS = ("location", "spread", "noise")
KNOTS = 16
"""Equally weighted quantiles that stand for a window: sixty seconds of video hold fewer independent looks."""

BINS = 20
EDGES = np.arange(1, BINS) / BINS

_SPREAD_UNIT = np.sqrt(1 - 2 / np.pi) / 2 / np.sqrt(np.sqrt(2 / np.pi))  # of the root of a normal |score|
_LEAST_SIZE = 0.3  # added to mean |score|, so that a feature that is constant at some hours does not dominate
_MOST_SCORE = 3.0  # a single wild value must not pass for spread
_MOST_NOISE = 3.0  # steps twenty times as large are as clear as can be
_NOISE_FLOOR = 0.2  # of the usual step: a window without any motion is unusual, not infinitely so
_RATE_TOLERANCE = 0.2  # steps depend on the time between frames; beyond this the sampling rate has changed
_SHRINK = 0.1  # of the usual count: a window with a handful of values says little, not much


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Usual:
    """What windows of a reference usually hold: values per feature (F,), frames, steps (F,) in the feature's unit."""

    counts: NDArray[np.float64]
    frames: float
    steps: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looks:
    """Windows boiled down: `knots` (W, F, KNOTS) float32, `counts` (W, F), `steps` (W, F), `frames` (W,)."""

    knots: NDArray[np.float32]
    counts: NDArray[np.float32]
    steps: NDArray[np.float32]
    frames: NDArray[np.int64]

    def __getitem__(self, part: slice) -> Looks:
        return Looks(
            knots=self.knots[part], counts=self.counts[part], steps=self.steps[part], frames=self.frames[part]
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """`aspects` (W, 3, F) float64 in the order of ASPECTS; `ranks` (W, F, BINS-1) the share of values below EDGES."""

    aspects: NDArray[np.float64]
    ranks: NDArray[np.float64]


_KNOT_RANKS = (np.arange(KNOTS) + 0.5) / KNOTS


def look(window: WindowSketch) -> Looks:
    """One window boiled down."""
    return Looks(
        knots=np.array([sketch.quantiles(_KNOT_RANKS) for sketch in window.sketches], dtype=np.float32)[None],
        counts=window.counts[None].astype(np.float32),
        steps=window.steps[None],
        frames=np.array([window.frames]),
    )


def stack(looks: Sequence[Looks]) -> Looks:
    """Many windows as one."""
    return Looks(
        knots=np.concatenate([each.knots for each in looks]),
        counts=np.concatenate([each.counts for each in looks]),
        steps=np.concatenate([each.steps for each in looks]),
        frames=np.concatenate([each.frames for each in looks]),
    )


def log_steps(steps: NDArray[np.float32], usual: Usual) -> NDArray[np.float64]:
    """Logarithm of steps (W, F), NaN where there are none or the feature usually does not move at all."""
    with np.errstate(invalid="ignore", divide="ignore"):
        moving = usual.steps > 0
        return np.where(moving, np.log(steps / np.where(moving, usual.steps, 1.0) + _NOISE_FLOOR), np.nan)


def weigh(looks: Looks, expected: Expected, usual: Usual) -> Evidence:
    """The evidence of windows that all lie in `expected`'s time slot."""
    ranked = rank(expected.table, looks.knots)
    trust = looks.counts / (looks.counts + _SHRINK * usual.counts + 1e-9)
    location = ranked.score.mean(axis=-1)
    sizes = np.minimum(np.abs(ranked.score), _MOST_SCORE).mean(axis=-1)
    root, usual_root = np.sqrt(sizes + _LEAST_SIZE), np.sqrt(expected.table.mean_size + _LEAST_SIZE)
    spread = np.where(looks.counts > 0, (root - usual_root) / _SPREAD_UNIT, 0.0)
    noise = _noise(looks, expected, usual)
    aspects = np.stack([trust * location, trust * spread, trust * noise], axis=1)
    return Evidence(aspects=aspects, ranks=_rank_shares(ranked))


def _noise(looks: Looks, expected: Expected, usual: Usual) -> NDArray[np.float64]:
    noise = np.nan_to_num(log_steps(looks.steps, usual) - expected.log_steps)
    off_rate = np.abs(looks.frames / max(usual.frames, 1e-9) - 1) > _RATE_TOLERANCE
    return np.where(off_rate[:, None], 0.0, np.clip(noise, -_MOST_NOISE, _MOST_NOISE))


def _rank_shares(ranked: Ranked) -> NDArray[np.float64]:
    """The share of ranks below each edge; a repeated value's rank is spread evenly over its range."""
    width = ranked.high - ranked.low
    low = ranked.low[..., None]
    within = (EDGES - low) / np.maximum(width, 1e-12)[..., None]
    return np.asarray(np.clip(within, 0.0, 1.0).mean(axis=-2), dtype=np.float64)
