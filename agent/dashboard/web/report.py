"""One self-contained HTML page about a camera in a range of time: curves, states, drift, alerts with their runbooks.

It loads nothing and runs nothing, so it can be mailed. All text is escaped. Pure: values in, text out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from agent.alerts.words import stamp

Row = Mapping[str, Any]
WIDTH, HEIGHT = 860.0, 150.0
LEFT = 60.0
CURVES: Sequence[tuple[str, Sequence[tuple[str, str]], float, str]] = (
    ("Frames a second", (("fps_in", "camera"), ("fps_inferred", "model")), 1.0, ""),
    ("Capture to result", (("latency_p50_seconds", "median"), ("latency_p99_seconds", "p99")), 1000.0, " ms"),
    ("Frames", (("frames_dropped", "dropped"), ("frames_failed", "failed")), 1.0, ""),
    ("Boxes a frame", (("detections_per_frame", "boxes"),), 1.0, ""),
    ("Drift over its limit", (("drift_ratio", "worst feature"),), 1.0, ""),
)
"""Title, (field, label) of each line, factor and unit."""
_COLOURS = ("#2f66dd", "#b86e00", "#0f8a63")
_DASHES = ("", "6 3", "2 3")
_HEAT = ("#e6edf3", "#c3dde2", "#8cc3c0", "#d9c46a", "#d9761f", "#b3261e")
_STYLE = """
body{font:14px/1.5 system-ui,sans-serif;color:#16202b;max-width:920px;margin:32px auto;padding:0 16px}
h1{font-size:24px;margin:0}h2{font-size:16px;margin:28px 0 8px}h3{font-size:14px;margin:16px 0 2px}
.muted,small{color:#556373}
table{border-collapse:collapse}td,th{text-align:left;padding:3px 14px 3px 0;vertical-align:top}
.alert{border:1px solid #d9e0e8;border-left:4px solid #b86e00;border-radius:8px;padding:10px 14px;margin:10px 0}
pre{white-space:pre-wrap;background:#f5f7fa;padding:10px;border-radius:6px;font-size:12.5px}
svg{display:block;max-width:100%}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a report is made of; `alerts` come with the text of their runbooks, the rest is as `Queries` gives it."""

    title: str
    start: float
    end: float
    curves: Row
    states: Sequence[Row]
    heat: Row
    marks: Sequence[Row]
    alerts: Sequence[tuple[Row, str]]


def report_page(contents: Contents) -> str:
    """The page."""
    title, start, end = contents.title, contents.start, contents.end
    changed = [(stamp(row["at"]), row["entity"], row["kind"], row["text"]) for row in contents.marks]
    sections = [
        f"<h1>{escape(title)}</h1><p class=muted>{stamp(start)} to {stamp(end)}</p>",
        "<h2>Alerts</h2>" + ("".join(map(_alert, contents.alerts)) or "<p>No alert in this time.</p>"),
        "<h2>States</h2>"
        + _table(("since", "state"), [(stamp(row["at"]), row["text"]) for row in contents.states]),
        "<h2>Curves</h2>" + "".join(_curve(contents, *curve) for curve in CURVES),
        "<h2>Drift: the largest ratio to the limit, by feature</h2>" + _heat_map(contents.heat),
        "<h2>What changed on the device</h2>" + _table(("time", "of", "what", ""), changed),
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=Content-Security-Policy content="{policy}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><body>{''.join(sections)}</body></html>\n"
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return "<p>Nothing is known of this time.</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _alert(found: tuple[Row, str]) -> str:
    alert, runbook = found
    named = [(name, alert.get(name)) for name in ("expected", "value", "window", "advice")]
    facts = [(name, value) for name, value in named if value not in {None, ""}]
    facts += [("first seen", stamp(alert["first_seen"])), ("changed", stamp(alert["changed_at"]))]
    facts += list(alert.get("evidence", {}).items())
    heading = f"{alert.get('severity', '')} ({alert['state']}): {alert.get('what', '')}"
    page = f"<details><summary>Runbook</summary><pre>{escape(runbook)}</pre></details>" if runbook else ""
    return f"<div class=alert><b>{escape(heading)}</b>{_table(('', ''), facts)}{page}</div>"


def _curve(contents: Contents, title: str, lines: Sequence[tuple[str, str]], factor: float, unit: str) -> str:
    curves, start, end = contents.curves, contents.start, contents.end
    known = [(label, curves["series"].get(field, ())) for field, label in lines]
    values = [value * factor for _, line in known for value in line if value is not None]
    if not values:
        return ""
    top = max(*values, 0.0) * 1.05 or 1.0
    drawn, legend = [], []
    for place, (label, line) in enumerate(known):
        points = [
            f"{LEFT + (at - start) / (end - start) * (WIDTH - LEFT):.1f},"
            f"{HEIGHT - 20 - value * factor / top * (HEIGHT - 30):.1f}"
            for at, value in zip(curves["times"], line, strict=False)
            if value is not None
        ]
        if points:
            drawn.append(
                f'<polyline fill="none" stroke="{_COLOURS[place]}" stroke-width="1.6" '
                f'stroke-dasharray="{_DASHES[place]}" points="{" ".join(points)}"/>'
            )
            legend.append(f'<span style="color:{_COLOURS[place]}">■</span> {escape(label)}')
    axis = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y}" y2="{y}" stroke="#d9e0e8"/>'
        f'<text x="{LEFT - 6}" y="{y + 4}" font-size="11" text-anchor="end" fill="#556373">{text}</text>'
        for y, text in ((HEIGHT - 20, "0"), (HEIGHT - 20 - (HEIGHT - 30) / 1.05, f"{top / 1.05:.4g}{unit}"))
    )
    svg = f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" width="{WIDTH:.0f}" role="img">{axis}{"".join(drawn)}</svg>'
    return f"<h3>{escape(title)}</h3><small>{' &nbsp; '.join(legend)}</small>{svg}"


def _heat_map(heat: Row) -> str:
    if not heat["features"]:
        return "<p>No drift was judged in this time.</p>"
    width = 600 / len(heat["cells"][0])
    rows = []
    for name, cells in zip(heat["features"], heat["cells"], strict=True):
        rects = "".join(
            f'<rect x="{place * width:.1f}" width="{width + 0.3:.1f}" height="16" fill="{_HEAT[_step(cell)]}"/>'
            for place, cell in enumerate(cells)
            if cell is not None
        )
        largest = max(cell for cell in cells if cell is not None)
        label = "worst feature" if name == "all" else name.replace("_", " ")
        svg = f'<svg viewBox="0 0 600 16" width="600">{rects}</svg>'
        rows.append(f"<tr><td>{escape(label)}<td>{svg}<td><b>{largest:.2f}</b>")
    return f"<table>{''.join(rows)}</table>"


def _step(ratio: float) -> int:
    return sum(ratio >= limit for limit in (0.25, 0.5, 0.75, 1.0, 2.0))
