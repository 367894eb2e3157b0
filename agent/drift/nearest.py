"""The context nearest to what a window shows: a day may run early or late by the clock, and clocks are moved.

The sun rises earlier or later, a camera switches to infrared at dusk. So a window is compared with the moment near its
own whose light all its features fit best: the same moment for all of them, so that no feature is excused alone. When
clocks were moved since the reference, what people do moved with them and the light did not: then each feature follows
whichever of the two it fits. On a kind of day that the reference never saw (the first Saturday) people do at any hour
what they do at another one of the days it knows, and the light keeps to its time: the same choice. Held-out hours are
compared in the same way, by the light, and so limits know what the choice does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.drift.contexts import Contexts, Expected, hour_of
from agent.drift.evidence import EDGES, KNOTS, Evidence, Looks, UsualWindow, weigh
from agent.drift.tables import merged, rank, stacked

FARTHEST = 1.5
"""Hours between a moment and the nearest context beyond which nothing is compared: that hour was never seen."""

REACH_SECONDS = 3600.0
"""How much earlier or later than the clock has it a day may run."""

_STEP = 1200.0
_MOST_REACH = 2 * REACH_SECONDS
_SUN = 120.0
"""Seconds by which sunrise and sunset move from one day to the next at most, up to a latitude of 50 degrees."""

_DAY = 86400.0
_CLOCK_CHANGE = (
    3600.0  # clocks are moved by an hour or less; what is more is another time zone, and nobody's rhythm
)
_EVERY = 7200.0
"""Seconds between the hours of a known day that an unseen one may be like: the moments around them lie as near."""
_PLACES = np.arange(1, KNOTS, 4)  # of a window's quantiles: enough to place it
_MATTERS = 0.5  # sigma between what is expected by the light and by the clock
_MOST = 2.0  # sigma: one feature that is far off at all moments must not choose among them


@dataclass(frozen=True, slots=True, kw_only=True)
class Elapsed:
    """What has passed between a reference and a moment: `days` since its end, 0 within it; `clock` seconds by which
    local clocks were moved forward since (back: negative). `unseen`: the moment is on a kind of day that it never saw.
    """

    days: float = 0.0
    clock: float = 0.0
    unseen: bool = False

    @classmethod
    def since(
        cls, end: float, moment: float, offset_then: float, offset_now: float, *, unseen: bool = False
    ) -> Elapsed:
        """From the end of a reference to `moment`, local time being so many seconds ahead of UTC then and now."""
        moved = offset_now - offset_then
        return cls(
            days=max(0.0, moment - end) / _DAY,
            clock=moved if 0 < abs(moved) <= _CLOCK_CHANGE else 0.0,
            unseen=unseen,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """Windows that fit one moment: their `places`, what is `expected`, the `evidence` of them; `hours`, () or (F,), the
    hour of day that features are compared with."""

    places: NDArray[np.int64]
    expected: Expected
    evidence: Evidence
    hours: NDArray[np.int64]


def weigh_nearest(
    looks: Looks, contexts: Contexts, moment: float, usual: UsualWindow, passed: Elapsed
) -> Iterator[Fit]:
    """The evidence of windows that lie in one time slot, in groups by what they fit best."""
    light = moments(contexts, moment, passed.days)
    people = _moments_of_people(contexts, moment, passed)
    if not people or people[0].distance > FARTHEST:
        people = []
        choices = choose(looks, light, usual)[:, None]
    else:
        choices = choose_both(looks, light, people, usual)
    own = hour_of(moment)
    for choice in np.unique(choices, axis=0):
        places = np.flatnonzero((choices == choice).all(axis=1))
        expected, follows = light[choice[0]], choice[2:].astype(np.bool_)
        if people:
            expected = _with(expected, people[choice[1]], follows)
        evidence = weigh(looks[places], expected, usual)
        if people:
            torn = _torn(light[0], people[choice[1]] if passed.unseen else people[0])
            evidence = replace(evidence, ranks=np.where(torn[:, None], EDGES, evidence.ranks))
        yield Fit(
            places=places,
            expected=expected,
            evidence=evidence,
            hours=np.where(follows, people[choice[1]].hour, own) if people else np.array(own),
        )


def _moments_of_people(contexts: Contexts, moment: float, passed: Elapsed) -> list[Expected]:
    """What people may do at `moment` otherwise than by the light; empty where they keep to it."""
    if passed.unseen:
        every = [contexts.at(each) for each in np.arange(_EVERY / 2, _DAY, _EVERY).tolist()]
        return [each for each in every if each.distance <= FARTHEST]
    return moments(contexts, moment + passed.clock) if passed.clock else []


def moments(contexts: Contexts, moment: float, days: float = 0.0) -> list[Expected]:
    """What is expected at `moment`, and at those around it that the reference knows; the nearer first, as the first of
    equals is chosen.

    They reach an hour, and as far as the sun may have moved in the `days` since the reference, up to two hours.
    """
    own = contexts.at(moment)
    if len(contexts.hours) == 1:
        return [own]
    reach = min(REACH_SECONDS + _SUN * days, _MOST_REACH)
    steps = _STEP * np.arange(1, int(reach // _STEP) + 1)
    others = [contexts.at(moment + each) for each in np.column_stack([-steps, steps]).ravel().tolist()]
    return [own, *(each for each in others if each.distance <= FARTHEST)]


def choose(looks: Looks, near: list[Expected], usual: UsualWindow) -> NDArray[np.int64]:
    """Which of the moments each window (W,) fits best: the least sum of squares of the features' mean scores."""
    if len(near) == 1:
        return np.zeros(len(looks.frames), dtype=np.int64)
    # How much a feature says is that of the own moment: where it says nothing there, no other is a better fit.
    weights = near[0].informative * _filled(looks, usual)
    return np.asarray((_distances(looks, near) * weights[:, None, :]).sum(axis=-1).argmin(axis=1))


