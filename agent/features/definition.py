"""What a feature is: a name, a unit, a sentence. Their order is the layout of every feature vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.features.view import View


@dataclass(frozen=True, slots=True)
class Feature:
    """One number measured on a sampled frame.

    `unit` is "levels" (grey levels, 0..255), "ratio", "bits", "ln" (natural logarithm of a ratio), "count",
    or "" for numbers that mean something only beside each other. `doc` says what it is and when it is NaN.
    """

    name: str
    unit: str
    doc: str


@dataclass(frozen=True, slots=True)
class Family:
    """Features measured together: `measure(view)` gives one number for each of `features`, in order."""

    name: str
    features: tuple[Feature, ...]
    measure: Callable[[View], tuple[float, ...]]
