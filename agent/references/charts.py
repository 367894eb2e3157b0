"""Pictures of references: each feature by hour with its limits, and what was seen lately against what is normal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.core.kll import Sketch
from agent.drift.calibrate import limits
from agent.drift.memory import SCALES
from agent.drift.reference import Reference
from agent.drift.sketch import WindowSketch
from agent.references.canvas import BLUE, GREY, PALE, RED, Canvas
from agent.references.offline.compare import distances

_RANKS = (0.01, 0.1, 0.5, 0.9, 0.99)
_SCALE = 2  # of SCALES: sixteen windows
_STEPS = np.linspace(0.0, 1.0, 101)


def draw_reference(reference: Reference, folder: Path, budget: float = 1.0) -> list[Path]:
    """A picture per feature in `folder`: its distribution by hour of day and how far its median may go."""
    allowed = limits(reference.calibration, budget, reference.origin.window_seconds)
    usual = reference.calibration.distances[0, _SCALE]
    made = []
    for number, name in enumerate(reference.origin.features):
        hours = {
            hour: normal.sketches[number]
            for hour, normal in sorted(reference.hours.items())
            if normal.sketches[number].count
        }
        if hours:
            share = float(usual[number] * allowed.of("ks")[number])
            canvas = _by_hour(reference, name, hours, share)
            made.append(canvas.save(folder / f"{name}.png"))
    return made


def _by_hour(reference: Reference, name: str, hours: dict[int, Sketch], ks_limit: float) -> Canvas:
    x, table = _stretched(hours, _RANKS, everywhere=reference.any_hour)
    low, high = table[:, 0].min(), table[:, -1].max()
    origin = reference.origin
    limit_note = (
        f"KS limit over {SCALES[_SCALE]} windows {ks_limit:.2f}"
        if ks_limit < 1
        else "KS not judged: too short"
    )
    canvas = Canvas(
        f"{name}, camera {origin.camera}, reference {reference.id}",
        f"hour of day (UTC); {origin.covered / 3600:.1f} h recorded; {limit_note}",
        (0.0, 24.0),
        (float(low), float(high)),
        x_step=3.0,
    )
    canvas.band(x, table[:, 0], table[:, 4], (244, 236, 226))
    canvas.band(x, table[:, 1], table[:, 3], PALE)
    canvas.line(x, table[:, 2], BLUE)
    legend = [("median", BLUE), ("p10-p90", PALE), ("p1-p99", (244, 236, 226))]
    if ks_limit < 0.5:
        _, bounds = _stretched(hours, (0.5 - ks_limit, 0.5 + ks_limit), everywhere=reference.any_hour)
        for column in bounds.T:
            canvas.line(x, column, RED, width=1)
        legend.append(("how far the median may go", RED))
    canvas.legend(legend)
    return canvas


def _stretched(
    hours: dict[int, Sketch], ranks: tuple[float, ...], *, everywhere: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quantiles drawn at the middle of each hour, the first and last to the edges of what they stand for."""
    table = np.array([sketch.quantiles(ranks) for sketch in hours.values()])
    x = np.array([hour + 0.5 for hour in hours])
    ends = (0.0, 24.0) if everywhere else (x[0] - 0.5, x[-1] + 0.5)
    return np.array([ends[0], *x, ends[1]]), np.concatenate((table[:1], table, table[-1:]))


def draw_explained(reference: Reference, seen: WindowSketch, folder: Path) -> list[Path]:
    """A picture per feature in `folder`: the distribution seen lately against that of the hours around then."""
    made = []
    for number, name in enumerate(reference.origin.features):
        normal, now = reference.around(number, (seen.start + seen.end) / 2), seen.sketches[number]
        if normal.count and now.count:
            made.append(_distributions(reference, name, normal, now, seen).save(folder / f"{name}.png"))
    return made


def _distributions(
    reference: Reference, name: str, normal: Sketch, now: Sketch, seen: WindowSketch
) -> Canvas:
    curves = [np.asarray(sketch.quantiles(_STEPS)) for sketch in (normal, now)]
    ks, psi = distances(normal, now)
    span = float(min(curve[0] for curve in curves)), float(max(curve[-1] for curve in curves))
    canvas = Canvas(
        f"{name}, camera {reference.origin.camera}: KS {ks:.2f}, PSI {psi:.2f}",
        f"share of frames up to a value; {seen.frames} frames seen lately, reference {reference.id}",
        span,
        (0.0, 1.0),
    )
    for curve, colour in zip(curves, (BLUE, RED), strict=True):
        canvas.line(curve, _STEPS, colour)
    for rank in (0.1, 0.5, 0.9):
        canvas.line(np.array(span), np.array([rank, rank]), GREY, width=1)
    canvas.legend([("normal at this hour", BLUE), ("seen lately", RED), ("p10, p50, p90", GREY)])
    return canvas
