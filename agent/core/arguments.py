"""Arguments of requests, validated by name and range; answers in pages that fit a message. Pure.

A handler gets what somebody typed, or a stranger sent: each argument is taken as what it must be, and one that the
handler does not know is refused, since a slip (`camra`) would otherwise change what is asked for. All that is
refused raises VedetteError.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent.core.errors import VedetteError
from agent.core.nearest import unknown
from agent.core.printable import printable
from agent.core.units import parse_duration
from agent.core.untrusted import take_integer, take_number, take_text

Arguments = Mapping[str, Any]
Handler = Callable[[Arguments], Mapping[str, Any]]
"""Answers one command; raises VedetteError for what is wrong."""

LONGEST_TEXT = 500
LARGEST_PAGE = 48 * 1024
"""Bytes of rows in one answer: the rest of a message's 64 kB is for what goes with them."""

MOST_ROWS = 500
LATEST = 32503680000.0  # the year 3000


def check_names(args: Arguments, *known: str) -> None:
    """Refuse an argument that is none of `known`, with the nearest."""
    for name in args:
        if name not in known:
            raise VedetteError(unknown("argument", str(name), known))


def take_word(args: Arguments, key: str, default: str | None = None) -> str:
    """The text at `key`; without a default it must be there and not empty."""
    value: str | None = take_text(args, key, default, longest=LONGEST_TEXT)
    if value is None or (default is None and not value):
        raise VedetteError(f"`{key}` is missing; expected a string")
    return value


def take_duration(args: Arguments, key: str, example: str) -> float:
    """The seconds at `key`, above 0."""
    value = args.get(key)
    expected = f'expected a duration such as "{example}"'
    if value is None:
        raise VedetteError(f"`{key}` is missing; {expected}")
    try:
        seconds = parse_duration(value)
    except ValueError:
        raise VedetteError(f"`{key}` is {printable(repr(value), 40)}; {expected}") from None
    if seconds <= 0:
        raise VedetteError(f"`{key}` is {printable(repr(value), 40)}; {expected}")
    return seconds


def take_moment(args: Arguments, key: str, default: object, now: float, *, backwards: bool = False) -> float:
    """Unix time of the number, ISO 8601 time, next local `HH:MM` or, `backwards`, the last one or a duration ago."""
    value = default if args.get(key) is None else args[key]
    if isinstance(value, (int, float)):
        moment: float = take_number({key: value}, key, minimum=0.0, maximum=LATEST)
        return moment
    text = take_text({key: value}, key, longest=64)
    try:
        if backwards and "-" not in text and ":" not in text:
            moment = now - parse_duration(text)
        elif len(text) <= 5 and ":" in text:
            moment = _time_of_day(text, now, backwards=backwards)
        else:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()  # else: local time
    except (ValueError, OverflowError, OSError):
        moment = -1.0
    if not 0.0 <= moment <= LATEST:
        other = '"24h"' if backwards else '"18:00"'
        raise VedetteError(
            f"`{key}`: {printable(repr(text), 70)} is not a time; expected {other} or 2026-01-31T18:00"
        )
    return moment


def _time_of_day(text: str, now: float, *, backwards: bool) -> float:
    """The next local time `HH:MM` after `now`, or the last one before it."""
    today = datetime.fromtimestamp(now)  # noqa: DTZ006  (the operator's wall clock is meant)
    hour, minute = (int(part) for part in text.split(":"))
    moment = today.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if backwards:
        return (moment if moment <= today else moment - timedelta(days=1)).timestamp()
    return (moment if moment > today else moment + timedelta(days=1)).timestamp()


# -- pages ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which rows are asked for: at most `limit`, after the first `offset`."""

    limit: int
    offset: int

    @classmethod
    def of(cls, args: Arguments, *, limit: int = MOST_ROWS) -> Page:
        """What `limit` (default: this one) and `offset` say."""
        return cls(
            limit=take_integer(args, "limit", limit, minimum=1, maximum=MOST_ROWS),
            offset=take_integer(args, "offset", 0, minimum=0, maximum=10_000_000),
        )

    def cut(self, rows: Sequence[Any], *, skipped: int = 0) -> list[Any]:
        """Those of `rows` that are on the page; `skipped` rows before them were left out already."""
        shown: list[Any] = []
        room = LARGEST_PAGE
        for row in rows[self.offset - skipped :][: self.limit]:
            room -= len(json.dumps(row, default=str, ensure_ascii=False).encode("utf-8", "replace")) + 1
            if room < 0 and shown:
                break
            shown.append(row)
        return shown

    def about(self, shown: Sequence[Any], count: int) -> dict[str, int]:
        """What goes with the rows shown: how many there are and, where there are more, the `next` offset."""
        after = self.offset + len(shown)
        return {"count": count, **({"next": after} if shown and after < count else {})}
