"""The judge's fading memory of a camera's last windows: evidence, distributions, pairs and percentiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.arrays import array, numbers
from agent.core.untrusted import take_object
from agent.drift.distances import Fading
from agent.drift.memory import KEEP, SCALE_KEEP, SCALES, fade
from agent.drift.pairs_seen import PairsSeen
from agent.drift.reference import Reference

QUANTILES = np.array([0.1, 0.5, 0.9])
"""Which of the windows' own percentiles are kept."""


class Remembered:
    """`memory` (3, C, K) of evidence in `columns` (3, C), `classes` (1, M, K) of that of `mix` classes, `fading`
    distributions, `pairs`, and `knots` (4, F, 3), the windows' own percentiles (None before the first)."""

    def __init__(self, reference: Reference, columns: tuple[int, ...], mix: int) -> None:
        self._reference = reference
        self.memory = np.zeros((*columns, KEEP.size))
        self.classes = np.zeros((1, mix, KEEP.size))
        self.pairs = PairsSeen(reference.calibration.pairs)
        self.fading = Fading.empty(len(reference.origin.features), len(reference.class_ids))
        self.knots: NDArray[np.float64] | None = None

    def add_evidence(self, refined: NDArray[np.float64], gap: float, *, known: bool) -> None:
        """One more window's evidence (3, C), `gap` windows after the last, of a kind of day that is `known` or not."""
        self.memory = fade(self.memory, refined, gap)
        self.pairs.add(refined[0, : len(self._reference.origin.features)], gap, known=known)

    def add_classes(self, evidence: NDArray[np.float64], gap: float) -> None:
        """One more window's evidence (1, M) of the class mix, `gap` windows after the last."""
        self.classes = fade(self.classes, evidence, gap)

    def add_knots(self, knots: NDArray[np.float32]) -> None:
        """One more window's own percentiles (F, 3), fading; undefined ones leave what was."""
        new = np.broadcast_to(knots.astype(np.float64), (SCALES.size, *knots.shape))
        if self.knots is None:
            self.knots = new.copy()
            return
        old = np.where(np.isnan(self.knots), new, self.knots)
        self.knots = np.where(np.isnan(new), self.knots, new + SCALE_KEEP[:, None, None] * (old - new))

    def anew(self) -> Remembered:
        """Another, of the same shapes, that remembers nothing."""
        return Remembered(self._reference, self.memory.shape[:-1], self.classes.shape[1])

    def begin_anew(self) -> None:
        """After an alarm: its drift must not be taken for what was there before. The windows' percentiles stay."""
        anew = self.anew()
        self.memory, self.classes, self.pairs, self.fading = (
            anew.memory,
            anew.classes,
            anew.pairs,
            anew.fading,
        )

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "memory": numbers(self.memory),
            "classes": numbers(self.classes),
            "pairs": self.pairs.state(),
            "ranks": numbers(self.fading.ranks),
            "seen": numbers(self.fading.seen),
            "expected": numbers(self.fading.expected),
            "knots": None if self.knots is None else numbers(self.knots),
        }

    def restored(self, state: Mapping[str, Any]) -> Remembered:
        """What `state` gave, of the same shapes; BadInput for anything else."""
        kept = self.anew()
        kept.memory = array(state, "memory", self.memory.shape)
        kept.fading = Fading(
            array(state, "ranks", self.fading.ranks.shape),
            array(state, "seen", self.fading.seen.shape),
            array(state, "expected", self.fading.expected.shape),
        )
        shape = (SCALES.size, len(self._reference.origin.features), QUANTILES.size)
        kept.knots = None if state.get("knots") is None else array(state, "knots", shape, unknown=True)
        if "classes" in state:  # the version before had none
            kept.classes = array(state, "classes", self.classes.shape)
        if "pairs" in state:  # likewise
            kept.pairs.restore(take_object(state, "pairs"))
        return kept
