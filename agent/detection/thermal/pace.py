"""How busy the model may be: all the time, or less while the box is too hot, until it has cooled.

======= ============================================ =====================================================
heat    when                                         every STEP_SECONDS
======= ============================================ =====================================================
HOT     over the limit, or throttled by its heat     limit becomes DOWN x what the model really took of it
WARM    less than COOLED under the limit             stays
COOL    neither                                      limit becomes UP x itself, up to 1
======= ============================================ =====================================================

Laws
----
1. LEAST <= limit <= 1, and 1 is full speed.
2. A first step is felt: it begins at how busy the model was, not at 1. The steps after it wait for the heat,
   which follows slowly.
3. Nothing measured is no heat: a box without sensors always runs at full speed.
4. A GPU at its power limit is not hot: that is how many run under full load.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from agent.core.types import Observation

STEP_SECONDS = 15.0  # a heat sink follows the load within some tens of seconds
DOWN, UP = 0.75, 1.2
LEAST = 0.1
COOLED = 5.0  # degrees under the limit before the rate is raised again
IMPOSSIBLE = 125.0  # sensors that are absent read 127 and the like; no box runs at this

_TEMPERATURES = ("host.temperature_celsius", "gpu.temperature_celsius")
_BY_HEAT = re.compile(r"thermal|hardware_slowdown")


class HeatLevel(Enum):
    """How hot the box is, as far as the pace goes."""

    COOL = "cool"
    WARM = "warm"
    HOT = "hot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """How hot the box is, and in words by what ("" while it is cool)."""

    warmth: HeatLevel = HeatLevel.COOL
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPace:
    """`limit` is the share of the time that the model may run, 0..1, since `changed` (monotonic seconds)."""

    limit: float = 1.0
    changed: float = float("-inf")
    reason: str = ""

    @property
    def full(self) -> bool:
        """Whether nothing is held back."""
        return self.limit >= 1.0


def feel(observations: Iterable[Observation], limit_celsius: float) -> Heat:
    """The worst of what telemetry measured now; `limit_celsius` 0: never hot."""
    worst = Heat()
    order = list(HeatLevel)
    for one in observations if limit_celsius > 0 else ():
        heat = _heat_of(one, limit_celsius)
        if order.index(heat.warmth) > order.index(worst.warmth):
            worst = heat
    return worst


def _heat_of(one: Observation, limit: float) -> Heat:
    entity = " ".join((one.metric.partition(".")[0], *one.labels.values()))
    if one.metric == "gpu.throttled" and one.value and _BY_HEAT.search(one.text):
        return Heat(warmth=HeatLevel.HOT, reason=f"{entity} is throttled ({one.text})")
    if one.metric not in _TEMPERATURES or not one.value < IMPOSSIBLE or one.value <= limit - COOLED:
        return Heat()
    warmth = HeatLevel.HOT if one.value > limit else HeatLevel.WARM
    return Heat(warmth=warmth, reason=f"{entity} at {one.value:.0f} °C, limit {limit:.0f}")


def follow(pace: ModelPace, heat: Heat, busy: float, now: float) -> ModelPace:
    """The pace from `now` (monotonic seconds) on; `busy` is the share of time that the model ran lately."""
    if now - pace.changed < STEP_SECONDS or heat.warmth is HeatLevel.WARM:
        return pace
    if heat.warmth is HeatLevel.HOT:
        limit = max(LEAST, DOWN * min(pace.limit, max(busy, LEAST)))
        return ModelPace(limit=limit, changed=now, reason=heat.reason)
    if pace.full:
        return pace
    limit = min(1.0, UP * pace.limit)
    return ModelPace(limit=limit, changed=now, reason="" if limit >= 1.0 else pace.reason)
