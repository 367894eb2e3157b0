"""Kinds of day, weekday and weekend by local time, and what a reference saw of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from agent.drift.contexts import HOURS, hour_of

_DAY = 86400.0
_FIRST_MONDAY = 4  # days after 1970-01-01
_WEEKEND_FROM = 5
_ENOUGH = 2  # days


def weekend(moment: float, utc_offset: float) -> bool:
    """Whether `moment` (Unix time) is on a Saturday or Sunday, local time being `utc_offset` seconds ahead of UTC.

    >>> weekend(1_790_380_800.0, 0.0), weekend(1_790_380_800.0, -3600.0)  # Saturday, 2026-09-26 00:00 UTC
    (True, False)
    """
    return int((moment + utc_offset) // _DAY - _FIRST_MONDAY) % 7 >= _WEEKEND_FROM


def kind_key(moment: float, utc_offset: float) -> int:
    """24 times the kind of day (0 a weekday, 1 a weekend) and the hour of the day (UTC) of `moment` (Unix time)."""
    return HOURS * int(weekend(moment, utc_offset)) + hour_of(moment)


def hours_between(start: float, end: float) -> range:
    """The hours since 1970 that lie between two Unix times, those that do in part as well."""
    return range(int(start // 3600), int(-(-end // 3600)))


def kinds_seen(hours: Iterable[int], utc_offset: float) -> NDArray[np.bool_]:
    """Which hours of the day (UTC) one that saw `hours` (since 1970) saw enough of: weekdays and weekends, (24, 2).

    Enough are two days, or one where that is all that it has of that hour: a single Friday among weekends is a third of
    what is normal then, and no working day is like that. An hour counts for the one before and after it as well.
    """
    days = np.zeros((HOURS, 2), dtype=np.int64)
    for hour in hours:
        middle = 3600.0 * hour + 1800.0
        days[hour_of(middle), int(weekend(middle, utc_offset))] += 1
    near = np.maximum(days, np.maximum(np.roll(days, 1, axis=0), np.roll(days, -1, axis=0)))
    return np.asarray((near >= _ENOUGH) | ((near > 0) & (days[:, ::-1] == 0)))


def why_unseen(kind: int) -> str:
    """Why a verdict on such a day (0 a weekday, 1 a weekend) is provisional."""
    return (
        f"the reference saw no {('weekday', 'weekend')[kind]} at this hour, or one among other days: "
        "only large changes are judged until it holds two"
    )
