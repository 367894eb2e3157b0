"""Latency targets: the shares of slow frames that rules use, computed from a window's sketches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.alerts.evaluators.burn import Burn
from agent.alerts.rules import Rule
from agent.core.kll import Sketch
from agent.core.types import Observation


@dataclass(frozen=True, slots=True, order=True)
class LatencyTarget:
    """A limit for the time of one stage (`latency` is capture to result), in seconds."""

    stage: str
    seconds: float


def targets(rules: Iterable[Rule]) -> tuple[LatencyTarget, ...]:
    """The targets that burn rules such as `burn(camera.latency_seconds > 0.5, 99%) > 10` are about."""
    found = set()
    for rule in rules:
        seconds = rule.condition.selector.get("target")
        if isinstance(rule.condition.function, Burn) and seconds:
            stage = rule.condition.metric.removeprefix("camera.").removesuffix("_over_ratio")
            found.add(LatencyTarget(stage, float(seconds)))
    return tuple(sorted(found))


def share_observations(
    wanted: Iterable[LatencyTarget], camera: str, sketches: Mapping[str, Sketch], at: float
) -> list[Observation]:
    """For each target the share of a window's frames over it, as `camera.<stage>_over_ratio`."""
    return [
        Observation(
            metric=f"camera.{target.stage}_over_ratio",
            value=1.0 - float(sketch.cdf([target.seconds])[0]),
            at=at,
            labels={"camera": camera, "target": f"{target.seconds:g}"},
            evidence={"frames": sketch.count},
        )
        for target in wanted
        if (sketch := sketches.get(target.stage)) is not None and sketch.count
    ]
