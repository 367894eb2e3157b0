"""A history as the dashboard sees it: what a store takes, what it answers, and how long it keeps what.

Laws, of every store:

1. A message that comes twice changes nothing: a window is keyed by its series and its end, a mark by its kind too.
2. A roll-up is always made again from all windows of its hour, so what arrives late is in it. The hours that have to be
   made are kept beside the windows (`stale`): a restart forgets none.
3. An hour whose windows are no longer kept only grows: what comes so late replaces nothing that covers more time.
4. Percentiles are never averaged (`rollup`); sketches are kept as they came, and merged when they are read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from agent.core.errors import VedetteError
from agent.core.untrusted import BadInput, parse_kept
from agent.dashboard.web import rollup
from agent.dashboard.web.fields import DAY, Update, Value

HOUR = 3600.0
MOST_SERIES = 100_000
"""Devices, cameras and GPUs for which a history is kept; more are left out, and counted."""
MOST_SERIES_OF_DEVICE = 1_000
"""All that a fleet knows of one has 403: one that names cameras without end takes the history of no other."""
MOST_ALERTS = 100_000
KEPT_SECONDS: Mapping[str, float] = {"window": 3 * DAY, "sketch": 8 * DAY, "hour": 62 * DAY, "day": 750 * DAY}
KEPT_MARKS_SECONDS = 93 * DAY
LATE_SECONDS = 300.0
"""An hour is rolled up once it has ended so long ago; windows that come later have it made again."""

Key = tuple[str, str, str]
"""Site, device and entity: `""` for the device itself, `host`, `info`, `gpu/0`, `camera/front`; or an alert's id."""


class SeriesNumbers:
    """The numbers of a store's series, in the order in which they were added, and which more there is room for."""

    def __init__(self, known: Iterable[tuple[Key, int]] = ()) -> None:
        self._numbers = dict(known)
        self._of_device = Counter(key[:2] for key in self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, key: object) -> bool:
        return key in self._numbers

    def __getitem__(self, key: Key) -> int:
        return self._numbers[key]

    def get(self, key: Key) -> int | None:
        """The number of a series; None where it is not there."""
        return self._numbers.get(key)

    def add(self, key: Key, number: int) -> None:
        """Take note of a series that was not there."""
        self._numbers[key] = number
        self._of_device[key[:2]] += 1

    def remove(self, number: int) -> tuple[Key, int] | None:
        """Take note that a series is no more; what `add` takes to have it again, None where it was not there."""
        key = next((key for key, known in self._numbers.items() if known == number), None)
        if key is None:
            return None
        self._of_device[key[:2]] -= 1
        return key, self._numbers.pop(key)

    def numbers(self) -> list[int]:
        """All of them."""
        return list(self._numbers.values())

    def up_to(self, last: int) -> SeriesNumbers:
        """Those whose number is not above `last`."""
        return SeriesNumbers((key, number) for key, number in self._numbers.items() if number <= last)

    def fitting(self, keys: Iterable[Key]) -> list[Key]:
        """Of `keys`, which are not there, those that there is room for."""
        found: list[Key] = []
        more: Counter[tuple[str, str]] = Counter()
        for key in keys:
            device = key[:2]
            fits = self._of_device[device] + more[device] < MOST_SERIES_OF_DEVICE
            if fits and len(self) + len(found) < MOST_SERIES:
                more[device] += 1
                found.append(key)
        return found


class StoreError(VedetteError):
    """The store cannot be written or read at the moment: a full disk, a server that is down."""


class Store(Protocol):
    """The writer of a history, of one thread. What was added is kept after `commit`; all of it raises StoreError."""

    left_out: int
    """How often something was left out since there were `MOST_SERIES`, or `MOST_SERIES_OF_DEVICE` of one."""

    def open(self) -> None:
        """Open the store, or make it; raises VedetteError."""

    def close(self) -> None:
        """Write what is open and close; may be called twice."""

    def add_window(self, key: Key, end: float, seconds: float, fields: Mapping[str, Value]) -> None:
        """Add one window; its hour is rolled up (again)."""

    def add_sketch(self, key: Key, end: float, body: Mapping[str, Any]) -> None:
        """Add one message of sketches, as it came."""

    def update(self, key: Key, update: Update) -> None:
        """Keep the last known values of `key`, and a mark for each change that belongs on the curves."""

    def set_alert(self, key: Key, state: str, first: float, at: float, body: Mapping[str, Any]) -> None:
        """Keep an alert as it is now, unless a later message said otherwise."""

    def firing(self) -> set[Key]:
        """Site, device and id of the alerts that fire."""

    def end_alerts(self, keys: Iterable[Key], at: float) -> None:
        """Keep that firing alerts no longer fire, though nobody saw them resolve."""

    def roll_up(self, now: float, most: int = 200) -> int:
        """Roll up at most `most` hours that have ended; how many it was."""

    def prune(self, now: float) -> None:
        """Remove some of what is too old."""

    def commit(self, now: float) -> None:
        """Write all that was added."""

    def roll_back(self) -> None:
        """Discard what was added since the last commit: it could not be written."""


class HistoryReader(Protocol):
    """The reader of a history; any thread may call."""

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a SELECT with `?` for each of `values` gives; raises StoreError."""


def to_text(value: object) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def kept(body: str) -> dict[str, Any]:
    """The object in a column that `to_text` wrote; empty where the store is damaged."""
    try:
        value = parse_kept(body)
    except BadInput:
        return {}
    return value if isinstance(value, dict) else {}


def start_of(at: float, length: float) -> float:
    """Start of the hour or day (UTC) that a window with this end belongs to: one that ends on the hour, to the last."""
    return ((at - 1e-3) // length) * length


def rolled_hour(
    at: float, now: float, windows: Iterable[tuple[float, str]], before: str | None
) -> dict[str, rollup.Aggregate]:
    """The roll-up of the hour that begins at `at` from its windows as they are stored, `before` being the last one."""
    rolled = rollup.roll_up([(seconds, kept(body)) for seconds, body in windows])
    if before and at < now - KEPT_SECONDS["window"]:
        return rollup.fuller(kept(before), rolled)
    return rolled