def choose_both(
    looks: Looks, light: list[Expected], people: list[Expected], usual: UsualWindow
) -> NDArray[np.int64]:
    """What windows fit best where each feature follows either the light or the clock, (W, 2 + F): the moments in
    `light` and in `people`, and which features (0 or 1) follow the latter."""
    every, by_light = np.arange(len(looks.frames)), len(light)
    found = _distances(looks, [*light, *people])
    either = np.minimum(found[:, :by_light, None], found[:, None, by_light:])
    weights = np.maximum(light[0].informative, people[0].informative) * _filled(looks, usual)
    best = (either * weights[:, None, None]).sum(axis=-1).reshape(len(every), -1).argmin(axis=1)
    first, second = np.divmod(best, len(people))
    follows = found[every, by_light + second] < found[every, first]
    return np.column_stack([first, second, follows])


def _torn(light: Expected, people: Expected) -> NDArray[np.bool_]:
    """Features (F,) for which it matters which of the two they follow: as each chose what it fits, the distribution of
    their ranks says nothing then."""
    middle = people.table.values_at(np.full((len(light.informative), 1), 0.5)).astype(np.float32)
    return np.asarray(np.abs(rank(light.table, middle).score[:, 0]) > _MATTERS)


def _distances(looks: Looks, near: list[Expected]) -> NDArray[np.float64]:
    """Squares of the features' mean scores at each of M moments, (W, M, F)."""
    knots = np.tile(looks.knots[..., _PLACES], (1, len(near), 1))
    scores = rank(stacked([each.table for each in near]), knots).score.mean(axis=-1)
    scores = np.clip(scores.reshape(len(knots), len(near), -1), -_MOST, _MOST)
    return np.asarray(scores**2)


def _filled(looks: Looks, usual: UsualWindow) -> NDArray[np.float64]:
    return np.asarray(np.clip(looks.counts / np.maximum(usual.counts, 1.0), 0.0, 1.0))


def _with(light: Expected, people: Expected, follows: NDArray[np.bool_]) -> Expected:
    """What is expected where the features in `follows` (F,), and the class mix, keep to `people`."""
    return replace(
        light,
        table=merged(light.table, people.table, follows),
        log_steps=np.where(follows, people.log_steps, light.log_steps),
        informative=np.where(follows, people.informative, light.informative),
        shares=people.shares,
    )
