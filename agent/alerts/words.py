"""Numbers, times and labels as people read them, in the sentences of alerts and on the terminal. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from agent.core.counts import figures
from agent.core.metrics.definition import Unit
from agent.core.types import Labels


def duration(seconds: float) -> str:
    """Seconds as people read them.

    >>> duration(0.25), duration(45), duration(300), duration(5400), duration(100000)
    ('0.25 s', '45 s', '5 min', '1 h 30 min', '1 d 4 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 1 or seconds == 0 else f"{seconds:.2g} s"
    whole = round(seconds)
    for size, unit, small, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            rest = round(whole % size / small)
            if rest * small >= size:
                return f"{whole // size + 1} {unit}"
            return f"{whole // size} {unit}" + (f" {rest} {small_unit}" if rest else "")
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min" + (f" {rest} s" if rest and minutes < 5 else "")


def quantity(value: float, unit: Unit) -> str:
    """A value with its unit, three figures.

    >>> quantity(0.6213, "seconds"), quantity(0.0213, "seconds"), quantity(0.93, "ratio"), quantity(2.5e9, "bytes")
    ('0.621 s', '21.3 ms', '93 %', '2.5 GB')
    """
    if unit == "bytes":
        for size, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
            if abs(value) >= size:
                return f"{figures(value / size)} {name}"
    if unit == "seconds" and 0 < abs(value) < 0.0995:
        return f"{figures(value * 1000)} ms"
    signs = {"seconds": " s", "bytes": " B", "celsius": " °C", "watts": " W", "hertz": " Hz", "fps": " fps"}
    if unit == "ratio":
        return f"{figures(value * 100)} %"
    return f"{figures(value)}{signs.get(unit, '')}"


def subject(labels: Labels) -> str:
    """What an alert is about: `camera front`, `GPU 0`, `host`."""
    names = {"gpu": "GPU"}
    shown = [f"{names.get(key, key)} {value}" for key, value in sorted(labels.items()) if key != "target"]
    return ", ".join(shown)


def clock(at: float, now: float | None = None) -> str:
    """`12:04 UTC`, with the date where it is not that of `now`."""
    moment = _utc(at)
    same_day = now is None or moment.date() == _utc(now).date()
    return moment.strftime("%H:%M UTC" if same_day else "%Y-%m-%d %H:%M UTC")


def stamp(at: float) -> str:
    """`2026-01-31 12:04:05 UTC`."""
    return f"{_utc(at):%Y-%m-%d %H:%M:%S} UTC"


def span(start: float, end: float) -> str:
    """`12:04-12:09 UTC`; with dates where the days differ."""
    first, last = _utc(start), _utc(end)
    if end - start < 120:
        return f"{first:%H:%M:%S}-{last:%H:%M:%S} UTC"
    if first.date() == last.date():
        return f"{first:%H:%M}-{last:%H:%M} UTC"
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"


def _utc(at: float) -> datetime:
    # Not fromtimestamp: a clock before 1970 or far off must not raise.
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=min(max(at, -6e10), 2.5e11))
