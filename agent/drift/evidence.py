"""Evidence: one window compared with what is normal at its moment, as a few numbers per feature.

    location   mean of the window's normal scores                          0 when normal, 1: one sigma up
    spread     log of the scores' mean distance from that mean                0.69 up: spread doubled
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

_USUAL_SIZE = np.sqrt(2 / np.pi)  # the mean of a normal |score|
_MOST_NOISE = 3.0  # steps twenty times as large are as clear as can be
_DOUBT = 2.0  # of the level's correction: the slope far out rests on few values of one hour
_FLOOR = 0.2  # of what is usual: a window without any motion is unusual, not infinitely so
_RATE_TOLERANCE = 0.2  # steps depend on the time between frames; beyond this the sampling rate has changed
_SHRINK = 0.1  # of the usual count: a window with a handful of values says little, not much


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UsualWindow:
    """What windows of a reference usually hold: values per feature (F,), frames, steps (F,) in the feature's unit."""

    counts: NDArray[np.float64]
    frames: float
    steps: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looks:
    """Windows boiled down: `knots` (W, F, KNOTS) float32, `counts` (W, F), `steps` (W, F), `frames` (W,).

    A part of them, by slice or places, is Looks again.
    """

    knots: NDArray[np.float32]
    counts: NDArray[np.float32]
    steps: NDArray[np.float32]
    frames: NDArray[np.int64]

    def __getitem__(self, part: slice | NDArray[np.int64]) -> Looks:
        return Looks(
            knots=self.knots[part], counts=self.counts[part], steps=self.steps[part], frames=self.frames[part]
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """`aspects` (W, 3, F) float64 in the order of ASPECTS; `ranks` (W, F, BINS-1) the share of values below EDGES.

    `trust` (W, 3, F), 0..1, is how much each aspect is to count: 0 where the window says nothing about it. `gate` (F,)
    is the part of it that follows from the moment alone (`Expected.informative`).
    """

    aspects: NDArray[np.float64]
    trust: NDArray[np.float64]
    gate: NDArray[np.float64]
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


def log_steps(steps: NDArray[np.float32], usual: UsualWindow) -> NDArray[np.float64]:
    """Logarithm of steps (W, F), NaN where there are none or the feature usually does not move at all."""
    with np.errstate(invalid="ignore", divide="ignore"):
        moving = usual.steps > 0
        return np.where(moving, np.log(steps / np.where(moving, usual.steps, 1.0) + _FLOOR), np.nan)


def weigh(looks: Looks, expected: Expected, usual: UsualWindow) -> Evidence:
    """The evidence of windows that all lie in `expected`'s time slot."""
    ranked = rank(expected.table, looks.knots)
    location = ranked.score.mean(axis=-1)
    sizes = np.abs(ranked.score - location[..., None]).mean(axis=-1)
    spread = np.log(sizes / _USUAL_SIZE + _FLOOR)
    noise, known = _noise(looks, expected, usual, ranked.slope.mean(axis=-1))
    trust = expected.informative * looks.counts / (looks.counts + _SHRINK * usual.counts + 1e-9)
    return Evidence(
        aspects=np.stack([location, spread, noise], axis=1),
        trust=np.stack([trust, trust, trust * known], axis=1),
        gate=expected.informative,
        ranks=_rank_shares(ranked),
    )


def _noise(
    looks: Looks, expected: Expected, usual: UsualWindow, slope: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Steps in units of score, and where they are known, both (W, F).

    A heavy-tailed feature jumps further where it is high, without being noisier: that is what the slope takes off.
    """
    level = np.log(slope)
    noise = (log_steps(looks.steps, usual) - expected.log_steps - level) / (1.0 + _DOUBT * np.abs(level))
    on_rate = np.abs(looks.frames / max(usual.frames, 1e-9) - 1) <= _RATE_TOLERANCE
    known = np.isfinite(noise) & on_rate[:, None]
    return np.where(known, np.clip(noise, -_MOST_NOISE, _MOST_NOISE), 0.0), known


def _rank_shares(ranked: Ranked) -> NDArray[np.float64]:
    """The share of ranks below each edge; a repeated value's rank is spread evenly over its range."""
    width = ranked.high - ranked.low
    low = ranked.low[..., None]
    within = (EDGES - low) / np.maximum(width, 1e-12)[..., None]
    return np.asarray(np.clip(within, 0.0, 1.0).mean(axis=-2), dtype=np.float64)
