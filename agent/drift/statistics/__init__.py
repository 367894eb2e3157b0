"""Distances between what was seen and what was expected, by name.

A statistic is a function `distance(seen, expected) -> distance`: shares (..., B) of the same B bins, summing to 1,
float64; the result (...) is 0 where they are equal, grows as they part, and is bounded. None is judged by a textbook
p-value: each is divided by its usual size over held-out blocks of the reference.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agent.core.registry import Registry

Shares = NDArray[np.float64]
Distance = Callable[[Shares, Shares], NDArray[np.float64]]

STATISTICS = Registry(
    "statistic",
    {
        "ks": "agent.drift.statistics.ks:distance",
        "psi": "agent.drift.statistics.psi:distance",
        "jensen_shannon": "agent.drift.statistics.jensen_shannon:distance",
        "wasserstein": "agent.drift.statistics.wasserstein:distance",
    },
)
