"""What one camera's last windows showed of pairs of features: the state that `pairs` judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.arrays import array, numbers
from agent.drift.pairs import Pairs


class PairsSeen:
    """The memory of movements and the last location; empty where the reference knows no pairs."""

    def __init__(self, pairs: Pairs | None) -> None:
        self.pairs = pairs
        self.memory: NDArray[np.float64] | None = pairs.nothing() if pairs else None
        self._last: NDArray[np.float64] | None = None

    def add(self, location: NDArray[np.float64], gap: float, *, known: bool) -> None:
        """One more window's location (F,), `gap` windows after the last; whether such a day is `known`.

        On a kind of day that the reference did not see nobody knows what goes together, and at which hours.
        """
        if self.pairs is None or self.memory is None:
            return
        if gap > 1 or not known:
            self.memory = self.pairs.rest(self.memory, gap)
        elif self._last is not None:
            self.memory = self.pairs.remember(self.memory, location - self._last)
        self._last = location if known else None

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        known = {"memory": self.memory, "last": self._last}
        return {name: numbers(values) for name, values in known.items() if values is not None}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave; BadInput for anything else."""
        if self.pairs is None or self.memory is None or "memory" not in state:
            return
        last = array(state, "last", self.pairs.step.shape) if "last" in state else None
        self.memory, self._last = array(state, "memory", self.memory.shape), last
