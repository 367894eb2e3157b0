"""The drift of a camera over time as an SVG file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 200, 44, 24, 26
_GAP_SECONDS = 3 * 3600.0  # no line is drawn across hours without a verdict
_DAY = 86400.0


def drift_chart(title: str, points: Sequence[tuple[float, float]], alarms: Sequence[float]) -> str:
    """`points` are (Unix time, drift ratio), oldest first; 1 is the limit. `alarms` are when one was fired."""
    first, last = points[0][0], max(points[-1][0], points[0][0] + 3600.0)
    top = max(1.25, *(value for _, value in points)) * 1.05

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - 8) * (at - first) / (last - first)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * max(0.0, value) / top

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="16" font-size="13" fill="#222222">{escape(title)}</text>',
        f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{y(1):.1f}" y2="{y(1):.1f}" stroke="#c62828" stroke-dasharray="5 4"/>',
        f'<text x="{LEFT - 6}" y="{y(1) + 4:.1f}" text-anchor="end" fill="#c62828">limit</text>',
        f'<text x="{LEFT - 6}" y="{y(0) + 4:.1f}" text-anchor="end" fill="#555555">0</text>',
        f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{y(0):.1f}" y2="{y(0):.1f}" stroke="#bbbbbb"/>',
    ]
    step = _DAY * max(1, round((last - first) / _DAY / 8))
    marks = [first + (-first) % step + number * step for number in range(int((last - first) / step) + 1)]
    for at in [mark for mark in marks if mark <= last] or [first]:
        shown = datetime.fromtimestamp(at, timezone.utc)
        parts.append(
            f'<text x="{x(at):.1f}" y="{HEIGHT - 8}" text-anchor="middle" fill="#555555">{shown:%Y-%m-%d}</text>'
        )
    for run in _runs(points):
        line = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in run)
        parts.append(f'<polyline points="{line}" fill="none" stroke="#1565c0" stroke-width="1.5"/>')
    parts += [
        f'<circle cx="{x(at):.1f}" cy="{y(1):.1f}" r="4" fill="#c62828"/>'
        for at in alarms
        if first <= at <= last
    ]
    return "\n".join([*parts, "</svg>\n"])


def _runs(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """The points in stretches without a gap."""
    runs: list[list[tuple[float, float]]] = []
    for point in points:
        if not runs or point[0] - runs[-1][-1][0] > _GAP_SECONDS:
            runs.append([])
        runs[-1].append(point)
    return runs
