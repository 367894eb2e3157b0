"""Which fields of a window are published now, and which are held back since they say nothing new. Pure.

Laws:

1. A complete message holds every field, and `complete` says so. It comes again after so many messages of usual length:
   one that news cut short counts for its share.
2. Every other message holds the fields that the table of payloads (`agent.core.metrics.payloads`) wants in each, and
   those that changed. A number changed where it is further from what was last published than CHANGED_STEPS of its
   usual steps from one window to the next; a text, a state or a total, where it is another.
3. What changes is published from the first complete message on: before it nobody knows what it changed from.
4. A field that was published for a change and is no more, is published once as null.
5. What is held back is not lost: windows are merged from all their fields.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.core.metrics.definition import NEAR_LIMIT_RATIO, Sent
from agent.core.metrics.payload_fields import MOMENT
from agent.core.metrics.payloads import field_of, sent_of

CHANGED_STEPS = 4.0
"""In standard deviations of a step: noise alone passes it about once in a thousand windows (twice that is measured)."""

_DEVIATIONS = 1.4826  # standard deviations of a normal variable in its median absolute deviation
_REMEMBERED = 16
_ENOUGH = 4
_EXACT_UNITS = frozenset({"state", "total", MOMENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinnedWindow:
    """A window's fields as they are published, and those that are held back."""

    body: Mapping[str, Any]
    held: Mapping[str, Any]


@dataclass(slots=True)
class _Usual:
    """The last value of a field, and its last steps from one window to the next."""

    last: float
    steps: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def usual_step(self) -> float | None:
        """The standard deviation of a step, robustly; None where too few are known."""
        return statistics.median(self.steps) * _DEVIATIONS if len(self.steps) >= _ENOUGH else None

    def add(self, value: float) -> None:
        self.steps.append(abs(value - self.last))
        self.last = value


class Thinner:
    """The windows of one topic. One of `every` messages is complete (1: all), first the one numbered `first` from 0."""

    def __init__(self, family: str, *, every: int, first: int = 0) -> None:
        self._family, self._every = family, max(every, 1)
        self._until_complete = float(first)
        self._published: dict[str, Any] = {}
        self._usual: dict[str, _Usual] = {}

    def thin(self, body: Mapping[str, Any], share: float = 1.0) -> ThinnedWindow:
        """The window's fields: those to publish, and those to hold back. It is `share` of the usual length."""
        complete = self._until_complete < 0.5
        self._until_complete = (self._every if complete else self._until_complete) - share
        chosen = (
            dict(body)
            if complete
            else {name: value for name, value in body.items() if self._due(name, value)}
        )
        self._observe(body)
        ended = {} if complete else self._ended(body)
        self._remember(chosen, ended, complete=complete)
        held = {name: value for name, value in body.items() if name not in chosen}
        return ThinnedWindow(body={**chosen, **ended, **({"complete": True} if complete else {})}, held=held)

    def _due(self, name: str, value: Any) -> bool:
        sent = sent_of(self._family, name)
        if sent is Sent.CHANGED:
            return name in self._published and self._changed(name, value, self._published[name])
        if sent is Sent.NEAR_LIMIT:
            return _is_number(value) and value >= NEAR_LIMIT_RATIO
        return sent is Sent.ALWAYS or (sent is Sent.NOT_ZERO and bool(value))

    def _changed(self, name: str, value: Any, published: Any) -> bool:
        usual = self._usual.get(name)
        if usual is None or not _is_number(value) or not _is_number(published):
            return bool(value != published)
        step = usual.usual_step()
        return step is not None and abs(value - published) > CHANGED_STEPS * step

    def _observe(self, body: Mapping[str, Any]) -> None:
        for name, value in body.items():
            if not _is_number(value) or self._is_exact(name):
                continue
            if name in self._usual:
                self._usual[name].add(value)
            else:
                self._usual[name] = _Usual(value)

    def _is_exact(self, name: str) -> bool:
        """Whether any other value is a change: a number that is no measurement."""
        found = field_of(self._family, name)
        return found is not None and found.unit in _EXACT_UNITS

    def _ended(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: None for name in self._published if name not in body and self._published[name] is not None
        }

    def _remember(self, chosen: Mapping[str, Any], ended: Mapping[str, Any], *, complete: bool) -> None:
        """What a subscriber knows of the fields that are sent on change."""
        if complete:
            self._published = {}
            self._usual = {name: usual for name, usual in self._usual.items() if name in chosen}
        known = {name: value for name, value in chosen.items() if sent_of(self._family, name) is Sent.CHANGED}
        self._published |= {**known, **ended}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
