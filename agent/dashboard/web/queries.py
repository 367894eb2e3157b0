"""Reads the history: curves, marks, alerts and sketches of a range of time, for pages and reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.dashboard.web import rollup
from agent.dashboard.web.fields import DAY
from agent.dashboard.web.store import HOUR, KEPT_SECONDS, HistoryReader, Key, kept, start_of

MOST_POINTS = 20_000
MOST_ROWS = 2_000

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySpan:
    """A range of time (Unix times) and where it is read: `window`, `hour` or `day`."""

    start: float
    end: float
    table: str


def span(start: float, end: float, now: float) -> QuerySpan:
    """The finest table that still has `start` and gives no more points than a page can draw."""
    if end - start <= 2 * DAY and start >= now - KEPT_SECONDS["window"] - HOUR:
        return QuerySpan(start=start, end=end, table="window")
    long = end - start > KEPT_SECONDS["hour"] or start < now - KEPT_SECONDS["hour"] - DAY
    return QuerySpan(start=start, end=end, table="day" if long else "hour")


class Queries:
    """Reads a history, in whichever store it is; raises StoreError."""

    def __init__(self, store: HistoryReader) -> None:
        self._rows = store.rows

    def curves(self, key: Key, fields: Sequence[str], within: QuerySpan) -> Row:
        """`times` and, for each field, a value at each of them or None; of roll-ups also the smallest and largest."""
        rows = self._within(key, within)
        shape = "window" if within.table == "window" else "rolled"
        series = {name: _filled(name, [_value(name, body, shape) for _, body in rows]) for name in fields}
        found: Row = {"resolution": within.table, "times": [at for at, _ in rows], "series": series}
        if shape == "rolled":
            found["low"] = {name: [_part(body, name, 2) for _, body in rows] for name in fields}
            found["high"] = {name: [_part(body, name, 3) for _, body in rows] for name in fields}
        return found

    def names(self, key: Key, within: QuerySpan) -> list[str]:
        """The numeric fields that there are in a range."""
        rows = self._within(key, within)
        found = {name for _, body in rows for name, value in body.items() if not isinstance(value, str)}
        return sorted(found)

    def cameras(self) -> list[Key]:
        """All cameras that have a history, as site, device and entity."""
        return self._rows(
            "SELECT site, device, entity FROM series WHERE entity LIKE 'camera/%' ORDER BY 1, 2, 3"
        )

    def devices(self) -> list[Key]:
        """All devices that have a history, as site, device and ""."""
        return self._rows("SELECT DISTINCT site, device, '' FROM series ORDER BY 1, 2")

    def latest(self, site: str, device: str) -> dict[str, Row]:
        """The last known fields of everything of a device, by entity; each with `at`."""
        rows = self._rows(
            "SELECT entity, at, body FROM series JOIN latest ON series = id"
            " WHERE site = ? AND device = ? AND at >= 0",
            (site, device),
        )
        return {entity: {**kept(body), "at": at} for entity, at, body in rows}

    def last_heard(self, site: str, device: str) -> float | None:
        """When the last window of a device ended that was delivered live; None where there is none."""
        found = self._rows(
            "SELECT max(at) FROM series JOIN latest ON series = id"
            " WHERE site = ? AND device = ? AND entity NOT IN ('', 'info')",
            (site, device),
        )
        return float(found[0][0]) if found and found[0][0] is not None else None

    def first(self, site: str, device: str) -> float | None:
        """The end of the first window that is kept of a device; None where there is none."""
        found = self._rows(
            'SELECT min((SELECT w.at FROM "window" w WHERE w.series = s.id ORDER BY w.at LIMIT 1)) FROM series s'
            " WHERE s.site = ? AND s.device = ?",
            (site, device),
        )
        return float(found[0][0]) if found and found[0][0] is not None else None

    def marks(self, site: str, device: str, within: QuerySpan) -> list[Row]:
        """What happened in a range, oldest first."""
        rows = self._rows(
            "SELECT m.at, s.entity, m.kind, m.text FROM series s JOIN mark m ON m.series = s.id"
            " WHERE s.site = ? AND s.device = ? AND m.at >= ? AND m.at <= ? ORDER BY m.at DESC LIMIT ?",
            (site, device, within.start, within.end, MOST_ROWS),
        )
        names = ("at", "entity", "kind", "text")
        return [dict(zip(names, row, strict=True)) for row in reversed(rows)]

    def states(self, key: Key, within: QuerySpan, kind: str = "state") -> list[Row]:
        """The states (or the light: `kind`) in a range, oldest first; the first may have begun before it."""
        query = (
            "SELECT m.at, m.text FROM series s JOIN mark m ON m.series = s.id WHERE m.kind = ?"
            " AND s.site = ? AND s.device = ? AND s.entity = ? AND "
        )
        before = self._rows(f"{query} m.at < ? ORDER BY m.at DESC LIMIT 1", (kind, *key, within.start))
        inside = self._rows(
            f"{query} m.at >= ? AND m.at <= ? ORDER BY m.at LIMIT ?",
            (kind, *key, within.start, within.end, MOST_ROWS),
        )
        return [{"at": at, "text": text} for at, text in [*before, *inside]]

    def alerts(
        self, *, firing: bool, site: str = "", device: str = "", number: str = "", since: float = 0.0
    ) -> list[Row]:
        """Alerts that fire, or that no longer do, of a site, a device, an id (`number`); the newest first."""
        wanted = ["state = 'firing'" if firing else "state != 'firing'", "changed_at >= ?"]
        values: list[Any] = [since]
        for name, value in (("site", site), ("device", device), ("id", number)):
            if value:
                wanted.append(f"{name} = ?")
                values.append(value)
        rows = self._rows(
            "SELECT site, device, id, state, first_seen, changed_at, body FROM alert"
            f" WHERE {' AND '.join(wanted)} ORDER BY changed_at DESC LIMIT ?",
            (*values, MOST_ROWS),
        )
        names = ("site", "device", "id", "state", "first_seen", "changed_at")
        return [{**kept(row[6]), **dict(zip(names, row[:6], strict=True))} for row in rows]

    def sketches(self, key: Key, within: QuerySpan) -> list[Row]:
        """The messages of sketches in a range, oldest first."""
        rows = self._rows(
            "SELECT k.body FROM series s JOIN sketch k ON k.series = s.id"
            " WHERE s.site = ? AND s.device = ? AND s.entity = ? AND k.at > ? AND k.at <= ?"
            " ORDER BY k.at LIMIT 400",
            (*key, within.start, within.end),
        )
        return [kept(body) for (body,) in rows]

    def _within(self, key: Key, within: QuerySpan) -> list[tuple[float, Row]]:
        found = self._rows(
            f'SELECT w.at, w.body FROM series s JOIN "{within.table}" w ON w.series = s.id'
            " WHERE s.site = ? AND s.device = ? AND s.entity = ? AND w.at >= ? AND w.at <= ? ORDER BY w.at LIMIT ?",
            (*key, within.start, within.end, MOST_POINTS),
        )
        rows = [(at, kept(body)) for at, body in found]
        return rows + self._open_hours(key, rows[-1][0] + HOUR if rows else within.start, within)

    def _open_hours(self, key: Key, after: float, within: QuerySpan) -> list[tuple[float, Row]]:
        """The hours at the end of the range that are not rolled up yet, from their windows."""
        if within.table != "hour":
            return []
        found = self._rows(
            'SELECT w.at, w.seconds, w.body FROM series s JOIN "window" w ON w.series = s.id'
            " WHERE s.site = ? AND s.device = ? AND s.entity = ? AND w.at > ? AND w.at <= ? ORDER BY w.at LIMIT ?",
            (*key, after, within.end, MOST_POINTS),
        )
        hours: dict[float, list[tuple[float, Row]]] = {}
        for at, seconds, body in found:
            hours.setdefault(start_of(at, HOUR), []).append((seconds, kept(body)))
        return [(at, rollup.roll_up(windows)) for at, windows in hours.items()]


def _filled(name: str, values: list[float | None]) -> list[float | None]:
    """`values` with 0 where a message left it out since it is 0; as they are where none had it."""
    if not rollup.left_out_is_zero(name) or all(value is None for value in values):
        return values
    return [0.0 if value is None else value for value in values]


def _value(name: str, body: Row, shape: str) -> float | None:
    value = body.get(name)
    if shape == "window":
        return value if isinstance(value, (int, float)) else None
    return rollup.shown(name, (value[0], value[1], value[2], value[3])) if value else None


def _part(body: Row, name: str, place: int) -> float | None:
    value = body.get(name)
    return float(value[place]) if value else None
