"""Grafana's JSON (schema 39, Grafana 10.3 and newer): panels, their queries and grid, variables, dashboards. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

SCHEMA_VERSION = 39
COLUMNS = 24

GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A data source, chosen in a variable at the top, so that a dashboard fits any Grafana."""

    kind: str
    title: str

    @property
    def reference(self) -> Json:
        """How panels and queries name it."""
        return {"type": self.kind, "uid": "${source}"}

    @property
    def variable(self) -> Json:
        """The variable that chooses it."""
        return {
            "type": "datasource",
            "name": "source",
            "label": self.title,
            "query": self.kind,
            "refresh": 1,
            "hide": 0,
            "multi": False,
            "includeAll": False,
            "skipUrlSync": False,
            "current": {},
            "options": [],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel: `width` of 24 columns, `height` in rows; `targets` are the queries without their letters."""

    title: str
    kind: str
    targets: Sequence[Json]
    width: int = 8
    height: int = 8
    help: str = ""
    unit: str = "short"
    options: Json = field(default_factory=dict)
    defaults: Json = field(default_factory=dict)
    custom: Json = field(default_factory=dict)
    overrides: Sequence[Json] = ()
    transformations: Sequence[Json] = ()


def promql(expression: str, legend: str = "", **more: Any) -> Json:
    """A range query to Prometheus."""
    return {"expr": expression, "legendFormat": legend or "__auto", "range": True, "instant": False, **more}


def table_query(expression: str) -> Json:
    """An instant query whose labels become columns."""
    return {"expr": expression, "format": "table", "instant": True, "range": False, "legendFormat": ""}


def topic(name: str) -> Json:
    """A subscription of the MQTT data source."""
    return {"topic": name, "stream": True}


def thresholds(*steps: tuple[float | None, str]) -> Json:
    """Colours from values upwards; the first step has no value."""
    return {
        "color": {"mode": "thresholds"},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": color} for value, color in steps],
        },
    }


def texts(words: Mapping[str, tuple[str, str]]) -> Json:
    """Values told as (word, colour)."""
    options = {
        value: {"text": text, "color": color, "index": n}
        for n, (value, (text, color)) in enumerate(words.items())
    }
    return {"mappings": [{"type": "value", "options": options}]}


def fixed(name: str, colour: str) -> Json:
    """The override that gives the series `name` its own colour, and so its value's word."""
    mapping = {"type": "value", "options": {"1": {"text": "yes", "color": colour, "index": 0}}}
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [
            {"id": "color", "value": {"mode": "fixed", "fixedColor": colour}},
            {"id": "mappings", "value": [mapping]},
        ],
    }


def series(title: str, *targets: Json, stacked: bool = False, **more: Any) -> Panel:
    """Lines over time."""
    custom: Json = {
        "lineWidth": 1,
        "fillOpacity": 12 if stacked else 0,
        "showPoints": "auto",
        "spanNulls": False,
    }
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return Panel(title=title, kind="timeseries", targets=targets, options=options, custom=custom, **more)


def stat(title: str, *targets: Json, width: int = 4, height: int = 4, **more: Any) -> Panel:
    """One number, large."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "auto",
        "orientation": "auto",
        "justifyMode": "auto",
    }
    options |= more.pop("options", {})
    return Panel(
        title=title, kind="stat", targets=targets, width=width, height=height, options=options, **more
    )


def timeline(title: str, *targets: Json, **more: Any) -> Panel:
    """States over time, a row each."""
    options = {
        "showValue": "never",
        "mergeValues": True,
        "rowHeight": 0.9,
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return Panel(title=title, kind="state-timeline", targets=targets, options=options, **more)


def heatmap(title: str, target: Json, **more: Any) -> Panel:
    """How a histogram's buckets fill over time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "fill": "dark-orange",
            "exponent": 0.5,
            "steps": 64,
            "reverse": False,
        },
        "yAxis": {"unit": "s", "axisPlacement": "left", "reverse": False},
        "legend": {"show": True},
        "tooltip": {"mode": "single", "yHistogram": False},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
    }
    return Panel(
        title=title, kind="heatmap", targets=[{**target, "format": "heatmap"}], options=options, **more
    )


