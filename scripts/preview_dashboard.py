"""Draws a dashboard as an SVG from its own JSON and the answers of a Prometheus: a look at it where no Grafana is.

    python scripts/preview_dashboard.py prometheus-camera --prometheus http://127.0.0.1:9090 --out camera.svg \
        --set camera=front --minutes 15

Panels, queries, places, units, colours of values and legends are the dashboard's; lines and letters are this script's,
plainer than Grafana's.
"""

from __future__ import annotations

import argparse
import json
import re
import time
import urllib.parse
import urllib.request
from html import escape
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "agent" / "grafana"
COLUMN, ROW, GAP = 50, 34, 6
COLOURS = (
    "#7eb26d",
    "#eab839",
    "#6ed0e0",
    "#ef843c",
    "#e24d42",
    "#1f78c1",
    "#ba43a9",
    "#705da0",
    "#508642",
    "#cca300",
)
NAMED = {"green": "#73bf69", "yellow": "#fade2a", "red": "#f2495c", "blue": "#5794f2", "text": "#ccccdc"}
POINTS = 120

Series = tuple[str, list[tuple[float, float]]]


class Prometheus:
    """Questions to a server about `minutes` up to now; `variables` fill the dashboard's."""

    def __init__(self, url: str, variables: dict[str, str], end: float, minutes: float) -> None:
        self._url, self._variables = url.rstrip("/"), variables
        self.end, self.start = end, end - 60 * minutes
        self.step = max(1.0, 60 * minutes / POINTS)

    def _ask(self, path: str, **words: Any) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode(words)
        with urllib.request.urlopen(f"{self._url}/api/v1/{path}?{query}", timeout=30) as answer:
            return json.loads(answer.read())["data"]["result"]

    def filled(self, expression: str) -> str:
        """With every variable's value in its place."""
        for name, value in self._variables.items():
            expression = expression.replace(f"${name}", value)
        return expression

    def series(self, target: dict[str, Any]) -> list[Series]:
        """(legend, points) of a target."""
        expression = self.filled(target["expr"])
        found = self._ask("query_range", query=expression, start=self.start, end=self.end, step=self.step)
        return [
            (
                legend(target, one["metric"]),
                [(float(at), float(value)) for at, value in one["values"] if value != "NaN"],
            )
            for one in found
        ]

    def rows(self, target: dict[str, Any]) -> list[dict[str, str]]:
        """The labels of an instant query's samples."""
        return [one["metric"] for one in self._ask("query", query=self.filled(target["expr"]), time=self.end)]


def legend(target: dict[str, Any], labels: dict[str, str]) -> str:
    form = target.get("legendFormat", "")
    if form == "__auto":
        return ", ".join(
            value for name, value in labels.items() if name not in ("__name__", "job", "instance")
        )
    return re.sub(r"{{(\w+)}}", lambda match: labels.get(match[1], ""), form)


def with_unit(value: float, unit: str) -> str:
    """A value as people read it."""
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "s":
        for factor, word in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
            if abs(value) >= factor:
                return f"{value / factor:.3g} {word}"
        return f"{value * 1e6:.3g} µs" if value else "0 s"
    ends = {"bytes": "B", "Bps": "B/s", "celsius": "°C", "watt": "W", "hertz": "Hz"}
    end = ends.get(unit, "")
    if unit in ("celsius", "watt"):
        return f"{value:.3g} {end}"
    for factor, word in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {word}{end}"
    return f"{value:.3g} {end}".strip()


def colour_of(value: float, defaults: dict[str, Any]) -> str:
    steps = defaults.get("thresholds", {}).get("steps", [])
    name = "text"
    for step in steps:
        if step["value"] is None or value >= step["value"]:
            name = step["color"]
    return NAMED.get(name, name)


def word_for(value: float, defaults: dict[str, Any]) -> str | None:
    for mapping in defaults.get("mappings", []):
        found = mapping["options"].get(f"{value:g}")
        if found:
            return str(found["text"])
    return None


class Drawing:
    """SVG, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: int = 11,
        fill: str = "#ccccdc",
        anchor: str = "start",
        weight: str = "normal",
    ) -> None:
        """Words at a place."""
        self.pieces.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'
        )

    def box(
        self, x: float, y: float, w: float, h: float, fill: str, *, stroke: str = "none", opacity: float = 1
    ) -> None:
        """A filled rectangle."""
        self.pieces.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(w, 0):.1f}" height="{max(h, 0):.1f}" fill="{fill}" stroke="{stroke}" fill-opacity="{opacity:.2f}"/>'
        )

    def line(self, points: list[tuple[float, float]], colour: str, *, fill_to: float | None = None) -> None:
        """A line through points, the space down to `fill_to` tinted."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        if fill_to is not None and points:
            closed = f"{points[0][0]:.1f},{fill_to:.1f} {path} {points[-1][0]:.1f},{fill_to:.1f}"
            self.pieces.append(f'<polygon points="{closed}" fill="{colour}" fill-opacity="0.15"/>')
        self.pieces.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.2"/>')

    def svg(self, width: float, height: float) -> str:
        """The whole picture."""
        body = "\n".join(self.pieces)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="Inter, Helvetica, Arial, sans-serif">\n'
            f'<rect width="{width}" height="{height}" fill="#111217"/>\n{body}\n</svg>\n'
        )


