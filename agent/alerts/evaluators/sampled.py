"""The base of evaluators that remember samples of each target, such as those of a rate."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from agent.alerts.evaluators import RuleEvaluator, Target, target_of
from agent.core.types import Observation


class TargetSamples(Protocol):
    """What is remembered of one target."""

    def to_json(self) -> list[Any]:
        """The samples as plain JSON values, each a list that begins with its time."""

    def restore(self, samples: Iterable[Any]) -> None:
        """Continue from what `to_json` returned."""


Kept = TypeVar("Kept", bound=TargetSamples)


class SampledEvaluator(RuleEvaluator, Generic[Kept]):
    """An evaluator that remembers samples of each target."""

    has_samples: ClassVar[bool] = True

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._samples: dict[Target, Kept] = {}

    @abstractmethod
    def _new(self) -> Kept:
        """Empty samples."""

    @abstractmethod
    def _add(self, samples: Kept, observation: Observation) -> None:
        """Add an observation to the samples of its target."""

    def observe(self, target: Target, observation: Observation) -> None:
        """Process a new observation."""
        super().observe(target, observation)
        if target not in self._samples:
            self._samples[target] = self._new()
        self._add(self._samples[target], observation)

    def remove(self, target: Target) -> None:
        """Discard what is known of `target`."""
        super().remove(target)
        self._samples.pop(target, None)

    def to_json(self) -> list[Any]:
        """The samples of each target."""
        return [
            {"labels": dict(target), "samples": samples.to_json()}
            for target, samples in self._samples.items()
        ]

    def restore(self, entries: Iterable[Any], now: float) -> None:
        """Take over samples that `to_json` returned; those of the future are discarded."""
        for entry in entries:
            samples = self._new()
            samples.restore([sample for sample in entry["samples"] if sample[0] <= now])
            self._samples[target_of(entry["labels"])] = samples
