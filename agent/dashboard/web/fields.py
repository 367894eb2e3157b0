"""The fields of a payload that the history keeps, and what changed from one message to the next. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from sys import intern

from agent.core.metrics.payloads import is_kept_until_sent
from agent.core.printable import printable
from agent.core.untrusted import BadInput
from agent.dashboard.readings import SENTENCE, Body, moment

Value = float | int | str | None
MOST_FIELDS = 500
LONGEST_LIST = 8192
"""Characters of the list of a device's cameras: of MOST_CAMERAS with usual names."""
LARGEST = 1e15
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,96}")
_STAMP = frozenset({
    "schema", "device", "boot", "seq", "time", "clock_synced", "clock_corrected_seconds", "lost", "merged", "start",
    "end", "complete", "camera",
})  # fmt: skip
DAY = 86400.0
OLDEST_SECONDS = 31 * DAY
"""A message about an earlier time is refused: it would be removed at once, or its clock is wrong."""
FUTURE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartMark:
    """One mark on a curve: `kind` is a value of `_WATCHED`: state, light, restart, version, model, config, ..."""

    at: float
    kind: str
    text: str


def fields_of(body: Body, longest: int = SENTENCE) -> dict[str, Value]:
    """The numbers and texts (cut after `longest` characters) of a flat payload, at most `MOST_FIELDS`.

    Its stamp is left out, and so are objects.
    """
    found: dict[str, Value] = {}
    for name, value in body.items():
        if name in _STAMP or not _NAME.fullmatch(name) or len(found) >= MOST_FIELDS:
            continue
        if value is None or isinstance(value, bool):
            found[intern(name)] = value if value is None else int(value)
        elif isinstance(value, (int, float)):
            if abs(value) <= LARGEST:
                found[intern(name)] = value
        elif isinstance(value, str):
            found[intern(name)] = printable(value, LONGEST_LIST if name == "cameras" else longest)
    return found


def covered(body: Body, now: float) -> tuple[float, float]:
    """End (Unix time) and length (s) of the time that a payload covers; raises BadInput where that cannot be."""
    end = moment(body, "end")
    start = moment(body, "start")
    if end is None or start is None or not 0 < end - start <= 2 * DAY:
        raise BadInput("`start` and `end` give no time that it covers")
    if not now - OLDEST_SECONDS < end < now + FUTURE_SECONDS:
        raise BadInput("`end` is too far from now: is the clock of the device right?")
    return end, end - start


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The values of a device, a camera or a GPU that one message gives; a complete one replaces all that is known.

    `at` orders the messages; `changed_at` is when what changed did so.
    """

    family: str
    at: float
    fields: Mapping[str, Value]
    complete: bool
    changed_at: float


Latest = tuple[float, Mapping[str, Value]]
"""The last known value of each field, and the time of the last message."""


def applied(known: Latest | None, update: Update) -> tuple[Latest, list[ChartMark]]:
    """What is known after a message, and the marks that belong on the curves.

    A message that comes after a later one (another collector took that) changes no value that is known. Where it says
    otherwise both are marked, since nobody knows what was published between them.
    """
    at, before = known or (0.0, {})
    if update.at >= at:
        after = _updated(update.family, {} if update.complete else before, update.fields)
        return (update.at, after), list(_changes(update.family, before, after, update.changed_at))
    older = _updated(update.family, before, update.fields)
    marks = [
        *_changes(update.family, before, older, update.changed_at),
        *_changes(update.family, older, before, at),
    ]
    return (at, {**older, **before}), marks


def _updated(family: str, before: Mapping[str, Value], new: Mapping[str, Value]) -> dict[str, Value]:
    """The last known value of each field: null removes one, and so does a message that would have had it."""
    kept = {name: value for name, value in before.items() if is_kept_until_sent(family, name)}
    return {name: value for name, value in {**kept, **new}.items() if value is not None}


def _changes(
    family: str, before: Mapping[str, Value], after: Mapping[str, Value], at: float
) -> Iterator[ChartMark]:
    """The marks where `after` follows `before` (empty: the first message)."""
    for name, kind in _WATCHED.get(family, {}).items():
        old, new = before.get(name), after.get(name)
        if old == new or (not before and kind not in _FROM_THE_FIRST):
            continue
        text = "" if new is None else str(new)
        if kind == "state":
            reason = after.get("reason" if family == "status" else "state_reason")
            text = f"{text}: {reason}" if reason else text
        elif kind == "model":
            text = f"{after.get('model_name', '')} {text[:12]}".strip()
        elif kind == "config":
            text = f"reloaded: {text[:12]}" if old is not None else text[:12]
        elif kind == "config_error" and not text:
            text = "config accepted"
        yield ChartMark(at=at, kind=kind, text=printable(text, SENTENCE))


_FROM_THE_FIRST = frozenset({"state", "light"})
"""Kinds that are marked when first known too: what was when is drawn from them."""
_WATCHED: Mapping[str, Mapping[str, str]] = {
    "status": {"state": "state", "started_at": "restart", "version": "version"},
    "info": {
        "model_sha256": "model",
        "config_sha256": "config",
        "config_error": "config_error",
        "cameras": "cameras",
        "profile": "profile",
    },
    "camera": {"state": "state", "drift_reference": "reference", "light_mode": "light"},
    "gpu": {"throttle_reasons": "throttled"},
}
