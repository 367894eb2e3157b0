"""Contexts: what is normal at each hour of the day (UTC), and between the hours.

A context is what the reference saw within one hour of the day. Between the middles of two hours what is normal
moves from one to the other: a smooth feature's quantiles are interpolated, a discrete one's distribution is mixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agent.core.kll import drawn
from agent.drift.tables import ContextTable, Samples, TableRow, blend_rows, make_rows, make_table, spread_of

HOURS = 24
SLOT_SECONDS = 600.0
"""Tables are made for the middle of each ten minutes: finer steps are below any shift worth an alarm."""

_MUTE, _CLEAR = 0.85, 0.60
"""Share of the commonest value from which on an hour says nothing of a feature's level, and up to which it says all:
above 85 % fewer than three of a window's sixteen quantiles differ from it, at 60 % the median is still free to move."""


_SLOTS = int(86400.0 // SLOT_SECONDS)
_NEARLY = 0.9  # of what the best hour can say


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Context:
    """One hour of the day.

    `samples` per feature; `log_steps` (F,) float64 the mean logarithm of a window's steps, NaN where unknown;
    `classes` (C,) float64 the boxes counted of each class of the reference.
    """

    samples: Sequence[Samples]
    log_steps: NDArray[np.float64]
    classes: NDArray[np.float64]

    @property
    def informative(self) -> NDArray[np.float64]:
        """How much this hour can say of each feature, (F,) 0..1."""
        return np.array([informativeness(*samples) for samples in self.samples])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expected:
    """What is normal at one moment: the ranks' table, `log_steps` (F,), class shares (C,), and where it is from.

    `informative` (F,), 0..1, is how much a window can say of each feature: 0 where nearly all values are one and the
    same (a count at night). `hour` is the context that weighs most, `distance` the hours between the moment and the
    nearest context.
    """

    table: ContextTable
    log_steps: NDArray[np.float64]
    shares: NDArray[np.float64]
    informative: NDArray[np.float64]
    hour: int
    distance: float


@dataclass(slots=True, eq=False)
class Contexts:
    """The contexts of a reference by hour of day; makes tables for moments and remembers the last ones.

    `spread` (F,) is each feature's spread over the whole reference. `remember` bounds the tables kept.
    """

    hours: Mapping[int, Context]
    spread: NDArray[np.float64]
    remember: int = 40
    _rows: dict[int, list[TableRow]] = field(default_factory=dict)
    _gates: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    _made: dict[int, Expected] = field(default_factory=dict)
    _speaking: dict[float, NDArray[np.bool_]] = field(default_factory=dict)

    def at(self, moment: float) -> Expected:
        """What is normal at `moment` (Unix time)."""
        slot = int((moment % 86400.0) // SLOT_SECONDS)
        if slot not in self._made:
            while len(self._made) >= self.remember:
                del self._made[next(iter(self._made))]
            self._made[slot] = self._make((slot + 0.5) * SLOT_SECONDS / 3600.0)
        return self._made[slot]

    def _make(self, hour: float) -> Expected:
        before, after, share, distance = self.around(hour)
        first, second = self.hours[before], self.hours[after]
        table = make_table(self._between(before, after, share))
        return Expected(
            table=table,
            log_steps=_mixed(first.log_steps, second.log_steps, share),
            shares=_mixed(_normalised(first.classes), _normalised(second.classes), share),
            informative=self._informative_at(hour),
            hour=before if share <= 0.5 else after,
            distance=distance,
        )

    def speaks(self, moment: float, reach: float) -> NDArray[np.bool_]:
        """Of which features (F,) windows say nearly as much as in the best hour, from `reach` seconds before `moment`
        (Unix time) until as long after it; of one that is never busy for so long, as far around as it ever is.

        Around dusk, when a count is 0 all night, a change looks like an earlier or later dusk, and is gone with it.
        """
        if reach not in self._speaking:
            self._speaking[reach] = self._speaking_slots(int(reach // SLOT_SECONDS))
        return np.asarray(self._speaking[reach][int((moment % 86400.0) // SLOT_SECONDS)])

    def _speaking_slots(self, reach: int) -> NDArray[np.bool_]:
        """At which slots of the day (slots, F) each feature speaks, up to `reach` slots around each."""
        said = np.stack(
            [self._informative_at((slot + 0.5) * SLOT_SECONDS / 3600.0) for slot in range(_SLOTS)]
        )
        enough = _NEARLY * np.max([self._informative(hour) for hour in self.hours], axis=0)
        least, found = said, said >= enough
        for step in range(1, reach + 1):
            least = np.minimum(least, np.minimum(np.roll(said, step, axis=0), np.roll(said, -step, axis=0)))
            wider = least >= enough
            found = np.where(wider.any(axis=0), wider, found)
        return np.asarray(found)

    def around(self, hour: float) -> tuple[int, int, float, float]:
        """The contexts before and after `hour` (0..24), how far between them it is, and how far the nearest is."""
        known = sorted(self.hours)
        behind = {each: (hour - each - 0.5) % HOURS for each in known}
        before = min(known, key=behind.__getitem__)
        after = min(known, key=lambda each: -behind[each] % HOURS)
        gap = behind[before] + (-behind[after] % HOURS)
        share = behind[before] / gap if gap else 0.0
        return before, after, share, min(behind[before], -behind[after] % HOURS)

    def _between(self, before: int, after: int, share: float) -> list[TableRow]:
        rows = []
        for number, (a, b) in enumerate(zip(self._of(before), self._of(after), strict=True)):
            rows.append(blend_rows(a, b, share) or self._mixture(before, after, share, number))
        return rows

    def _of(self, hour: int) -> list[TableRow]:
        if hour not in self._rows:
            self._rows[hour] = make_rows(self.hours[hour].samples, self.spread)
        return self._rows[hour]

    def _informative_at(self, hour: float) -> NDArray[np.float64]:
        """How much a moment can say of each feature (F,), `hour` hours into the day."""
        before, after, share, _ = self.around(hour)
        return _mixed(self._informative(before), self._informative(after), share)

    def _informative(self, hour: int) -> NDArray[np.float64]:
        if hour not in self._gates:
            self._gates[hour] = self.hours[hour].informative
        return self._gates[hour]

    def _mixture(self, before: int, after: int, share: float, number: int) -> TableRow:
        parts = ((before, 1.0 - share), (after, share))
        samples = [(self.hours[hour].samples[number], part) for hour, part in parts]
        return make_rows([mix(samples)], self.spread[number : number + 1])[0]


def informativeness(values: NDArray[np.float32], weights: NDArray[np.int64]) -> float:
    """How much values of this distribution can say of a change, 0..1, by the share of the commonest value.

    A window whose values are nearly all the same in normal times has a score that is 0 for hours and then jumps:
    neither its mean nor its spread is near normal, and a noise model fitted to it calls everything slow.

    >>> informativeness(np.array([0, 1], np.float32), np.array([90, 10]))
    0.0
    """
    if not values.size:
        return 0.0
    _, first = np.unique(values, return_index=True)
    commonest = float(np.add.reduceat(weights, first).max() / weights.sum())
    return min(1.0, max(0.0, (_MUTE - commonest) / (_MUTE - _CLEAR)))


def mix(parts: Sequence[tuple[Samples, float]]) -> Samples:
    """The mixture of samples in given proportions; parts that saw nothing are left out."""
    whole = 1 << 20  # integer weights fine enough for any proportion of 10-minute steps
    values = [values for (values, _), share in parts if values.size and share > 0]
    if not values:
        return np.empty(0, np.float32), np.empty(0, np.int64)
    weights = [
        np.rint(counts * (share * whole / counts.sum())).astype(np.int64)
        for (seen, counts), share in parts
        if seen.size and share > 0
    ]
    return ordered(np.concatenate(values), np.concatenate(weights))


def ordered(values: NDArray[np.float32], weights: NDArray[np.int64]) -> Samples:
    """Samples in ascending order."""
    order = np.argsort(values, kind="stable")
    return values[order], weights[order]


def pooled(parts: Sequence[Samples]) -> Samples:
    """All samples together, each with its own weight."""
    if not parts:
        return np.empty(0, np.float32), np.empty(0, np.int64)
    return ordered(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))


def thinned(samples: Samples, items: int) -> Samples:
    """`items` values of equal weight that stand for samples, and their ends at no weight; fewer alike stay as they are.

    >>> thinned((np.arange(6, dtype=np.float32), np.ones(6, np.int64)), 2)
    (array([0., 1., 4., 5.], dtype=float32), array([0, 1, 1, 0]))
    """
    values, weights = samples
    counted = weights[weights > 0]
    if not counted.size or (counted.size <= items and counted.min() == counted.max()):
        return samples
    inner = drawn(values, weights, items)
    return np.concatenate((values[:1], inner, values[-1:])), np.array([0, *[1] * items, 0], dtype=np.int64)


def overall_spread(hours: Mapping[int, Context], features: int) -> NDArray[np.float64]:
    """Each feature's spread over all contexts, (F,)."""
    every = [pooled([context.samples[number] for context in hours.values()]) for number in range(features)]
    return np.array([spread_of(*samples) for samples in every])


def _mixed(first: NDArray[np.float64], second: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    blend = first + share * (second - first)
    return np.where(np.isnan(first), second, np.where(np.isnan(second), first, blend))


def _normalised(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    total = counts.sum()
    return counts / total if total > 0 else np.full(counts.shape, np.nan)


def hour_of(moment: float) -> int:
    """The hour of the day (UTC) of a Unix time, 0..23."""
    return int(moment // 3600.0) % HOURS
