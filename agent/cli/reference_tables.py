"""References as tables for the terminal: one whole, one feature by hour, and two side by side."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from agent.alerts.words import duration, stamp
from agent.core.counts import figures
from agent.core.errors import ReferenceMismatch
from agent.core.nearest import unknown
from agent.core.terminal import console
from agent.drift.calibrate import limits
from agent.drift.memory import SCALES
from agent.drift.reference import Reference
from agent.references.offline.compare import compare
from agent.references.stored import StoredReference

BUDGET = 1.0
"""False alarms a month that the limits shown are for: the default."""


def show(stored: StoredReference) -> None:
    """What a reference is, and each feature with its limits."""
    reference, origin = stored.reference, stored.reference.origin
    allowed = limits(reference.calibration, BUDGET, origin.window_seconds)
    usual = reference.calibration.distances
    print(f"reference {stored.id} of camera {origin.camera}, made {stamp(origin.made_at)}")
    for line in _origin_lines(reference):
        print(f"  {line}")
    table = Table(box=None, pad_edge=False)
    for column in (
        "feature", "p10 / p50 / p90", "p50 by hour",
        f"KS limit {SCALES[0]}/{SCALES[-1]} windows", "PSI limit", "frames (0.1-99.9 %)",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column == "feature" else "right")
    for number, name in enumerate(origin.features):
        ks = usual[0, [0, -1], number] * allowed.of("ks")[number]
        psi = (usual[1, [0, -1], number] * allowed.of("psi")[number]) ** 2
        table.add_row(
            name,
            _three(reference.whole(name).quantiles([0.1, 0.5, 0.9])),
            _range(_medians(reference, number)),
            " / ".join(f"{value:.2f}" if value < 1 else "-" for value in ks),
            " / ".join(f"{value:.2f}" if k < 1 else "-" for value, k in zip(psi, ks, strict=True)),
            _range(np.array([stored.low[number], stored.high[number]])),
        )
    console().print(table)
    if (usual[0, 0] * allowed.of("ks") >= 1).any():
        print("-: no limit; with such a short reference only levels, spreads and steps are judged")


def show_feature(stored: StoredReference, feature: str) -> None:
    """One feature, hour by hour."""
    reference = stored.reference
    names = reference.origin.features
    if feature not in names:
        raise ReferenceMismatch(unknown("feature", feature, names))
    table = Table(box=None, pad_edge=False)
    for column in ("hour (UTC)", "p1", "p10", "p50", "p90", "p99", "values"):
        table.add_column(column, justify="right")
    for hour, normal in sorted(reference.hours.items()):
        sketch = normal.sketches[names.index(feature)]
        where = "any" if reference.any_hour else f"{hour:02d}-{(hour + 1) % 24:02d}"
        quantiles = sketch.quantiles([0.01, 0.1, 0.5, 0.9, 0.99])
        table.add_row(where, *map(figures, quantiles), str(sketch.count))
    console().print(table)


def diff(first_name: str, first: StoredReference, second_name: str, second: StoredReference) -> None:
    """Two references, the features that differ most first."""
    for name, stored in ((first_name, first), (second_name, second)):
        print(f"{name}: reference {stored.id} of camera {stored.reference.origin.camera}")
        for line in _origin_lines(stored.reference):
            print(f"  {line}")
    table = Table(box=None, pad_edge=False)
    for column in (
        "feature",
        "KS",
        "PSI",
        f"{first_name}: p10 / p50 / p90",
        f"{second_name}: p10 / p50 / p90",
    ):
        table.add_column(column, justify="left" if column == "feature" else "right")
    for row in compare(first.reference, second.reference):
        table.add_row(row.feature, f"{row.ks:.2f}", f"{row.psi:.2f}", _three(row.first), _three(row.second))
    console().print(table)


def _origin_lines(reference: Reference) -> list[str]:
    origin = reference.origin
    if reference.any_hour:
        how = "made of images: no hours, limits assumed"
    elif reference.carried:
        how = f"the reference before, as this model sees its kept frames: {len(reference.hours)} of 24 hours"
    else:
        how = (
            f"recorded {stamp(origin.start)} to {stamp(origin.end)}, {duration(origin.covered)} of windows in "
            f"{len(reference.hours)} of 24 hours"
        )
    learnt = reference.calibration.blocks
    how += (
        f", limits learnt from {learnt} hours" if learnt else "" if reference.any_hour else ", limits assumed"
    )
    return [
        how + ("; provisional" if reference.provisional else ""),
        f"model {origin.model_sha256[:12]}, features {origin.feature_version}, windows of {origin.window_seconds:g} s",
    ]


def _medians(reference: Reference, number: int) -> np.ndarray:
    return np.array([normal.sketches[number].quantiles([0.5])[0] for normal in reference.hours.values()])


def _three(values: np.ndarray) -> str:
    return " / ".join(figures(value) if np.isfinite(value) else "-" for value in values)


def _range(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return f"{figures(known.min())} to {figures(known.max())}" if known.size else "-"
