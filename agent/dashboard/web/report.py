"""One self-contained HTML page about a camera, a device or an alert: words, image, curves, drift, alerts with runbooks.

It loads nothing and runs nothing, so it can be mailed. All text is escaped. Pure: values in, text out.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from agent.alerts.words import stamp
from agent.core.errors import VedetteError
from agent.core.printable import printable
from agent.dashboard.readings import moment

Row = Mapping[str, Any]
WIDTH, HEIGHT = 860.0, 150.0
LEFT = 60.0
_COLOURS = ("#2f66dd", "#b86e00", "#0f8a63")
_DASHES = ("", "6 3", "2 3")
_HEAT = ("#e6edf3", "#c3dde2", "#8cc3c0", "#d9c46a", "#d9761f", "#b3261e")
_NOTHING = "<p>There are no records of this time.</p>"
LARGEST_IMAGE = 1_000_000
_STYLE = """
body{font:14px/1.5 system-ui,sans-serif;color:#16202b;max-width:920px;margin:32px auto;padding:0 16px}
h1{font-size:24px;margin:0}h2{font-size:16px;margin:28px 0 8px}h3{font-size:14px;margin:16px 0 2px}
.muted,small{color:#556373}
table{border-collapse:collapse}td,th{text-align:left;padding:3px 14px 3px 0;vertical-align:top}
.alert{border:1px solid #d9e0e8;border-left:4px solid #b86e00;border-radius:8px;padding:10px 14px;margin:10px 0}
pre{white-space:pre-wrap;background:#f5f7fa;padding:10px;border-radius:6px;font-size:12.5px}
svg,img{display:block;max-width:100%}td{overflow-wrap:anywhere}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A drawing: for each label a value at each of `times` (None: not known); times `factor` it is in `unit`."""

    title: str
    times: Sequence[float]
    lines: Mapping[str, Sequence[float | None]]
    factor: float = 1.0
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a report is made of; `alerts` come with the text of their runbooks, `heat` is None where nothing can drift.

    `words` are names and values; `image` is a JPEG of the last frame, `image_note` what it is or why there is none.
    """

    title: str
    start: float
    end: float
    words: Sequence[tuple[str, str]]
    curves: Sequence[Curve]
    states: Sequence[Row]
    heat: Row | None
    marks: Sequence[Row]
    alerts: Sequence[tuple[Row, str]]
    image: bytes = b""
    image_note: str = ""


def report_page(contents: Contents) -> str:
    """The page."""
    title, start, end = contents.title, contents.start, contents.end
    changed = [(stamp(row["at"]), row["entity"], row["kind"], row["text"]) for row in contents.marks]
    sections = [
        f"<h1>{escape(title)}</h1><p class=muted>{stamp(start)} to {stamp(end)}</p>",
        "<h2>Alerts</h2>" + ("".join(map(_alert, contents.alerts)) or "<p>No alerts in this time.</p>"),
        f"<h2>At the end</h2>{_table((), contents.words)}" if contents.words else "",
        _image(contents.image, contents.image_note),
        "<h2>States</h2>"
        + _table(("since", "state"), [(stamp(row["at"]), row["text"]) for row in contents.states]),
        "<h2>Curves</h2>" + ("".join(_curve(curve, contents) for curve in contents.curves) or _NOTHING),
        ""
        if contents.heat is None
        else f"<h2>Drift: ratio to the limit, by feature</h2>{_heat_map(contents.heat)}",
        "<h2>What changed on the device</h2>"
        + (_table(("time", "of", "what", ""), changed) if changed else "<p>No changes in this time.</p>"),
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=Content-Security-Policy content="{policy}">'
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><body>{''.join(sections)}</body></html>\n"
    )


def _image(image: bytes, note: str) -> str:
    if not image and not note:
        return ""
    shown = f'<img alt="" src="data:image/jpeg;base64,{b64encode(image).decode()}">' if image else ""
    return f"<h2>Last frame</h2>{shown}<p class=muted>{escape(note)}</p>"


def checked_jpeg(data: bytes) -> bytes:
    """`data`, which is a JPEG file of 1 MB at most; raises VedetteError."""
    if not data.startswith(b"\xff\xd8\xff") or len(data) > LARGEST_IMAGE:
        raise VedetteError(f"this is not a JPEG image of {LARGEST_IMAGE // 1_000_000} MB at most")
    return data


def snapshot_of(answer: Row) -> dict[str, Any]:
    """Image and note of a report from the answer to `snapshot`; raises VedetteError with the reason."""
    text = answer.get("jpeg")
    if answer.get("ok") is not True or not isinstance(text, str):
        raise VedetteError(printable(answer.get("error") or "no image came", 300))
    try:
        image = checked_jpeg(b64decode(text, validate=True))
    except ValueError:
        raise VedetteError("what came is not an image") from None
    at = moment(answer, "captured_at")
    return {"image": image, "image_note": f"captured at {stamp(at)}" if at is not None else ""}


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return _NOTHING
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{body}</table>"


def _alert(found: tuple[Row, str]) -> str:
    alert, runbook = found
    named = [(name, alert.get(name)) for name in ("expected", "value", "window", "advice")]
    facts = [(name, value) for name, value in named if value not in {None, ""}]
    facts += [("first seen", stamp(alert["first_seen"])), ("changed", stamp(alert["changed_at"]))]
    facts += list(alert.get("evidence", {}).items())
    heading = f"{alert.get('severity', '')} ({alert['state']}): {alert.get('what', '')}"
    page = f"<details><summary>Runbook</summary><pre>{escape(runbook)}</pre></details>" if runbook else ""
    return f"<div class=alert><b>{escape(heading)}</b>{_table(('', ''), facts)}{page}</div>"


def _curve(curve: Curve, contents: Contents) -> str:
    start, end, factor, unit = contents.start, contents.end, curve.factor, curve.unit
    values = [value * factor for line in curve.lines.values() for value in line if value is not None]
    if not values:
        return ""
    top = max(*values, 0.0) * 1.05 or 1.0
    drawn, legend = [], []
    for place, (label, line) in enumerate(curve.lines.items()):
        points = [
            f"{LEFT + (at - start) / (end - start) * (WIDTH - LEFT):.1f},"
            f"{HEIGHT - 20 - value * factor / top * (HEIGHT - 30):.1f}"
            for at, value in zip(curve.times, line, strict=False)
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
    axis += "".join(
        f'<text x="{x}" y="{HEIGHT - 5}" font-size="11" text-anchor="{anchor}" fill="#556373">{stamp(at)}</text>'
        for x, anchor, at in ((LEFT, "start", start), (WIDTH, "end", end))
    ) + _mark_lines(contents)
    svg = f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" width="{WIDTH:.0f}" role="img">{axis}{"".join(drawn)}</svg>'
    return f"<h3>{escape(curve.title)}</h3><small>{' &nbsp; '.join(legend)}</small>{svg}"


def _mark_lines(contents: Contents) -> str:
    """Restarts, reloads, models and the like as lines on a curve; each says what it is."""
    start, end = contents.start, contents.end
    return "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{HEIGHT - 20}" stroke="#6b7a8c" stroke-dasharray="3 3">'
        f"<title>{escape(str(mark['kind']))}: {escape(str(mark['text']))}, {stamp(mark['at'])}</title></line>"
        for mark in contents.marks
        if mark["kind"] != "state" and not mark["entity"].startswith("camera/")
        for x in [LEFT + (mark["at"] - start) / (end - start) * (WIDTH - LEFT)]
    )


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
    shades = ("below 0.25", "0.5", "0.75", "1", "2", "2 and more")
    key = "".join(
        f'<span style="border-left:14px solid {colour};padding:0 10px 0 5px">{text}</span>'
        for colour, text in zip(_HEAT, shades, strict=True)
    )
    return f"<table>{''.join(rows)}</table><small>{key}</small>"


def _step(ratio: float) -> int:
    return sum(ratio >= limit for limit in (0.25, 0.5, 0.75, 1.0, 2.0))
