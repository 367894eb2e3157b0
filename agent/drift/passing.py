"""Passing events since the reference: changes that raised an alarm and ended by themselves within a day.

Rain, a front or a lorry that the reference did not hold raises an alarm the first time, and on another day once more.
From then on it is as familiar as what the reference held: no alarm, unless it lasts longer or is larger
(`excursions.py`). Twice within a day counts once: a cable that comes loose on one afternoon is told each time. What
comes and goes with the hours of the day (`daily.py`) does not become familiar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.arrays import array, numbers
from agent.core.untrusted import take_integer
from agent.drift.alarm import CALM
from agent.drift.excursions import ALIKE, Excursions, likeness
from agent.drift.refine import Refinement
from agent.drift.sketch import LATEST

LONGEST_SECONDS = 86_400.0
"""What lasted longer was there at every hour, and is told each time."""

APART_SECONDS = 12 * 3600.0
"""Between two of the times that count."""

TIMES_SEEN = 2
"""So often it must have come and gone."""

FORGOTTEN_SECONDS = 28 * 86400.0
"""What was not seen for so long is forgotten when the next alarm ends."""

MOST_KEPT = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PassingEvent:
    """One: its mean `direction` (3, C) in usual sizes, its longest `span` in windows, how `often` it counted, and the
    Unix times `counted` and `last` at which it counted and was seen last."""

    direction: NDArray[np.float64]
    span: float
    often: int
    counted: float
    last: float


@dataclass(slots=True, eq=False)
class Passing:
    """Those of one camera, MOST_KEPT at most."""

    kept: list[PassingEvent] = field(default_factory=list)

    def add(self, direction: NDArray[np.float64], since: float, at: float, window_seconds: float) -> None:
        """A change (3, C), in usual sizes, that was over a limit `since` a Unix time, and gone `at` another."""
        if at - since > LONGEST_SECONDS:
            return
        span = max((at - since) / window_seconds - CALM, 1.0)
        self.kept = [each for each in self.kept if at - each.last < FORGOTTEN_SECONDS]
        found = self._alike(direction)
        if found is None:
            self.kept.append(PassingEvent(direction=direction, span=span, often=1, counted=at, last=at))
            self.kept = sorted(self.kept, key=lambda each: -each.last)[:MOST_KEPT]
            return
        before = self.kept[found]
        counts = at - before.counted >= APART_SECONDS
        self.kept[found] = PassingEvent(
            direction=before.direction + (direction - before.direction) / (before.often + 1),
            span=max(before.span, span),
            often=before.often + counts,
            counted=at if counts else before.counted,
            last=at,
        )

    def seen(self, direction: NDArray[np.float64], at: float) -> None:
        """One like this (3, C) was excused `at` a Unix time."""
        found = self._alike(direction)
        if found is not None:
            self.kept[found] = replace(self.kept[found], last=at)

    def joined(self, excursions: Excursions) -> Excursions:
        """Those of the reference, and what has become familiar since."""
        familiar = [each for each in self.kept if each.often >= TIMES_SEEN]
        if not familiar:
            return excursions
        return Excursions(
            directions=np.concatenate([excursions.directions, [each.direction for each in familiar]]),
            spans=np.concatenate([excursions.spans, [each.span for each in familiar]]),
        )

    def converted(self, before: Refinement, to: Refinement) -> Passing:
        """These, of a judge whose evidence was refined by what was `before`, for one by another."""
        return Passing([replace(each, direction=before.converted(each.direction, to)) for each in self.kept])

    def _alike(self, direction: NDArray[np.float64]) -> int | None:
        if not self.kept:
            return None
        found = [float(likeness(each.direction, direction)) for each in self.kept]
        best = int(np.argmax(found))
        return best if found[best] >= ALIKE else None

    def state(self) -> dict[str, Any]:
        """As JSON values (900 bytes each)."""
        figures = [[each.span, float(each.often), each.counted, each.last] for each in self.kept]
        return {
            "count": len(self.kept),
            "directions": numbers(np.array([each.direction for each in self.kept]), "<f4"),
            "figures": numbers(np.array(figures)),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any], columns: tuple[int, int]) -> Passing:
        """What `state` gave, of evidence (3, C); BadInput for anything else."""
        count = take_integer(state, "count", minimum=0, maximum=MOST_KEPT)
        directions = array(state, "directions", (count, *columns), kind="<f4")
        figures = array(state, "figures", (count, 4), low=0.0, high=LATEST)
        return cls(
            [
                PassingEvent(
                    direction=direction, span=span, often=max(int(often), 1), counted=counted, last=last
                )
                for direction, (span, often, counted, last) in zip(directions, figures.tolist(), strict=True)
            ]
        )
