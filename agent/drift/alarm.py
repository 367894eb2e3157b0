"""The drift alarm of one camera: one drift is one alarm.

    off ── ratio >= 1 ──▶ on        what changed (a direction in evidence) and by how much is noted
    on  ── less than half of the change noted is left, for CALM windows ──▶ off, and the evidence begins anew

That a score falls back below its limit does not end the alarm: filters that subtract what was seen before lose sight of
a change that lasts. How much of it is left is read off the shortest memory that tells half of it from nothing, by the
camera's own noise: the last window alone for a large change, hours for a small one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.arrays import array, numbers
from agent.core.untrusted import BadInput, take_integer, take_number, take_text
from agent.drift.memory import KEEP, SCALES, TIMES
from agent.drift.sketch import LATEST

CALM = 3
"""Windows for which the change must have been gone: one odd window, in which a large change is hidden, ends nothing."""

_GONE = 0.5
_SURE = 5.0
"""Standard deviations between a change and half of it, as the noise of a reference of a few days is known."""

_NOTED_FOR = 4  # times its age at first, and not less than _SHORTEST windows
_SHORTEST = 16  # windows: a small change is not looked for in a longer memory than this, or than it is old


class Of(str, Enum):
    """What the change is one of."""

    FEATURES = "features"
    CLASSES = "classes"
    DISTANCES = "distances"


@dataclass(slots=True, eq=False)
class Alarm:
    """The state: `since` is None while off. `level` (A, C) is the change noted, `weight` (A, C) that over its
    variance when nothing changes; how much of it is left is measured at time constant `place`, `age` windows after it
    began.

    Where distances raised the alarm both are empty, and `ratio` is what they reached at the time scale
    `place` (that of pairs comes after those of distributions).
    """

    since: float | None = None
    of: Of = Of.FEATURES
    place: int = 0
    level: NDArray[np.float64] | None = None
    weight: NDArray[np.float64] | None = None
    ratio: float = 0.0
    calm: int = 0
    age: int = 0
    noted_until: int = 0

    def raise_by_change(
        self,
        now: float,
        memory: NDArray[np.float64],
        changed: NDArray[np.bool_],
        age: int,
        noise: NDArray[np.float64],
        of: Of = Of.FEATURES,
    ) -> None:
        """Go on because evidence changed in `changed` (A, C) over the last `age` windows; `noise` (A, C, K) is the
        variance of its memory (A, C, K) when nothing changes."""
        self.since, self.of, self.calm, self.ratio = now, of, 0, 0.0
        self.age = age = max(age, 1)
        self.noted_until = max(_NOTED_FOR * age, _SHORTEST)
        self._note(memory, changed, noise)

    def _note(
        self, memory: NDArray[np.float64], changed: NDArray[np.bool_], noise: NDArray[np.float64]
    ) -> None:
        # How much it changed is read off the shortest memory that spans it: where the change is older than the age
        # at which it shows best, a longer one would be scaled up too far, and what lasts would seem to shrink.
        lately = int(np.searchsorted(TIMES, self.age, side="right")) - 1
        self.level = np.where(changed, memory[..., lately] / (1.0 - KEEP[lately] ** self.age), 0.0)
        clear = (self.level[..., None] ** 2 / noise).sum(axis=(0, 1)) >= (_SURE / (1.0 - _GONE)) ** 2
        longest = int(np.searchsorted(TIMES, min(max(self.age, _SHORTEST), TIMES[-1])))
        self.place = min(int(clear.argmax()) if clear.any() else longest, longest)
        self.weight = self.level / noise[..., self.place]

    def raise_by_distance(self, now: float, ratios: NDArray[np.float64]) -> None:
        """Go on because a distribution is over its limit: `ratios` (5,) at the four time scales, and of pairs."""
        self.since, self.of, self.calm, self.level, self.weight = now, Of.DISTANCES, 0, None, None
        over = ratios >= 1.0
        self.place = int(over.argmax()) if over.any() else int(ratios.argmax())
        self.ratio = float(ratios[self.place])

    def watch(
        self, memory: NDArray[np.float64], noise: NDArray[np.float64], ratios: NDArray[np.float64]
    ) -> bool:
        """One more window while on, with the memory of what changed, its `noise`, and the distances' `ratios` (5,);
        True when the alarm has just gone off."""
        self.age += 1
        gone = self._left(memory, ratios) < _GONE
        if not gone and self.level is not None and self.age <= self.noted_until:
            self._note(memory, self.level != 0.0, noise)
        self.calm = self.calm + 1 if gone else 0
        if self.calm < CALM:
            return False
        self.since, self.level, self.weight, self.calm = None, None, None, 0
        return True

    def _left(self, memory: NDArray[np.float64], ratios: NDArray[np.float64]) -> float:
        """How much of the change is left: 1 all of it, 0 nothing."""
        if self.level is None or self.weight is None:
            return float(ratios[self.place]) / self.ratio if self.ratio else 0.0
        shown = 1.0 - KEEP[self.place] ** self.age  # of a change that lasts, so far
        whole = shown * float((self.weight * self.level).sum())
        return float((memory[..., self.place] * self.weight).sum() / max(whole, 1e-12))

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "since": self.since,
            "of": self.of.value,
            "place": self.place,
            "level": None if self.level is None else numbers(self.level),
            "weight": None if self.weight is None else numbers(self.weight),
            "ratio": self.ratio,
            "calm": self.calm,
            "age": self.age,
            "noted_until": self.noted_until,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any], shapes: Mapping[Of, tuple[int, int]]) -> Alarm:
        """What `state` gave, for memories of `shapes`; BadInput for anything else.

        The version before knew no weights: all that changed counts alike.
        """
        word = take_text(state, "of", Of.FEATURES.value, longest=16)
        if word not in {each.value for each in Of}:
            raise BadInput("`of` is none of what an alarm can be about")
        of = Of(word)
        level = weight = None
        if state.get("level") is not None and of is not Of.DISTANCES:
            level = array(state, "level", shapes[of])
            weight = array(state, "weight", shapes[of]) if state.get("weight") is not None else level
        elif of is Of.FEATURES and state.get("since") is not None:
            of = Of.DISTANCES  # by the version before
        most = SCALES.size if of is Of.DISTANCES else KEEP.size - 1
        return cls(
            take_number(state, "since", None, minimum=0.0, maximum=LATEST),
            of,
            min(take_integer(state, "place", minimum=0, maximum=KEEP.size - 1), most),
            level,
            weight,
            take_number(state, "ratio"),
            take_integer(state, "calm", minimum=0),
            take_integer(state, "age", minimum=0),
            take_integer(state, "noted_until", 0, minimum=0),
        )
