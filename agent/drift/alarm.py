"""The drift alarm of one camera: one drift is one alarm.

    off ── ratio >= 1 ──▶ on        what changed (a direction in evidence) and by how much is noted
    on  ── less than half of the change noted is left, nearly as surely as it was found, for CALM windows ──▶ off

That a score falls back below its limit does not end the alarm: filters that subtract what was seen before lose sight of
a change that lasts. What ends it is a change back. At each age that this may have, "the change was gone since then" is
held against "it is still there": the logarithm of their likelihood ratio, by the same matched filters and limits that
the beginning was found by, so that an end is found about as soon as the beginning was, and hardly ever by chance.

A window that says nothing of a change (a count at night, an hour not judged) neither ends it nor keeps it on: the alarm
has a memory of its own, in which only windows count that say something of it, each in the measure of one that says all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.arrays import array, numbers
from agent.core.untrusted import (
    BadInput,
    take_integer,
    take_integers,
    take_list,
    take_number,
    take_object,
    take_text,
)
from agent.drift.distances import Reached
from agent.drift.excursions import ALIKE, LATELY, at_least, likeness
from agent.drift.lulls import Lulls
from agent.drift.memory import AGE_WEIGHTS, AGES, KEEP, SCALES, fade, step_response
from agent.drift.pairs import SCALES as PAIR_SCALES
from agent.drift.series import score
from agent.drift.sketch import LATEST

CALM = 3
"""Windows for which the change must have been gone: one odd window, in which a large change is hidden, ends nothing."""

LEAST_WEIGHT = 0.25
"""A window that shows less than this of a change says nothing of it."""

_AS_SURE = 0.8
"""Of the limit: the end of a change that is just large enough to be found is found nine times in ten (6.4 of a score
are seen on average, and scatter by 1), and one that lasts seems to end less than once in a hundred weeks."""

_LEANING = 0.5  # of what is enough for an end: then what was noted stands, or what goes away would be noted as smaller
_NOTHING_LEFT = 0.35
"""Of a limit. Where a change scores less than this once it should be twice as old, and score more, there was none: it
would be noted as smaller and smaller, and its end would never be plain."""
_NOTED_AGAIN = 2  # times the age at which the change was noted last: it is known twice as well then
_LEFT = 0.5  # of a distance
_SURE = 5.0  # usual sizes between a distance and what is taken for its end
_SPANS = np.concatenate([SCALES, PAIR_SCALES])  # windows that a distance at each place tells of


class Of(str, Enum):
    """What the change is one of."""

    FEATURES = "features"
    CLASSES = "classes"
    DISTANCES = "distances"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gauge:
    """What evidence of (A, C) is measured by: `filters` (A, C, J, K) of its memory, and `limits` (A, C) of scores."""

    filters: NDArray[np.float64]
    limits: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """What one window shows: `evidence` (A, C), and the `weight` (A, C) with which a change shows in it, 1 in full."""

    evidence: NDArray[np.float64]
    weight: NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Alarm:
    """The state: `since` is None while off. `level` (A, C) is the change noted when it was `noted_at` windows old, and
    `memory` (A, C, K) what was seen of it until now: it is `age` windows old, of which each column has `seen` (A, C).
    `whole` (3, C) is in which direction all columns of features were off then, and how far at most.

    `lulls` are those of the change, also where it is raised `again` by the like of the change `before` (3, C).

    Where distances raised the alarm both are empty. Then `parts` are those distributions or pairs that were over their
    limits at the time scale `place` (those of pairs come after those of distributions), `ratios` what each of them
    reached, and `waits` how many windows it takes until they show something again.
    """

    since: float | None = None
    of: Of = Of.FEATURES
    place: int = 0
    level: NDArray[np.float64] | None = None
    memory: NDArray[np.float64] | None = None
    seen: NDArray[np.float64] | None = None
    whole: NDArray[np.float64] | None = None
    parts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    ratios: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    calm: int = 0
    age: int = 0
    noted_at: int = 0
    waits: int = 0
    lulls: Lulls = field(default_factory=Lulls)
    before: NDArray[np.float64] | None = None
    again: bool = False

    @property
    def on(self) -> bool:
        """Whether it is on."""
        return self.since is not None

    def raise_by_change(
        self,
        now: float,
        memory: NDArray[np.float64],
        weight: NDArray[np.float64],
        changed: NDArray[np.bool_],
        age: int,
        gauge: Gauge,
        of: Of = Of.FEATURES,
    ) -> None:
        """Go on because evidence changed in `changed` (A, C) over the last `age` windows, in each of which a change
        showed with `weight` (A, C); `memory` (A, C, K) is that of the evidence."""
        self.since, self.of, self.calm, self.waits = now, of, 0, 0
        self.age, self.level, self.whole = max(age, 1), None, None
        self.seen = np.full(changed.shape, float(self.age))
        self.memory = memory / np.where(weight >= LEAST_WEIGHT, weight, 1.0)[..., None]
        self._note(changed, gauge)
        self._keep_lulls(alike=self._like_before(gauge))

    def _like_before(self, gauge: Gauge) -> bool:
        """Whether the change is like that of the alarm before."""
        if self.of is not Of.FEATURES or self.before is None:
            return False
        scores, answer = self._scores(gauge)
        return bool(likeness(answer * self.before, scores) >= ALIKE)

    def _keep_lulls(self, *, alike: bool) -> None:
        """Where what seemed gone is back, its end was a lull."""
        self.again = alike
        if alike:
            self.lulls.back()
        else:
            self.lulls = Lulls()

    def _note(self, changed: NDArray[np.bool_], gauge: Gauge) -> float:
        """By how much it changed, as the filters for what was seen of it show; the score, in sigma, of a change in the
        direction that was noted before."""
        assert self.memory is not None
        scores, answer = self._scores(gauge)
        judged = answer > 0.0
        whole = np.where(judged, scores / np.where(judged, answer, 1.0), 0.0)
        self.noted_at = self.age
        before = answer * (whole if self.level is None else self.level)
        if (changed & judged).any():
            self.level = np.where(changed, whole, 0.0)
            if self.of is Of.FEATURES:
                seen = self.memory[..., LATELY] if self.whole is None else self.whole
                self.whole = at_least(whole, seen)
        return float((scores * before).sum() / max(float(np.linalg.norm(before)), 1e-12))

    def _scores(self, gauge: Gauge) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The scores (A, C) of what was seen of the change, and what one of size 1 scores."""
        assert self.memory is not None
        assert self.seen is not None
        places = np.searchsorted(AGES, self.seen, side="right") - 1
        chosen = np.take_along_axis(gauge.filters, places[..., None, None], axis=2)[..., 0, :]
        answer = (chosen * (1.0 - KEEP ** self.seen[..., None])).sum(axis=-1)
        return (chosen * self.memory).sum(axis=-1), answer

    def raise_by_distance(self, now: float, reached: Reached) -> None:
        """Go on because a distribution, the class mix or a pair is over its limit."""
        before, pairs = set(self.parts.tolist()), self.place >= SCALES.size
        self.since, self.of, self.calm = now, Of.DISTANCES, 0
        self.level = self.memory = self.seen = self.whole = None
        self.age, self.noted_at, self.waits = 1, 1, 0
        self._note_distance(reached)
        alike = pairs == (self.place >= SCALES.size) and before & set(self.parts.tolist())
        self._keep_lulls(alike=bool(alike))

    def _note_distance(self, reached: Reached) -> None:
        """Those over their limits at the shortest time scale at which half of what was reached is plain to see, or at
        that of the largest ratio."""
        largest = reached.largest
        noise = np.array([reached.noise_at(place).max(initial=0.0) for place in range(largest.size)])
        clear = (largest > 0.0) & (largest * (1.0 - _LEFT) >= _SURE * noise)
        self.place = int(clear.argmax()) if clear.any() else int(largest.argmax())
        found = reached.at(self.place)
        self.parts = np.flatnonzero(found >= min(1.0, found.max()))
        self.ratios = found[self.parts]
        self.noted_at = self.age

    def watch_change(self, shown: Shown, gauge: Gauge) -> bool:
        """One more window while on; True when the alarm has just gone off."""
        assert self.level is not None
        assert self.memory is not None
        assert self.seen is not None
        says = (shown.weight >= LEAST_WEIGHT) & (self.level != 0.0)
        if not says.any():
            return False
        whole = shown.evidence / np.where(says, shown.weight, 1.0)
        self.memory = np.where(says[..., None], fade(self.memory, whole), self.memory)
        if self.of is Of.FEATURES and self.whole is not None:
            self.whole = at_least(self.whole, self.memory[..., LATELY])
        self.seen = self.seen + says
        self.age += 1
        sureness = self._sureness(says, gauge)
        self.lulls.step(low=sureness >= _LEANING)
        if sureness < _LEANING and self._may_note(gauge):
            changed = self.level != 0.0
            if self._note(changed, gauge) < _NOTHING_LEFT * gauge.limits[changed].max():
                return self.end()
        return self._step(sureness >= 1.0)

    def _sureness(self, says: NDArray[np.bool_], gauge: Gauge) -> float:
        """How sure it is, by the columns that say something, that the change has gone: 1 is enough, 0 if it is back."""
        assert self.level is not None
        assert self.memory is not None
        assert self.seen is not None
        level = np.where(says, self.level, 0.0)[..., None]
        steps = level * (gauge.filters * step_response()).sum(axis=-1)
        enough = (_AS_SURE * gauge.limits[says].max() / AGE_WEIGHTS) ** 2 / 2.0
        rest = self.memory - level * (1.0 - KEEP ** self.seen[..., None])
        sure = _likelier(-steps, score(rest, gauge.filters)) / enough
        sure = np.where(self.age >= AGES, sure, 0.0)
        since = int(sure.argmax())
        if sure[since] < 1.0:
            return float(sure[since])
        without = rest + level * step_response()[since]
        back = _likelier(steps, score(without, gauge.filters))[:since]
        return 0.0 if (back >= enough[:since]).any() else float(sure[since])

    def _may_note(self, gauge: Gauge) -> bool:
        """Whether the change is old enough to be known better, and not older than any filter looks back."""
        if self.age < _NOTED_AGAIN * self.noted_at:
            return False
        return bool(self.age <= AGES[gauge.filters.any(axis=(0, 1, 3))].max())

    def watch_distance(self, reached: Reached, gap: float) -> bool:
        """One more window, `gap` after the last, while on; True when the alarm has just gone off.

        Each of those noted is held against what itself reached: the largest of all is never small.
        """
        span = int(_SPANS[self.place])
        self.waits = max(span if gap > 1 else self.waits - 1, 0)
        self.age += 1
        if not self.parts.size:  # a version before noted no more than the largest
            self.parts = np.array([reached.at(self.place).argmax()], np.int64)
        noise = reached.noise_at(self.place)[self.parts]
        least = self.ratios - np.maximum(_LEFT * self.ratios, _SURE * noise)
        gone = bool((reached.at(self.place)[self.parts] < least).all())
        again = _NOTED_AGAIN * self.noted_at <= self.age <= _NOTED_AGAIN * max(span, SCALES[-1])
        if not self.waits:
            self.lulls.step(low=gone)
        if again and reached.largest.max() >= 1.0:
            self._note_distance(reached)
        return self._step(gone) if not self.waits else False

    def _step(self, gone: bool) -> bool:
        self.calm = self.calm + 1 if gone else 0
        return self.calm >= CALM and self.lulls.outlasted and self.end()

    @property
    def found_in(self) -> int:
        """How many windows it took to find the change, about; of one that has been on for long, at most."""
        return int(_SPANS[self.place]) if self.of is Of.DISTANCES else min(self.age, int(AGES[-1]))

    def end(self) -> bool:
        """The alarm is over: True."""
        self.since, self.calm, self.before = None, 0, self.whole
        self.level = self.memory = self.seen = self.whole = None
        return True

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "since": self.since,
            "of": self.of.value,
            "place": self.place,
            "level": None if self.level is None else numbers(self.level),
            "whole": None if self.whole is None else numbers(self.whole),
            "windows": None if self.seen is None else numbers(self.seen, "<f4"),
            "seen": None if self.memory is None else numbers(self.memory),
            "parts": self.parts.tolist(),
            "ratios": self.ratios.tolist(),
            "calm": self.calm,
            "age": self.age,
            "noted_at": self.noted_at,
            "waits": self.waits,
            "lulls": self.lulls.state(),
            "before": None if self.before is None else numbers(self.before),
        }

    @classmethod
    def restore(
        cls, state: Mapping[str, Any], memories: Mapping[Of, NDArray[np.float64]], features: int
    ) -> Alarm:
        """What `state` gave, where `memories` (A, C, K) are those of the evidence and there are so many `features`;
        BadInput for anything else.

        The versions before kept no memory of the alarm's own: that of the evidence stands in.
        """
        word = take_text(state, "of", Of.FEATURES.value, longest=16)
        if word not in {each.value for each in Of}:
            raise BadInput("`of` is none of what an alarm can be about")
        of = Of(word)
        age = take_integer(state, "age", minimum=0)
        level = memory = seen = None
        if state.get("level") is not None and of is not Of.DISTANCES:
            memory = memories[of]
            level = array(state, "level", memory.shape[:2])
            seen = np.full(level.shape, float(age))
            if state.get("windows") is not None:
                seen = array(state, "windows", level.shape, low=0.0, kind="<f4")
            if state.get("seen") is not None:
                memory = array(state, "seen", memory.shape)
            if not level.any():
                raise BadInput("`level` is that of no change")
        elif of is Of.FEATURES and state.get("since") is not None:
            of = Of.DISTANCES  # by the version before
        whole, before = (
            None if state.get(name) is None else array(state, name, memories[Of.FEATURES].shape[:2])
            for name in ("whole", "before")
        )
        lulls = Lulls.restore(take_object(state, "lulls", Lulls().state()))  # the version before had none
        place = min(take_integer(state, "place", minimum=0, maximum=KEEP.size - 1), _SPANS.size - 1)
        parts, ratios = _noted(state, features + 1 if place < SCALES.size else features * (features - 1) // 2)
        return cls(
            take_number(state, "since", None, minimum=0.0, maximum=LATEST),
            of,
            place,
            level,
            memory,
            seen,
            whole,
            parts,
            ratios,
            take_integer(state, "calm", minimum=0),
            age,
            take_integer(state, "noted_at", age, minimum=0),
            take_integer(state, "waits", 0, minimum=0),
            lulls,
            before,
        )


def _noted(state: Mapping[str, Any], size: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which of `size` distances are noted, and what they reached."""
    if "parts" not in state:  # the version before
        return np.zeros(0, np.int64), np.array([take_number(state, "ratio", 0.0)])
    parts = take_integers(state, "parts", longest=size, minimum=0, maximum=size - 1)
    ratios = [take_number({"ratios": each}, "ratios") for each in take_list(state, "ratios", longest=size)]
    if len(parts) != len(ratios):
        raise BadInput("`parts` and `ratios` are not of one length")
    return np.array(parts, np.int64), np.array(ratios)


def _likelier(steps: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of how much likelier scores (A, C, J) are with a change that moves them by `steps` than without, at
    each age (J,)."""
    return np.asarray((steps * scores - steps**2 / 2.0).sum(axis=(0, 1)), dtype=np.float64)
