"""The statements that write many rows at once: each takes one array a column, in the order of its key."""

from __future__ import annotations

SERIES = """
INSERT INTO series(site, device, entity) SELECT * FROM unnest(%s::text[], %s::text[], %s::text[])
    ON CONFLICT DO NOTHING"""
SERIES_IDS = """
SELECT s.id, s.site, s.device, s.entity FROM series s
    JOIN unnest(%s::text[], %s::text[], %s::text[]) AS n(site, device, entity) USING (site, device, entity)"""
NO_LATEST = """
INSERT INTO latest SELECT n.series, -1, '' FROM unnest(%s::bigint[]) AS n(series) ON CONFLICT DO NOTHING"""
"""A row to lock: two collectors that see a series for the first time write one after the other."""
WINDOWS = """
INSERT INTO "window" AS w SELECT * FROM unnest(%s::bigint[], %s::float8[], %s::float8[], %s::text[])
    ON CONFLICT (series, at) DO UPDATE SET seconds = EXCLUDED.seconds, body = EXCLUDED.body
    WHERE (w.seconds, w.body) IS DISTINCT FROM (EXCLUDED.seconds, EXCLUDED.body)"""
STALE = """
INSERT INTO stale AS s SELECT * FROM unnest(%s::bigint[], %s::float8[])
    ON CONFLICT (series, at) DO UPDATE SET at = EXCLUDED.at WHERE s.at IS NULL"""
"""Changes nothing that is there, but locks it: whoever rolls the hour up passes it over until this is committed."""
SKETCHES = """
INSERT INTO sketch AS k SELECT * FROM unnest(%s::bigint[], %s::float8[], %s::text[])
    ON CONFLICT (series, at) DO UPDATE SET body = EXCLUDED.body WHERE k.body IS DISTINCT FROM EXCLUDED.body"""
LATEST = "SELECT series, at, body FROM latest WHERE series = ANY(%s) ORDER BY series FOR UPDATE"
SET_LATEST = """
UPDATE latest AS l SET at = n.at, body = n.body
    FROM unnest(%s::bigint[], %s::float8[], %s::text[]) AS n(series, at, body) WHERE l.series = n.series"""
MARKS = """
INSERT INTO mark AS m SELECT * FROM unnest(%s::bigint[], %s::float8[], %s::text[], %s::text[])
    ON CONFLICT (series, at, kind) DO UPDATE SET text = EXCLUDED.text WHERE m.text IS DISTINCT FROM EXCLUDED.text"""
ALERTS = """
INSERT INTO alert AS a
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::float8[], %s::float8[], %s::text[])
    ON CONFLICT (site, device, id) DO UPDATE
    SET state = EXCLUDED.state, changed_at = EXCLUDED.changed_at, body = EXCLUDED.body
    WHERE a.changed_at <= EXCLUDED.changed_at OR a.state = 'ended'"""
END_ALERTS = """
WITH ended AS (
    SELECT a.site, a.device, a.id FROM alert a
        JOIN unnest(%s::text[], %s::text[], %s::text[]) AS n(site, device, id) USING (site, device, id)
        WHERE a.state = 'firing' ORDER BY 1, 2, 3 FOR UPDATE OF a)
UPDATE alert AS a SET state = 'ended', changed_at = %s FROM ended e
    WHERE (a.site, a.device, a.id) = (e.site, e.device, e.id)"""
DUE = "SELECT series, at FROM stale WHERE at < %s ORDER BY at LIMIT %s FOR UPDATE SKIP LOCKED"
DUE_WINDOWS = """
SELECT d.series, d.at, w.seconds, w.body FROM unnest(%s::bigint[], %s::float8[]) AS d(series, at)
    JOIN "window" w ON w.series = d.series AND w.at > d.at AND w.at <= d.at + 3600"""
DUE_HOURS = """
SELECT d.series, d.at, h.body FROM unnest(%s::bigint[], %s::float8[]) AS d(series, at)
    JOIN hour h ON h.series = d.series AND h.at = d.at"""
HOURS = """
INSERT INTO hour SELECT * FROM unnest(%s::bigint[], %s::float8[], %s::text[])
    ON CONFLICT (series, at) DO UPDATE SET body = EXCLUDED.body"""
HOURS_OF_DAYS = """
SELECT d.series, d.at, h.body FROM unnest(%s::bigint[], %s::float8[]) AS d(series, at)
    JOIN hour h ON h.series = d.series AND h.at >= d.at AND h.at < d.at + 86400"""
DAYS = """
INSERT INTO day SELECT * FROM unnest(%s::bigint[], %s::float8[], %s::text[])
    ON CONFLICT (series, at) DO UPDATE SET body = EXCLUDED.body"""
DONE = """
DELETE FROM stale s USING unnest(%s::bigint[], %s::float8[]) AS d(series, at)
    WHERE s.series = d.series AND s.at = d.at"""
PRUNE_ALERTS = (
    "DELETE FROM alert WHERE changed_at < %s AND state <> 'firing'",
    "DELETE FROM alert WHERE changed_at < (SELECT changed_at FROM alert ORDER BY changed_at DESC LIMIT 1 OFFSET %s)",
)
