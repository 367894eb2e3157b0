"""Scores of what is remembered, of each column and of all together, over the limits of a budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.drift import joint
from agent.drift.alarm import Gauge
from agent.drift.calibrate import Calibration, limits
from agent.drift.excursions import Seen
from agent.drift.memory import AGE_WEIGHTS, AGES, step_response
from agent.drift.series import score

_ADDING = 0.1  # of what adds most to the joint score: less is no part of the change


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """Scores of windows (...,): `plain` (..., 3, F + R, J) at each age; `ratios` (..., 3, F + R) the largest weighted
    one over its limit; `joint` (...,) the largest joint score, at the age in place `together` (...,).
    """

    plain: NDArray[np.float64]
    ratios: NDArray[np.float64]
    joint: NDArray[np.float64]
    together: NDArray[np.int64]

    @property
    def weighted(self) -> NDArray[np.float64]:
        """Scores as they are compared with limits, (..., 3, F + R, J)."""
        return np.asarray(AGE_WEIGHTS * self.plain, dtype=np.float64)

    def __getitem__(self, place: Any) -> Scored:
        return Scored(
            plain=self.plain[place],
            ratios=self.ratios[place],
            joint=self.joint[place],
            together=self.together[place],
        )


class Scorer:
    """Scores by one calibration and budget."""

    def __init__(
        self, calibration: Calibration, false_alarms_per_month: float, window_seconds: float
    ) -> None:
        self.limits = limits(calibration, false_alarms_per_month, window_seconds)
        self._calibration, self._filters = calibration, calibration.filters()
        self._used = max(calibration.longest, 1) >= AGES
        self.gauge = Gauge(filters=self._filters, limits=self.limits.aspects)

    @property
    def columns(self) -> tuple[int, int]:
        """Rows and columns of evidence, (3, F + R)."""
        return self._filters.shape[0], self._filters.shape[1]

    def __call__(self, memory: NDArray[np.float64]) -> Scored:
        """Of memories (..., 3, F + R, K)."""
        plain = score(memory, self._filters)
        sums = joint.made_normal(
            joint.combine(plain[..., : self._calibration.features, :]),
            self._calibration.joint_mean,
            self._calibration.joint_variance,
        )
        sums = np.where(self._used, AGE_WEIGHTS * sums, -np.inf)
        return Scored(
            plain=plain,
            ratios=np.abs(AGE_WEIGHTS * plain).max(axis=-1) / self.limits.aspects,
            joint=sums.max(axis=-1),
            together=np.asarray(sums.argmax(axis=-1)),
        )

    def seen(self, memory: NDArray[np.float64], scored: Scored) -> Seen:
        """What one memory (3, F + R, K) shows, `scored` before."""
        units = self._calibration.refinement.units[..., None]
        answers = units * (self._filters * step_response()).sum(axis=-1)
        return Seen(memory=memory / units, scores=scored.plain, answers=answers)

    def ratio(self, scored: Scored) -> NDArray[np.float64]:
        """The largest of all ratios, (...,): at 1 the alarm goes on."""
        alone = scored.ratios.max(axis=(-2, -1))
        return np.asarray(np.maximum(alone, scored.joint / self.limits.joint), dtype=np.float64)

    def changed(self, scored: Scored) -> tuple[NDArray[np.bool_], int]:
        """What changed in one window's scores, (3, F + R), and how many windows ago: the columns over their
        limits, or else those that add up to the joint score."""
        weighted = np.abs(scored.weighted) / self.limits.aspects[..., None]
        aspect, column, age = np.unravel_index(int(weighted.argmax()), weighted.shape)
        if weighted[aspect, column, age] >= 1.0:
            return np.asarray(weighted[..., age] >= 1.0), int(AGES[age])
        adding = joint.contributions(scored.plain[..., scored.together])
        adding[:, self._calibration.features :] = 0.0
        return np.asarray(adding >= _ADDING * adding.max()), int(AGES[scored.together])