def table(title: str, *targets: Json, **more: Any) -> Panel:
    """Rows and columns."""
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "footer": {"show": False, "reducer": ["sum"], "countRows": False},
    }
    return Panel(title=title, kind="table", targets=targets, options=options, **more)


def renamed(hidden: Iterable[str], names: Mapping[str, str]) -> Json:
    """The transformation that leaves out columns and names the others, in the order given."""
    return {
        "id": "organize",
        "options": {
            "excludeByName": dict.fromkeys(hidden, True),
            "indexByName": {name: n for n, name in enumerate(names)},
            "renameByName": dict(names),
        },
    }


def only(*names: str) -> Json:
    """The transformation that keeps the time and these fields of a payload."""
    return {"id": "filterFieldsByName", "options": {"include": {"names": ["Time", *names]}}}


def choice(name: str, label: str, query: str, *, many: bool = False) -> Json:
    """A variable of a label's values, asked of Prometheus."""
    current = {"text": ["All"], "value": ["$__all"]} if many else {}
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "definition": query,
        "query": {"query": query, "refId": "variable"},
        "refresh": 2,
        "sort": 1,
        "regex": "",
        "hide": 0,
        "skipUrlSync": False,
        "multi": many,
        "includeAll": many,
        "current": current,
        "options": [],
    }


def written(name: str, label: str, default: str) -> Json:
    """A variable that is typed in."""
    return {
        "type": "textbox",
        "name": name,
        "label": label,
        "query": default,
        "hide": 0,
        "skipUrlSync": False,
        "current": {"text": default, "value": default},
        "options": [{"text": default, "value": default, "selected": True}],
    }


def dashboard(
    *,
    uid: str,
    title: str,
    help: str,
    source: Source,
    variables: Sequence[Json],
    rows: Sequence[tuple[str, Sequence[Panel]]],
    annotations: Sequence[Json] = (),
    live: bool = False,
) -> Json:
    """A whole dashboard; each of `rows` is (heading, its panels), laid out from left to right."""
    return {
        "uid": uid,
        "title": title,
        "description": help,
        "tags": ["vedette"],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "refresh": "" if live else "30s",
        "liveNow": live,
        "time": {"from": "now-15m" if live else "now-6h", "to": "now"},
        "links": [
            {
                "type": "dashboards",
                "title": "Vedette",
                "tags": ["vedette"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            }
        ],
        "templating": {"list": [source.variable, *variables]},
        "annotations": {"list": list(annotations)},
        "panels": list(_laid_out(source, rows)),
    }


def _laid_out(source: Source, rows: Sequence[tuple[str, Sequence[Panel]]]) -> Iterable[Json]:
    number, top = 0, 0
    for heading, panels in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": heading,
            "collapsed": False,
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            "panels": [],
        }
        top += 1
        left = tallest = 0
        for panel in panels:
            if left + panel.width > COLUMNS:
                top, left, tallest = top + tallest, 0, 0
            number += 1
            yield _panel(panel, source, number, {"x": left, "y": top, "w": panel.width, "h": panel.height})
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest


def _panel(panel: Panel, source: Source, number: int, place: Json) -> Json:
    letters = (chr(ord("A") + n) for n in range(26))
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": source.reference,
        "gridPos": place,
        "targets": [
            {"refId": letter, "datasource": source.reference, **target}
            for letter, target in zip(letters, panel.targets, strict=False)
        ],
        "options": panel.options,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "custom": panel.custom, **panel.defaults},
            "overrides": list(panel.overrides),
        },
        "transformations": list(panel.transformations),
    }
