"""How right the model still is, estimated without labels: from what it shows by itself on frames of now. Pure.

Causes are applied to a camera's own frames, and the model runs on each and on its mirror image. What it found on the
frame as it was is taken for the truth: F1, by class and overlap. So for this camera it is known how a change of SIGNALS
goes with F1, by ridge regression. It is no mAP, and it is not compared with what is really there.

    estimate   the share of boxes of usual classes, times the regression at the change of the other signals, both from
               the last calm ones, 0..1: by themselves they differ with what is in view. A box of a class that was not
               there before is not found again, however sure the model is of it
    band       the residuals that it has on causes that it was not fitted on (leave one cause out), each over
               1 + its distance from the others: their COVERAGE quantile, times 1 + the distance of now
               (split conformal prediction with normalised residuals: Papadopoulos et al. 2011, Lei et al. 2018);
               and half a box by the square root of those that are usual in so many frames, as F1 itself scatters
    trust      0..1: how narrow the band is, less where few boxes were learnt on or are usual

That a detector which is right agrees with itself on mirrored and with its own candidates is used the same way by
"prediction consistency and reliability" (arXiv 2508.12082).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIGNALS = (
    "agreement", "agreement_of_usual", "confidence", "near_threshold", "suppressed", "boxes", "empty", "usual_classes",
)  # fmt: skip
"""F1 of plain and mirrored; the same, as if the usual number of boxes had been found besides; the mean score; the share
of scores near the threshold; the share of candidates that were suppressed; the logarithm of boxes a frame; the share of
frames without any; the share of boxes whose classes are those that are usual, the last."""

NO_FAULT = ""
"""The cause of trials to which nothing was applied."""

COVERAGE = 0.9
RIDGE = 30.0
"""Strength of the regression's prior, in trials."""

LEAST_TRIALS, LEAST_BOXES = 30, 3
"""With less than so many trials, or boxes on the frames as they were, nothing is estimated."""

ENOUGH_BOXES = 20
"""On the frames as they were: with so many, trust is not lowered for their number."""

LEAST_TRUST = 0.1
"""With less the band has nearly all values in it, or two boxes decide: how right the model is cannot be told."""

HOLDS_SECONDS = 1800.0
"""For so long an estimate is shown: a busy box has no time for the next."""

_LEAST_SPREAD = 0.02  # of a signal: what scatters less tells nothing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trials:
    """What was learnt on so many `frames` as they were, with so many boxes of each of `classes` (by number).

    Of each trial there are its `causes` (n,), by how much its `signals` (n, S) differ from those of the same frames as
    they were, and `f1` (n,); `base` (S,) are the signals of all. `model` is the SHA-256 of the model's file.
    """

    model: str
    causes: tuple[str, ...]
    signals: NDArray[np.float64]
    f1: NDArray[np.float64]
    base: NDArray[np.float64]
    frames: int
    classes: Mapping[int, int]

    @property
    def boxes(self) -> int:
        """On all frames as they were."""
        return sum(self.classes.values())

    @property
    def enough(self) -> bool:
        """Whether a model can be fitted to them."""
        return len(self.f1) >= LEAST_TRIALS and self.boxes >= LEAST_BOXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """F1 estimated, between `low` and `high` in 9 of 10 cases, with its `trust` (0..1); `model` is the SHA-256 of the
    model that it is of."""

    ratio: float
    low: float
    high: float
    trust: float
    model: str = ""

    @property
    def told(self) -> bool:
        """Whether it tells anything: with next to no trust its ratio is no figure to show."""
        return self.trust >= LEAST_TRUST


def untold(model: str) -> Estimate:
    """What tells nothing of a model (SHA-256)."""
    return Estimate(ratio=0.0, low=0.0, high=1.0, trust=0.0, model=model)


class AccuracyModel:
    """Fitted to `trials`; ValueError where they are too few."""

    def __init__(self, trials: Trials) -> None:
        if not trials.enough:
            raise ValueError(f"{len(trials.f1)} trials on {trials.boxes} boxes are too few")
        self.trials = trials
        others = trials.signals[:, :-1]
        self._middle = others.mean(axis=0)
        self._spread = np.maximum(others.std(axis=0), _LEAST_SPREAD)
        self._known = self._scaled(others)
        self._usual = _usual(trials.base + trials.signals, trials.base)
        self._weights = _ridge(self._known, self._usual, trials.f1)
        self._width = self._learn_width(np.array(trials.causes), trials.f1)

    def estimate(
        self, signals: NDArray[np.float64], calm: NDArray[np.float64] | None, boxes: float
    ) -> Estimate:
        """The estimate at `signals` (S,); `calm` they were when nothing drifted, with `boxes` in as many frames.

        Where `calm` is not known the signals of what was learnt on stand for it, and the trust is halved.
        """
        base = self.trials.base if calm is None else calm
        here = self._scaled((signals - base)[:-1])
        ratio = float(_predicted(self._weights, here[None], _usual(signals[None], base))[0])
        reach = self._width * (1 + _distance(here, self._known)) + 0.5 / math.sqrt(max(boxes, 1.0))
        low, high = max(0.0, ratio - reach), min(1.0, ratio + reach)
        enough = min(1.0, min(self.trials.boxes, boxes) / ENOUGH_BOXES)
        trust = max(0.0, 1 - (high - low)) * enough * (0.5 if calm is None else 1.0)
        return Estimate(ratio=ratio, low=low, high=high, trust=trust, model=self.trials.model)

    def _scaled(self, signals: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((signals - self._middle) / self._spread)

    def _learn_width(self, causes: NDArray[np.str_], f1: NDArray[np.float64]) -> float:
        """The quantile of residuals on causes that were left out, over one and the distance from the others."""
        scores: list[float] = []
        for cause in np.unique(causes):
            out = causes == cause
            if out.all():
                continue
            weights = _ridge(self._known[~out], self._usual[~out], f1[~out])
            guessed = _predicted(weights, self._known[out], self._usual[out])
            away = [_distance(each, self._known[~out]) for each in self._known[out]]
            scores += list(np.abs(guessed - f1[out]) / (1 + np.array(away)))
        rank = min(1.0, COVERAGE * (1 + 1 / max(len(scores), 1)))
        return float(np.quantile(scores, rank)) if scores else 1.0


def _usual(signals: NDArray[np.float64], base: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share (n,) of boxes of usual classes at `signals` (n, S), over that at `base` (S,), 0..1."""
    return np.asarray(np.clip(signals[:, -1] / max(base[-1], _LEAST_SPREAD), 0.0, 1.0))


def _ridge(
    known: NDArray[np.float64], usual: NDArray[np.float64], f1: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights (1 + S,) of a level and of the scaled signals, both times `usual` (n,); the level is not held back."""
    table = usual[:, None] * np.hstack([np.ones((len(known), 1)), known])
    held = RIDGE * np.diag([0.0] + [1.0] * known.shape[1])
    return np.asarray(np.linalg.solve(table.T @ table + held, table.T @ f1))


def _predicted(
    weights: NDArray[np.float64], scaled: NDArray[np.float64], usual: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(usual * np.clip(weights[0] + scaled @ weights[1:], 0.0, 1.0))


def _distance(here: NDArray[np.float64], known: NDArray[np.float64]) -> float:
    """From the nearest trial, in scatters of the signals: a root mean square."""
    return float(np.sqrt(np.square(known - here).mean(axis=1).min()))
