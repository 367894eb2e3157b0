"""Distances between the distribution of a window and the expected one: one file and one line here for each.

All are calibrated alike: none is judged by a textbook p-value, each is divided by its usual size over held-out blocks
of the reference. `vedette drift explain` shows all of them; summaries and alerts hold those of IN_VERDICT.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.core.registry import Registry

Shares = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A distance by the name `title`.

    `distance(seen, expected)` takes shares (..., B) of the same B bins, summing to 1, float64; its result (...) is 0
    where they are equal, grows as they part, and is at most `most`. One that is `quadratic` grows with the square of a
    change and is calibrated by its root. `per_ks` is its usual size beside KS's where none can be learnt.
    """

    title: str
    distance: Callable[[Shares, Shares], NDArray[np.float64]]
    most: float = 1.0
    quadratic: bool = False
    per_ks: float = 1.0

    def size(self, seen: Shares, expected: Shares) -> NDArray[np.float64]:
        """What is calibrated: the distance, or its root."""
        found = self.distance(seen, expected)
        return np.sqrt(found) if self.quadratic else found

    def value(self, size: float) -> float:
        """The distance whose size this is."""
        return size**2 if self.quadratic else size


STATISTICS = Registry(
    "statistic",
    {
        "ks": "agent.drift.statistics.ks:STATISTIC",
        "psi": "agent.drift.statistics.psi:STATISTIC",
        "jensen_shannon": "agent.drift.statistics.jensen_shannon:STATISTIC",
        "wasserstein": "agent.drift.statistics.wasserstein:STATISTIC",
    },
)

IN_VERDICT = ("ks", "psi")
"""In every summary and alert, and in every stored reference; KS also raises the alarm of a changed shape."""


def statistics() -> list[Statistic]:
    """All of them, in the registry's order."""
    return [STATISTICS.load(name) for name in STATISTICS]
