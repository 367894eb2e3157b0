"""Grafana's dashboards by its own builders (`grafana-foundation-sdk`): panels, queries, variables. Grafana 10.3 and newer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Json = dict[str, Any]
Panel = builders.Panel

SCHEMA_VERSION = 39
"""Of Grafana 10.3: newer ones migrate it, older ones than the SDK's could not read its own."""

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


PROMETHEUS = Source(kind="prometheus", title="Prometheus")
MQTT = Source(kind="grafana-mqtt-datasource", title="MQTT")


@dataclass(slots=True)
class TopicQuery(Dataquery):
    """A subscription of the MQTT data source, which the SDK does not know; its own builder."""

    topic: str
    letter: str = ""

    def datasource(self, _: models.DataSourceRef) -> TopicQuery:
        """Take any: topics are always of MQTT."""
        return self

    def ref_id(self, letter: str) -> TopicQuery:
        """Name it among the queries of its panel."""
        self.letter = letter
        return self

    def build(self) -> TopicQuery:
        """Return the query itself."""
        return self

    def to_json(self) -> Json:
        """Return what Grafana saves."""
        return {"refId": self.letter, "datasource": MQTT.reference, "topic": self.topic, "stream": True}


Query = prometheus.Dataquery | TopicQuery


def panel(
    title: str,
    kind: str,
    queries: Sequence[Query],
    options: Json,
    *,
    width: int = 8,
    height: int = 8,
    help: str = "",
    unit: str = "short",
    custom: Json | None = None,
    defaults: Json | None = None,
    overrides: Sequence[Json] = (),
    transformations: Sequence[Json] = (),
) -> Panel:
    """One panel: `width` of 24 columns, `height` in rows."""
    source = _reference(MQTT if isinstance(queries[0], TopicQuery) else PROMETHEUS)
    made = (
        Panel()
        .type(kind)
        .title(title)
        .description(help)
        .span(width)
        .height(height)
        .datasource(source)
        .options(options)
        .defaults(models.FieldConfig.from_json({"unit": unit, "custom": custom or {}, **(defaults or {})}))
        .transformations([models.DataTransformerConfig.from_json(step) for step in transformations])
    )
    for override in overrides:
        given = models.DashboardFieldConfigSourceOverrides.from_json(override)
        made.with_override(given.matcher, given.properties)
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        made.with_target(query.datasource(source).ref_id(letter))
    return made


def _reference(source: Source) -> models.DataSourceRef:
    return models.DataSourceRef.from_json(source.reference)


def promql(expression: str, legend: str = "") -> Query:
    """A range query to Prometheus."""
    return prometheus.Dataquery().expr(expression).legend_format(legend or "__auto").range()


def table_query(expression: str) -> Query:
    """An instant query whose labels become columns."""
    return prometheus.Dataquery().expr(expression).format(PromQueryFormat.TABLE).legend_format("").instant()


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
    """Values shown as (text, colour)."""
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


def series(title: str, *queries: Query, stacked: bool = False, **more: Any) -> Panel:
    """Lines over time; over MQTT they join the points: a message leaves out what did not change."""
    custom: Json = {
        "lineWidth": 1,
        "fillOpacity": 12 if stacked else 0,
        "showPoints": "auto",
        "spanNulls": any(isinstance(query, TopicQuery) for query in queries),
    }
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel(title, "timeseries", queries, options, custom=custom, **more)


def stat(title: str, *queries: Query, width: int = 4, height: int = 4, **more: Any) -> Panel:
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
    return panel(title, "stat", queries, options, width=width, height=height, **more)


def timeline(title: str, *queries: Query, **more: Any) -> Panel:
    """States over time, a row each."""
    options = {
        "showValue": "never",
        "mergeValues": True,
        "rowHeight": 0.9,
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel(title, "state-timeline", queries, options, **more)


def heatmap(title: str, query: prometheus.Dataquery, **more: Any) -> Panel:
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
    return panel(title, "heatmap", [query.format(PromQueryFormat.HEATMAP)], options, **more)


def table(title: str, *queries: Query, **more: Any) -> Panel:
    """Rows and columns."""
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "footer": {"show": False, "reducer": ["sum"], "countRows": False},
    }
    return panel(title, "table", queries, options, **more)


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
        "datasource": PROMETHEUS.reference,
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


LINK = (
    builders.DashboardLink("Vedette")
    .type(models.DashboardLinkType.DASHBOARDS)
    .tags(["vedette"])
    .icon("external link")
    .as_dropdown(True)
    .include_vars(True)
    .keep_time(True)
    .url("")
)


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
    """A whole dashboard as JSON; each of `rows` is (heading, its panels), laid out from left to right.

    Variables and annotations are JSON already: the SDK knows neither `definition` nor Prometheus' annotations.
    """
    board = (
        builders.Dashboard(title)
        .uid(uid)
        .description(help)
        .tags(["vedette"])
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .refresh("" if live else "30s")
        .live_now(live)
        .time("now-15m" if live else "now-6h", "now")
        .version(1)
        .link(LINK)
    )
    for heading, panels in rows:
        board.with_row(builders.Row(heading))
        for each in panels:
            board.with_panel(each)
    made: Json = json.loads(json.dumps(board.build(), cls=JSONEncoder))
    for number, placed in enumerate(made["panels"], start=1):
        placed["id"] = number
    return made | {
        "schemaVersion": SCHEMA_VERSION,
        "templating": {"list": [source.variable, *variables]},
        "annotations": {"list": list(annotations)},
    }
