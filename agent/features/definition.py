"""What a feature is: a name, a unit, a sentence and a function. Their order is the layout of every feature vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from agent.features.view import View

Prepared = TypeVar("Prepared")


@dataclass(frozen=True, slots=True)
class Feature(Generic[Prepared]):
    """One number measured on a sampled frame.

    `unit` is "levels" (grey levels, 0..255), "ratio", "bits", "ln" (natural logarithm of a ratio), "count",
    or "" for numbers that mean something only beside each other. `doc` describes it and says when it is NaN.
    `measure` computes it from what its family prepared.
    """

    name: str
    unit: str
    doc: str
    measure: Callable[[Prepared], float]


@dataclass(frozen=True, slots=True)
class Family(Generic[Prepared]):
    """Features that share their preparation: `prepare` runs once a frame, each feature reads its result."""

    name: str
    prepare: Callable[[View], Prepared]
    features: tuple[Feature[Prepared], ...]

    def measure(self, view: View) -> list[float]:
        """One number for each of `features`."""
        prepared = self.prepare(view)
        return [feature.measure(prepared) for feature in self.features]


AnyFamily = Family[Any]
AnyFeature = Feature[Any]
