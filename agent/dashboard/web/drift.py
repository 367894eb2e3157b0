"""Drift of one camera for the page: a table of features by time, and the values of one feature then and now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from agent.core.errors import VedetteError
from agent.core.kll import Sketch
from agent.core.metrics.definition import NAMED_FEATURES, NEAR_LIMIT_RATIO
from agent.core.printable import printable, printable_lines
from agent.core.untrusted import BadInput, take_flag, take_list, take_object, take_text
from agent.dashboard.readings import NAME, SENTENCE, moment, name_of
from agent.dashboard.web.queries import Queries, QuerySpan

_RATIO = re.compile(r"drift_(?P<feature>\w+)_ratio")
_NOT_FEATURES = frozenset({"outlier", "recorded"})
SUMMARIES = frozenset({"drift_joint_ratio", "drift_classes_ratio"})
"""Ratios of all features together; they are sent where they change."""
MOST_FEATURES = 60
MOST_FIELDS = 200
MOST_COLUMNS = 96
RANKS = (0.1, 0.5, 0.9)
POINTS = 40
BELOW_LIMIT = NEAR_LIMIT_RATIO - 0.01
"""The most that a feature may be which a message leaves out."""
MOST_WORDS = 4000


def feature_of(field: str) -> str:
    """The feature whose drift a field is; "" where it is none. `drift_ratio` is that of the camera: "all".

    >>> feature_of("drift_brightness_ratio"), feature_of("drift_ratio"), feature_of("drift_outlier_ratio")
    ('brightness', 'all', '')
    """
    if field == "drift_ratio":
        return "all"
    found = _RATIO.fullmatch(field)
    return "" if found is None or found["feature"] in _NOT_FEATURES else found["feature"]


def heat_map(curves: Mapping[str, Any], start: float, end: float) -> dict[str, Any]:
    """`curves` of ratios in equal columns of time: for each feature the largest in each, None where nothing was sent.

    Features are sorted by their largest ratio, "all" first. A column is wider than the usual step from one window to
    the next: none is empty between two windows. A ratio that is far from its limit is sent every few windows alone
    (docs/wire.md): until then a value counts as unchanged if the other fields of that message show that.
    """
    columns = _columns(curves["times"], end - start)
    width = (end - start) / columns
    places = [min(columns - 1, max(0, int((at - start) / width))) for at in curves["times"]]
    bounds = _bounds(curves["series"], len(places))
    rows: dict[str, list[float | None]] = {}
    for field, values in curves["series"].items():
        cells: list[float | None] = [None] * columns
        held: float | None = None
        for place, value, bound in zip(places, values, bounds, strict=True):
            known = value if value is not None else _held(field, held, bound)
            held = held if value is None else value
            if known is not None:
                cells[place] = max(known, cells[place] or 0.0)
        if any(cell is not None for cell in cells):
            rows[feature_of(field)] = cells
    worst = sorted(rows, key=lambda name: (name != "all", -max(cell or 0.0 for cell in rows[name])))
    shown = worst[:MOST_FEATURES]
    return {"start": start, "width": width, "features": shown, "cells": [rows[name] for name in shown]}


def _bounds(series: Mapping[str, Sequence[float | None]], length: int) -> list[float | None]:
    """For each window what a feature that it leaves out may be at most; None where drift was not judged."""
    ratios = [values for field, values in series.items() if field != "drift_ratio" and field not in SUMMARIES]
    judged = series.get("drift_ratio") or [0.0] * length
    bounds: list[float | None] = []
    for at in range(length):
        named = [value for values in ratios if (value := values[at]) is not None]
        bounds.append(
            None if judged[at] is None else min(named) if len(named) >= NAMED_FEATURES else BELOW_LIMIT
        )
    return bounds


def _held(field: str, held: float | None, bound: float | None) -> float | None:
    """What a ratio is in a window that leaves it out: as it was sent last; None where it may be near its limit."""
    if held is None or bound is None or field == "drift_ratio":
        return None
    if field in SUMMARIES:
        return held
    return min(held, bound) if bound < NEAR_LIMIT_RATIO else None


def _columns(times: Sequence[float], length: float) -> int:
    """How many columns of `length` seconds hold a window each, with a quarter to spare for late ones."""
    if len(times) < 2:
        return MOST_COLUMNS
    step = max(float(np.median(np.diff(times))), 1e-3)
    return int(min(MOST_COLUMNS, max(1.0, length / (1.25 * step))))


def heat_map_of(queries: Queries, key: tuple[str, str, str], within: QuerySpan) -> dict[str, Any]:
    """`heat_map` of a camera in a range of its history."""
    fields = [name for name in queries.names(key, within) if feature_of(name)]
    return heat_map(queries.curves(key, fields[:MOST_FIELDS], within), within.start, within.end)


def features_in(bodies: Iterable[Mapping[str, Any]]) -> list[str]:
    """The features that messages of sketches hold."""
    return sorted({name[:-4] for body in bodies for name in body if name.endswith("_kll")})


def compare(
    before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], feature: str
) -> dict[str, Any]:
    """The values of a feature in two sets of messages, each merged: quantiles, and densities on one axis.

    Only messages of the same version of the features and of the same model as the last are merged.
    """
    last = (list(now) or list(before) or [{}])[-1]
    parts = [_merged(bodies, feature, last) for bodies in (before, now)]
    filled = [sketch for sketch in parts if sketch is not None and sketch.count]
    if not filled:
        return {"feature": feature, "axis": [], "parts": [None, None]}
    low = min(float(sketch.quantiles([0.002])[0]) for sketch in filled)
    high = max(float(sketch.quantiles([0.998])[0]) for sketch in filled)
    edges = np.linspace(low, high if high > low else low + 1.0, POINTS + 1)
    return {
        "feature": feature,
        "axis": ((edges[1:] + edges[:-1]) / 2).tolist(),
        "parts": [_part(sketch, edges) for sketch in parts],
    }


def compare_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    """`compare` of what a device answered to `drift_feature`, with the words of the verdict; raises VedetteError."""
    if answer.get("ok") is not True:
        raise VedetteError(printable(take_text(answer, "error", "no reason given"), SENTENCE))
    feature = printable(take_text(answer, "feature"), NAME)
    normal, recent = ({f"{feature}_kll": answer.get(f"{part}_kll")} for part in ("normal", "recent"))
    verdict = take_object(answer, "verdict", {}) if answer.get("verdict") is not None else {}
    hours = [
        hour for hour in take_list(answer, "hours", [], longest=2) if type(hour) is int and 0 <= hour < 24
    ]
    return compare([normal], [recent], feature) | {
        "hours": hours,
        "reference": name_of(answer, "reference"),
        "provisional": take_flag(answer, "provisional", False),
        "start": moment(answer, "start"),
        "end": moment(answer, "end"),
        "words": printable_lines(take_text(verdict, "words", ""), MOST_WORDS),
    }


def _merged(bodies: Iterable[Mapping[str, Any]], feature: str, like: Mapping[str, Any]) -> Sketch | None:
    merged: Sketch | None = None
    for body in bodies:
        if any(body.get(name) != like.get(name) for name in ("feature_version", "model_sha256")):
            continue
        try:
            sketch = Sketch.from_text(body.get(f"{feature}_kll"))
        except (ValueError, BadInput):
            continue
        if merged is None:
            merged = sketch
        else:
            merged.merge(sketch)
    return merged


def _part(sketch: Sketch | None, edges: np.ndarray[Any, Any]) -> dict[str, Any] | None:
    if sketch is None or not sketch.count:
        return None
    share = np.diff(sketch.cdf(edges))
    return {
        "count": sketch.count,
        "quantiles": [float(value) for value in sketch.quantiles(RANKS)],
        "share": [round(float(value), 5) for value in share],
    }
