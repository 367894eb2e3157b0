"""How unusual a number is for its hour of day, by median and MAD of recent days: the memory of anomaly rules.

The modified z-score of Iglewicz and Hoaglin (How to Detect and Handle Outliers, 1993):

    z = (x - median) / (1.4826 * MAD)        MAD = median(|x_i - median|)

1.4826 makes the MAD of normal data its standard deviation. Three changes for figures of real machines:
each side of the median has a scale of its own, since latencies and counts are skewed; the scale is at least
that of a normal distribution with the same 2 % tail, since the MAD of a series that is mostly idle is next to
nothing (the MAD alone gave fourteen times the false alarms, docs/benchmarks-anomaly.md);
and it has a floor, since a constant past has neither. The same hour means that hour and its neighbours, so
that what comes half an hour early is no surprise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

HOUR, DAY = 3600, 86400
RECENT_DAYS = 14
SPACING_SECONDS = 300.0  # 12 samples an hour: 4,032 numbers a series at most
LEAST_DAYS = 3  # of the same hours; with fewer, all hours are compared with
LEAST_SAMPLES = 24
MAD_TO_SIGMA = 1.4826
TAIL, TAIL_SIGMAS = 0.02, 2.054  # a normal distribution has 2 % beyond 2.054 sigmas
RELATIVE_FLOOR = 0.02  # a change of less than 2 % of the median is never many sigmas


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What is usual for a series at some hour: median, the scale on either side, and where it comes from.

    `hour` is the hour of day (UTC) that was, with its neighbours, compared with, None for all hours.
    """

    median: float
    scale_below: float
    scale_above: float
    samples: int
    days: int
    hour: int | None

    def z(self, value: float) -> float:
        """How many sigmas `value` lies above (positive) or below the median.

        >>> usual = Baseline(median=10.0, scale_below=1.0, scale_above=2.0, samples=99, days=7, hour=None)
        >>> usual.z(16.0), usual.z(7.0)
        (3.0, -3.0)
        """
        return (value - self.median) / (self.scale_above if value >= self.median else self.scale_below)


def usual_of(samples: Sequence[float], *, days: int, hour: int | None) -> Baseline:
    """Median and one-sided scales of `samples` (not empty)."""
    values = np.asarray(samples, dtype=np.float64)
    median = float(np.median(values))
    floor = max(RELATIVE_FLOOR * abs(median), _smallest_step(values), 1e-9)
    low, high = np.quantile(values, [TAIL, 1 - TAIL])
    below = MAD_TO_SIGMA * float(np.median(median - values[values <= median]))
    above = MAD_TO_SIGMA * float(np.median(values[values >= median] - median))
    return Baseline(
        median=median,
        scale_below=max(below, float(median - low) / TAIL_SIGMAS, floor),
        scale_above=max(above, float(high - median) / TAIL_SIGMAS, floor),
        samples=len(samples),
        days=days,
        hour=hour,
    )


def _smallest_step(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """The resolution the series was measured with, as far as it shows: its smallest difference."""
    steps = np.diff(np.unique(values))
    return float(steps.min()) if steps.size else 0.0


class HourlyMemory:
    """Samples of one series by hour of day and day; at most RECENT_DAYS days are remembered.

    Days and hours are of the times passed in (Unix time, UTC): a day is a comparison's unit, not a calendar's. What
    was remembered by a clock that was far off is not compared with, and is the first to be discarded.
    """

    def __init__(self) -> None:
        self._hours: dict[int, dict[int, list[float]]] = {}
        self._taken_at = -math.inf
        self._cache: tuple[int, int, Baseline | None] | None = None

    def add(self, value: float, at: float) -> None:
        """Remember `value`, unless one was remembered less than SPACING_SECONDS before."""
        if not math.isfinite(value) or 0 <= at - self._taken_at < SPACING_SECONDS:
            return
        self._taken_at = at
        day, hour = _day_hour(at)
        days = self._hours.setdefault(hour, {})
        days.setdefault(day, []).append(float(value))
        for old in [known for known in days if known <= day - RECENT_DAYS]:
            del days[old]
        while len(days) > RECENT_DAYS:  # a clock that was set back
            del days[max(days, key=lambda known: abs(known - day))]

    def usual(self, now: float) -> Baseline | None:
        """What is usual at `now`, from earlier days only; None while too little is known."""
        day, hour = _day_hour(now)
        if self._cache is None or self._cache[:2] != (day, hour):
            self._cache = (day, hour, self._compute(day, hour))
        return self._cache[2]

    def _compute(self, today: int, hour: int) -> Baseline | None:
        near = [
            (day, kept)
            for around in (hour - 1, hour, hour + 1)
            for day, kept in self._hours.get(around % 24, {}).items()
            if today - RECENT_DAYS <= day < today
        ]
        samples = [value for _, kept in near for value in kept]
        days = len({day for day, _ in near})
        if days >= LEAST_DAYS and len(samples) >= LEAST_SAMPLES:
            return usual_of(samples, days=days, hour=hour)
        pooled: dict[tuple[int, int], list[float]] = {
            (day, other): kept
            for other, days in self._hours.items()
            for day, kept in days.items()
            if today - RECENT_DAYS <= day and day * 24 + other < today * 24 + hour
        }
        if len(pooled) < 24:  # a full day at least, or night would be unusual
            return None
        samples = [value for kept in pooled.values() for value in kept]
        if len(samples) < 2 * LEAST_SAMPLES:
            return None
        return usual_of(samples, days=len({day for day, _ in pooled}), hour=None)

    def to_snapshot(self) -> dict[str, Any]:
        """What `from_snapshot` needs, as plain JSON values."""
        hours = {
            str(hour): {str(day): [float(f"{value:.6g}") for value in kept] for day, kept in days.items()}
            for hour, days in self._hours.items()
        }
        return {"taken_at": self._taken_at if math.isfinite(self._taken_at) else None, "hours": hours}

    @classmethod
    def from_snapshot(cls, snapshot: Mapping[str, Any]) -> HourlyMemory:
        """The memory that `to_snapshot` wrote."""
        memory = cls()
        taken_at = snapshot.get("taken_at")
        memory._taken_at = -math.inf if taken_at is None else float(taken_at)
        memory._hours = {
            int(hour): {int(day): [float(value) for value in kept] for day, kept in days.items()}
            for hour, days in snapshot["hours"].items()
        }
        return memory


def _day_hour(at: float) -> tuple[int, int]:
    return int(at // DAY), int(at % DAY // HOUR)
