"""Kinds of day, weekday and weekend by local time: what a reference saw of them, and how much the others may say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.drift.contexts import HOURS, hour_of

UNSEEN_TRUST = 0.5
"""What distributions and classes of a kind of day count for that the reference never saw."""

_USUAL_THEN = np.array([1.0, np.log(2.0), np.log(2.0)])[:, None]
"""By how much each aspect may be off on such a day, all day long: a weekend may have half or twice the traffic. Less
than that, however long it lasts, is no evidence; a blurred or moved camera is within minutes."""

_DAY = 86400.0
_FIRST_MONDAY = 4  # days after 1970-01-01
_WEEKEND_FROM = 5
_WEEK = 7 * HOURS


def beyond_usual(aspects: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """What aspects (..., 3, F) show on a kind of day that was never seen, their mean (3, F) being `offset`.

    >>> beyond_usual(np.array([[3.0], [0.5], [-1.0]]), np.zeros((3, 1))).ravel().round(2).tolist()
    [2.0, 0.0, -0.31]
    """
    return np.asarray(aspects - np.clip(aspects - offset, -_USUAL_THEN, _USUAL_THEN), dtype=np.float64)


def weekend(moment: float, utc_offset: float) -> bool:
    """Whether `moment` (Unix time) is on a Saturday or Sunday, local time being `utc_offset` seconds ahead of UTC.

    >>> weekend(1_790_380_800.0, 0.0), weekend(1_790_380_800.0, -3600.0)  # Saturday, 2026-09-26 00:00 UTC
    (True, False)
    """
    return int((moment + utc_offset) // _DAY - _FIRST_MONDAY) % 7 >= _WEEKEND_FROM


def kinds_seen(start: float, end: float, utc_offset: float) -> NDArray[np.bool_]:
    """Which hours of the day (UTC) a recording from `start` to `end` saw on weekdays and on weekends, (24, 2).

    An hour counts for the one before and after it as well.
    """
    seen = np.zeros((HOURS, 2), dtype=np.bool_)
    first = int(start // 3600)
    for hour in range(first, min(int(-(-end // 3600)), first + _WEEK)):  # a week has seen all there is
        middle = 3600.0 * hour + 1800.0
        seen[hour_of(middle), int(weekend(middle, utc_offset))] = True
    return np.asarray(seen | np.roll(seen, 1, axis=0) | np.roll(seen, -1, axis=0))
