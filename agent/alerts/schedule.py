"""Weekly schedules such as `mon-fri 22:00-06:00, sun`: whether one is on, and when it ends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY, WEEK = 86400, 7 * 86400
_MONDAY = 4 * DAY  # 1970-01-01 was a Thursday; the first Monday came four days later
_ENTRY = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?)?\s*"
    r"(?:(?P<start>\d{1,2}:\d{2})-(?P<end>\d{1,2}:\d{2}))?"
)
EXPECTED = 'a schedule such as "22:00-06:00", "sat-sun" or "mon-fri 08:00-17:00, sat 08:00-12:00"'


@dataclass(frozen=True, slots=True)
class Schedule:
    """Spans of a week in local time, as (start, length) in seconds from Monday 00:00."""

    spans: tuple[tuple[int, int], ...]

    def ends(self, now: float, utc_offset: float = 0.0) -> float | None:
        """When the span around `now` (Unix time) ends, None outside; local time is UTC + `utc_offset`."""
        into = (now + utc_offset - _MONDAY) % WEEK
        left = [start + length - at for start, length in self.spans for at in (into, into + WEEK)
                if start <= at < start + length]  # fmt: skip
        return now + max(left) if left else None

    def on(self, now: float, utc_offset: float = 0.0) -> bool:
        """Whether `now` lies in one of the spans."""
        return self.ends(now, utc_offset) is not None


@lru_cache(maxsize=256)
def parse_schedule(text: str) -> Schedule:
    """The schedule in `text`; raises ValueError with what was expected.

    A span over midnight belongs to the day on which it begins; days alone mean all day.

    >>> parse_schedule("sat-sun").on(4 * 86400), parse_schedule("22:00-06:00").on(23 * 3600)
    (False, True)
    """
    spans = [span for entry in text.lower().split(",") for span in _spans(entry.strip(), text)]
    return Schedule(tuple(sorted(set(spans))))


def _spans(entry: str, whole: str) -> list[tuple[int, int]]:
    match = _ENTRY.fullmatch(entry)
    if not entry or match is None:
        raise ValueError(f"{whole!r} is not a schedule; expected {EXPECTED}")
    try:
        first = DAYS.index(match["first"]) if match["first"] else 0
        last = DAYS.index(match["last"]) if match["last"] else (first if match["first"] else 6)
        start, end = _seconds(match["start"] or "0:00"), _seconds(match["end"] or "24:00")
    except ValueError:
        raise ValueError(f"{whole!r} is not a schedule; expected {EXPECTED}") from None
    length = end - start if end > start else end - start + DAY
    days = [(first + step) % 7 for step in range((last - first) % 7 + 1)]
    return [(day * DAY + start, length) for day in days]


def _seconds(clock: str) -> int:
    hours, minutes = (int(part) for part in clock.split(":"))
    if hours > 24 or minutes > 59 or (hours == 24 and minutes):
        raise ValueError(clock)
    return hours * 3600 + minutes * 60
