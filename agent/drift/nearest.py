"""The context nearest to what a window shows: a day may run up to an hour early or late by the clock.

The sun rises earlier or later, a camera switches to infrared at dusk, clocks change. So a window is compared with the
moment, up to an hour from its own, whose light all its features fit best: the same moment for all of them, so that no
feature is excused alone. Held-out hours are compared in the same way, and so limits know what the choice does.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agent.drift.contexts import Contexts, Expected
from agent.drift.evidence import KNOTS, Evidence, Looks, Usual, weigh
from agent.drift.tables import Table, rank

OFFSETS = 60.0 * np.array([0, -20, 20, -40, 40, -60, 60])
"""Moments compared, in seconds from a window's own; the nearer first, as the first of equals is chosen."""

FARTHEST = 1.5
"""Hours between a moment and the nearest context beyond which nothing is compared: that hour was never seen."""

_PLACES = np.arange(1, KNOTS, 4)  # of a window's quantiles: enough to place it
_MOST = 2.0  # sigma: one feature that is far off at all moments must not choose among them


def weigh_nearest(
    looks: Looks, contexts: Contexts, moment: float, usual: Usual
) -> Iterator[tuple[NDArray[np.int64], Expected, Evidence]]:
    """The evidence of windows that lie in one time slot, in groups by the moment that each fits best: places, what is
    expected there, and the evidence of those windows."""
    near = moments(contexts, moment)
    chosen = choose(looks, near, usual)
    for number in np.unique(chosen):
        places = np.flatnonzero(chosen == number)
        yield places, near[number], weigh(looks[places], near[number], usual)


def moments(contexts: Contexts, moment: float) -> list[Expected]:
    """What is expected at `moment`, and at those around it that the reference knows."""
    own = contexts.at(moment)
    if len(contexts.hours) == 1:
        return [own]
    others = [contexts.at(moment + offset) for offset in OFFSETS[1:].tolist()]
    return [own, *(each for each in others if each.distance <= FARTHEST)]


def choose(looks: Looks, near: list[Expected], usual: Usual) -> NDArray[np.int64]:
    """Which of the moments each window (W,) fits best: the least sum of squares of the features' mean scores."""
    if len(near) == 1:
        return np.zeros(len(looks.frames), dtype=np.int64)
    features = looks.knots.shape[1]
    knots = np.tile(looks.knots[..., _PLACES], (1, len(near), 1))
    scores = rank(_stacked([each.table for each in near]), knots).score.mean(axis=-1)
    scores = np.clip(scores.reshape(-1, len(near), features), -_MOST, _MOST)
    informative = near[
        0
    ].informative  # of the own moment: where a feature says nothing there is no better fit
    filled = np.clip(looks.counts / np.maximum(usual.counts, 1.0), 0.0, 1.0)
    distances = (scores**2 * informative * filled[:, None, :]).sum(axis=-1)
    return np.asarray(distances.argmin(axis=1), dtype=np.int64)


def _stacked(tables: list[Table]) -> Table:
    """Tables as one, one after the other."""
    return Table(
        **{
            name: np.concatenate([getattr(each, name) for each in tables])
            for name in ("values", "lower", "upper", "scores", "tail", "slopes", "used")
        }
    )
