"""The course of a drift, from the week before it: abrupt or gradual, since when, and whether it comes each day. Pure.

    the minutes of a week ──▶ medians of SLOT_SECONDS ──▶ less what is usual at that hour, where two days are known
    ──▶ along the change from before to now ──▶ levels (change_point.py) ──▶ when they passed a fifth and four fifths

Within ABRUPT_SECONDS of each other: abrupt. A season is longer than the week that is kept: it shows as creep.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.drift.change_point import levels, noise
from agent.drift.medians import medians

ABRUPT, GRADUAL = "abrupt", "gradual"
SLOT_SECONDS = 600.0
ABRUPT_SECONDS = 1800.0
DAY, HOUR = 86_400.0, 3600.0

LEAST_BEFORE, LEAST_SINCE = 12, 3
"""Slots before the alarm, two hours, and since its drift began: with less nothing is said."""

LEAST_DAYS = 2
"""Days on which a drift came at the same hours before it is said to come back."""

_BEGUN, _DONE = 0.2, 0.8
_NOTABLE = 2.0  # noises: a smaller change has no course
_QUIET_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Minutes:
    """Minutes of a camera, in order: `times` (n,) Unix time, `values` (n, F) of features, `ratios` (n,) of drift, NaN
    where unknown."""

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    ratios: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """`change` is ABRUPT, GRADUAL or "" where that is not known, `since` when it began (Unix time); `daily`: whether it
    comes back at these hours each day."""

    change: str = ""
    since: float | None = None
    daily: bool = False


UNKNOWN_COURSE = Course()


def course(minutes: Minutes, alarm_since: float) -> Course:
    """The course of the drift for which an alarm went on at `alarm_since` (Unix time)."""
    if not len(minutes.times):
        return UNKNOWN_COURSE
    daily = _comes_daily(minutes, alarm_since)
    times, slots = _slots(minutes.times, minutes.values)
    slots = slots[:, np.isfinite(slots).all(axis=0)]
    before = times < alarm_since
    if before.sum() < LEAST_BEFORE or (~before).sum() < LEAST_SINCE or not slots.shape[1]:
        return Course(daily=daily)
    line = _along_the_change(_without_hours(times, slots, before), before)
    if line is None:
        return Course(daily=daily)
    fitted = levels(line[:, None])[:, 0]
    begun, done = (_passed(fitted, share) for share in (_BEGUN, _DONE))
    abrupt = times[done] - times[begun] < ABRUPT_SECONDS
    return Course(change=ABRUPT if abrupt else GRADUAL, since=float(times[begun]), daily=daily)


def _slots(
    times: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The start of each slot (m,) and the medians in it (m, F); what lacks in a slot is as in the one before."""
    numbers = np.floor(times / SLOT_SECONDS)
    starts, first = np.unique(numbers, return_index=True)
    found = np.array([medians(part) for part in np.split(values, first[1:])]).reshape(len(starts), -1)
    for row in range(1, len(found)):
        found[row] = np.where(np.isfinite(found[row]), found[row], found[row - 1])
    return starts * SLOT_SECONDS, found


def _without_hours(
    times: NDArray[np.float64], slots: NDArray[np.float64], before: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Each slot less the median of its hour of the day before the alarm, where that is known of two days."""
    hours, days = (times % DAY // HOUR).astype(int), times // DAY
    usual = np.zeros((24, slots.shape[1]))
    whole = np.median(slots[before], axis=0)
    for hour in range(24):
        known = before & (hours == hour)
        if len(np.unique(days[known])) < LEAST_DAYS:
            return slots
        usual[hour] = np.median(slots[known], axis=0) - whole
    return np.asarray(slots - usual[hours])


def _along_the_change(slots: NDArray[np.float64], before: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """The slots along the way from the first half of before (0) to now (1), (m,); None where nothing changed."""
    scaled = slots / noise(slots)
    then = np.median(scaled[before][: max(LEAST_BEFORE // 2, int(before.sum()) // 2)], axis=0)
    way = np.median(scaled[~before][-max(LEAST_SINCE, int((~before).sum()) // 2) :], axis=0) - then
    length = float(np.linalg.norm(way))
    if length < _NOTABLE:
        return None
    return np.asarray((scaled - then) @ way / length**2)


def _passed(fitted: NDArray[np.float64], share: float) -> int:
    """The row from which on the levels are over a share of the change, up to its end."""
    below = np.flatnonzero(fitted < share)
    return min(int(below[-1]) + 1 if len(below) else 0, len(fitted) - 1)


def _comes_daily(minutes: Minutes, alarm_since: float) -> bool:
    """Whether the ratio was over 1 around this hour on earlier days, and mostly below at the others."""
    times, ratios = _slots(minutes.times, minutes.ratios[:, None])
    over, earlier = ratios[:, 0] >= 1.0, times < alarm_since - HOUR
    away = np.abs((times - alarm_since + DAY / 2) % DAY - DAY / 2)
    near = away <= HOUR
    days = np.floor((times - alarm_since + DAY / 2) / DAY)
    came = [day for day in np.unique(days[earlier & near]) if over[(days == day) & near & earlier].any()]
    rest = earlier & (away > 6 * HOUR)
    quiet = rest.any() and over[rest].mean() < _QUIET_SHARE
    return bool(len(came) >= LEAST_DAYS and quiet)