class Preview:
    """One dashboard."""

    def __init__(self, board: dict[str, Any], source: Prometheus) -> None:
        self._board, self._source, self._draw = board, source, Drawing()

    def render(self) -> str:
        """The dashboard as SVG."""
        panels = self._board["panels"]
        bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
        self._draw.text(10, 26, self._board["title"], size=17, weight="bold")
        for panel in panels:
            place = panel["gridPos"]
            x, y = place["x"] * COLUMN + GAP / 2, place["y"] * ROW + 40
            w, h = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
            if panel["type"] == "row":
                self._draw.text(x + 4, y + 20, f"▾ {panel['title']}", size=13, weight="bold")
                continue
            self._draw.box(x, y, w, h, "#181b1f", stroke="#2a2d33")
            self._draw.text(x + 8, y + 17, self._source.filled(panel["title"]), size=11, weight="bold")
            draw = {
                "stat": self._stat,
                "timeseries": self._graph,
                "state-timeline": self._states,
                "heatmap": self._heat,
                "table": self._table,
            }
            draw[panel["type"]](panel, x + 8, y + 24, w - 16, h - 30)
        return self._draw.svg(24 * COLUMN, bottom * ROW + 46)

    def _all(self, panel: dict[str, Any]) -> list[Series]:
        return [series for target in panel["targets"] for series in self._source.series(target)]

    def _at(self, moment: float, x: float, w: float) -> float:
        return x + (moment - self._source.start) / (self._source.end - self._source.start) * w

    def _stat(self, panel: dict[str, Any], x: float, y: float, w: float, h: float) -> None:
        defaults = panel["fieldConfig"]["defaults"]
        found = [one for one in self._all(panel) if one[1] and one[1][-1][0] > self._source.end - 30]
        if not found:
            self._draw.text(x + w / 2, y + h / 2, "No data", anchor="middle", fill="#6e7077")
            return
        name, points = found[-1]
        value = points[-1][1]
        words = (
            name
            if panel["options"]["textMode"] == "name"
            else word_for(value, defaults) or with_unit(value, defaults["unit"])
        )
        if panel["options"]["graphMode"] == "area" and len(points) > 1:
            low, high = min(v for _, v in points), max(v for _, v in points)
            span = (high - low) or 1.0
            spark = [(self._at(at, x, w), y + h - (v - low) / span * h * 0.35) for at, v in points]
            self._draw.line(spark, colour_of(value, defaults), fill_to=y + h)
        self._draw.text(
            x + w / 2, y + h * 0.55, words, size=24, anchor="middle", fill=colour_of(value, defaults)
        )

    def _graph(self, panel: dict[str, Any], x: float, y: float, w: float, h: float) -> None:
        found = self._all(panel)
        defaults = panel["fieldConfig"]["defaults"]
        values = [value for _, points in found for _, value in points]
        if not values:
            self._draw.text(x + w / 2, y + h / 2, "No data", anchor="middle", fill="#6e7077")
            return
        stacked = "stacking" in defaults["custom"]
        if stacked:
            found = _stack(found)
            values = [value for _, points in found for _, value in points]
        low = 0.0 if stacked else min(*values, defaults.get("min", values[0]))
        high = max(*values, defaults.get("max", values[0]))
        high = high if high > low else low + 1.0
        left, bottom = x + 48, y + h - 18
        for tick in range(4):
            level = low + (high - low) * tick / 3
            ty = bottom - (bottom - y - 4) * tick / 3
            self._draw.box(left, ty, x + w - left, 0.5, "#2f3237")
            self._draw.text(
                left - 5, ty + 4, with_unit(level, defaults["unit"]), size=9, anchor="end", fill="#8e8e99"
            )
        for number, (_, points) in enumerate(found):
            drawn = [
                (self._at(at, left, x + w - left), bottom - (value - low) / (high - low) * (bottom - y - 4))
                for at, value in points
            ]
            for piece in _pieces(drawn, 4 * (x + w - left) / POINTS):
                self._draw.line(piece, COLOURS[number % len(COLOURS)], fill_to=bottom if stacked else None)
        self._legend([name for name, _ in found], x, y + h - 3, w)

    def _legend(self, names: list[str], x: float, y: float, w: float) -> None:
        at = x
        for number, name in enumerate(names):
            width = 6.0 * len(name) + 22
            if at + width > x + w:
                self._draw.text(at, y, f"+{len(names) - number}", size=9, fill="#8e8e99")
                return
            self._draw.box(at, y - 7, 10, 4, COLOURS[number % len(COLOURS)])
            self._draw.text(at + 14, y - 1, name, size=9)
            at += width

    def _states(self, panel: dict[str, Any], x: float, y: float, w: float, h: float) -> None:
        found = self._all(panel)
        if not found:
            return
        defaults = panel["fieldConfig"]["defaults"]
        height = h / len(found)
        left = x + 110
        for number, (name, points) in enumerate(found):
            top = y + number * height
            self._draw.text(left - 6, top + height / 2 + 4, name, size=9, anchor="end")
            fixed = _fixed(panel, name)
            for begin, end, value in _runs(points, self._source.step):
                begins, ends = (self._at(at, left, x + w - left) for at in (begin, end))
                self._draw.box(
                    begins,
                    top + 1,
                    ends - begins,
                    height - 2,
                    fixed or colour_of(value, defaults),
                    opacity=0.75,
                )

    def _heat(self, panel: dict[str, Any], x: float, y: float, w: float, h: float) -> None:
        found = {float(name): dict(points) for name, points in self._all(panel)}
        bounds = sorted(found)
        moments = sorted({at for points in found.values() for at in points})
        left = x + 48
        cells = []
        for row, bound in enumerate(bounds):
            below = found[bounds[row - 1]] if row else {}
            cells += [(at, row, found[bound].get(at, 0) - below.get(at, 0)) for at in moments]
        most = max((count for _, _, count in cells), default=0) or 1
        height = h / max(1, len(bounds))
        for at, row, count in cells:
            if count > 0:
                top = y + h - (row + 1) * height
                self._draw.box(
                    self._at(at, left, x + w - left),
                    top,
                    (x + w - left) / POINTS + 0.4,
                    height - 0.5,
                    "#ff9830",
                    opacity=0.15 + 0.85 * (count / most) ** 0.5,
                )
        for row, bound in enumerate(bounds):
            if row % 3 == 0:
                words = "+Inf" if bound == float("inf") else with_unit(bound, "s")
                self._draw.text(
                    left - 5, y + h - row * height - 3, words, size=9, anchor="end", fill="#8e8e99"
                )

    def _table(self, panel: dict[str, Any], x: float, y: float, w: float, h: float) -> None:
        names = panel["transformations"][0]["options"]["renameByName"]
        rows = [row for target in panel["targets"] for row in self._source.rows(target)]
        width = w / len(names)
        for column, name in enumerate(names.values()):
            self._draw.text(x + column * width, y + 14, name, size=10, fill="#6e9fff")
        for number, row in enumerate(rows[: int(h // 20) - 1]):
            for column, label in enumerate(names):
                self._draw.text(
                    x + column * width, y + 34 + 20 * number, row.get(label, "")[: int(width / 5.6)], size=10
                )


def _stack(found: list[Series]) -> list[Series]:
    below: dict[float, float] = {}
    stacked = []
    for name, points in found:
        raised = [(at, value + below.get(at, 0.0)) for at, value in points]
        below |= dict(raised)
        stacked.append((name, raised))
    return stacked


def _fixed(panel: dict[str, Any], name: str) -> str:
    """The colour that a panel gives a series whatever its value; "" for none."""
    config = panel["fieldConfig"]
    for override in config["overrides"]:
        if override["matcher"] == {"id": "byName", "options": name}:
            return NAMED[override["properties"][0]["value"]["fixedColor"]]
    colour = config["defaults"].get("color", {})
    return NAMED[colour["fixedColor"]] if colour.get("mode") == "fixed" else ""


def _runs(points: list[tuple[float, float]], step: float) -> list[tuple[float, float, float]]:
    """(begin, end, value) of each stretch of one value."""
    runs: list[tuple[float, float, float]] = []
    for at, value in points:
        if runs and runs[-1][2] == value and at - runs[-1][1] < 1.5 * step:
            runs[-1] = (runs[-1][0], at + step, value)
        else:
            runs.append((at, at + step, value))
    return runs


def _pieces(points: list[tuple[float, float]], gap: float) -> list[list[tuple[float, float]]]:
    """Runs of points without a hole wider than `gap`."""
    pieces: list[list[tuple[float, float]]] = []
    for point in points:
        if not pieces or point[0] - pieces[-1][-1][0] > gap:
            pieces.append([])
        pieces[-1].append(point)
    return pieces


def main() -> None:
    known = sorted(path.stem for path in FOLDER.glob("prometheus-*.json"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=known)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--ago", type=float, default=0.0, help="minutes before now at which the picture ends")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a variable; default: all"
    )
    words = parser.parse_args()
    variables = {"job": ".*", "instance": ".*", "camera": ".*", "feature": ".*", "__rate_interval": "1m"}
    variables |= dict(entry.split("=", 1) for entry in words.set)
    source = Prometheus(words.prometheus, variables, time.time() - 60 * words.ago, words.minutes)
    words.out.write_text(
        Preview(json.loads((FOLDER / f"{words.name}.json").read_text(encoding="utf-8")), source).render(),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
