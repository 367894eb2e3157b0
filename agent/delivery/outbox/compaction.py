"""Merging the messages of several windows into one of a longer window, exactly. Pure.

How the numbers of a field are merged its metric says (`agent.core.metrics`); besides that

    start / end                     first / last moment
    merged                          how many messages this one stands for: adds
    <stem>_kll                      merge the sketches
    <stem>_p50_seconds, _p90_ ...   quantile of the merged sketch of <stem>; null where there is none
    all that is no number           the last one

Percentiles are never averaged: that gives a number which is the percentile of nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.core.errors import PermanentDelivery
from agent.core.kll import Sketch
from agent.core.metrics.catalogue import merge_of
from agent.core.metrics.definition import Merge
from agent.core.untrusted import parse_object
from agent.delivery.messages import short, to_json, unix_time
from agent.delivery.outbox.rows import (
    OutboxRow,
    pack,
    pack_sketches,
    unpack,
    unpack_held,
    unpack_sketches,
)

Body = dict[str, Any]

MEASURED_DIGITS = 5
"""Of a mean or quantile of several windows: as many as a window's own figures have."""

_QUANTILE = re.compile(r"(?P<stem>\w+?)_p(?P<digits>\d{2,4})(_[a-z]+)?")

_WHOLE: Mapping[Merge, Callable[[list[float]], float]] = {
    Merge.SUM: sum,
    Merge.LARGEST: max,
    Merge.SMALLEST: min,
}
_COUNTED: Mapping[Merge, str] = {
    Merge.MEAN_OVER_FRAMES: "frames_inferred",
    Merge.MEAN_OVER_DETECTIONS: "detections",
    Merge.MEAN_OVER_SAMPLES: "feature_samples",
}
"""The field of the same window that a mean is weighted by."""


def merge_rows(rows: Sequence[OutboxRow], span: int) -> OutboxRow | None:
    """One row in place of `rows` (two or more, oldest first, of one bucket), with the id of the last.

    None where they cannot be one: damaged, or too large together.
    """
    try:
        bodies = [_whole_body(row) for row in rows]
        hidden = merge_sketches([unpack_sketches(row.sketches) for row in rows])
        body = merge_bodies(bodies, [row.window for row in rows], hidden)
        payload = to_json(body, rows[-1].topic)
        start = unix_time(str(body["start"])) if "start" in body else rows[0].start
    except (ValueError, KeyError, TypeError, AttributeError, PermanentDelivery):
        return None
    return replace(
        rows[-1],
        start=start,
        window=sum(row.window for row in rows),
        span=span,
        weight=sum(row.weight for row in rows),
        payload=pack(payload),
        sketches=pack_sketches({name: sketch.to_bytes() for name, sketch in hidden.items()}),
    )


def _whole_body(row: OutboxRow) -> Body:
    """What the row publishes, and what it left out: a longer window is made of all of it."""
    held = unpack_held(row.sketches)
    body: Body = {**parse_object(unpack(row.payload)), **held}
    return body | {"complete": True} if held else body


def merge_sketches(maps: Sequence[Mapping[str, bytes]]) -> dict[str, Sketch]:
    """The union of each named sketch; a name counts only where its sketches can all be read."""
    merged: dict[str, Sketch] = {}
    for blobs in maps:
        for name, blob in blobs.items():
            sketch = Sketch.from_bytes(blob)
            if name in merged:
                merged[name].merge(sketch)
            else:
                merged[name] = sketch
    return merged


def merge_bodies(bodies: Sequence[Body], seconds: Sequence[float], sketches: Mapping[str, Sketch]) -> Body:
    """One body for all: `seconds` is how long each covers, `sketches` what the quantiles are taken from."""
    names = dict.fromkeys(name for body in bodies for name in body)
    merged = {name: _merge_field(name, bodies, seconds, sketches) for name in names}
    merged["merged"] = sum(int(body.get("merged", 1)) for body in bodies)
    return merged


def _merge_field(
    name: str, bodies: Sequence[Body], seconds: Sequence[float], sketches: Mapping[str, Sketch]
) -> Any:
    pairs = zip(bodies, seconds, strict=True)
    present = [(body[name], body, length) for body, length in pairs if name in body]
    last = present[-1][0]
    if name == "start":
        return min(value for value, _, _ in present)
    if name == "end":
        return max(value for value, _, _ in present)
    if name.endswith("_kll"):
        return _merge_encoded([str(value) for value, _, _ in present])
    quantile = _QUANTILE.fullmatch(name)
    if quantile:
        return _quantile(sketches.get(quantile["stem"]), quantile["digits"])
    numbers = [entry for entry in present if _is_number(entry[0])]
    merge = merge_of(name)
    if not numbers or name == "seq" or merge is Merge.LAST or isinstance(last, (str, bool, dict, list)):
        return last
    return _merge_numbers(merge, numbers)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _merge_numbers(merge: Merge, numbers: Sequence[tuple[Any, Body, float]]) -> float:
    values: list[float] = [value for value, _, _ in numbers]
    if merge in _WHOLE:
        return _WHOLE[merge](values)
    return _mean(values, [_weight(merge, body, length) for _, body, length in numbers])


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    total = sum(weights)
    if total <= 0:
        weights, total = [1.0] * len(values), float(len(values))
    return _measured(sum(value * weight for value, weight in zip(values, weights, strict=True)) / total)


def _measured(value: float) -> float:
    """`value` with MEASURED_DIGITS, a large one whole.

    >>> _measured(0.09217562), _measured(12345.678), _measured(2.0)
    (0.092176, 12346, 2)
    """
    return round(value) if abs(value) >= 10**MEASURED_DIGITS else short(value, MEASURED_DIGITS)


def _weight(merge: Merge, body: Body, seconds: float) -> float:
    """What a mean is weighted by: what it counts where the body says so, else the time it covers."""
    counted = _COUNTED.get(merge, "")
    if counted and (counted in body or merge is not Merge.MEAN_OVER_FRAMES):
        return float(body.get(counted) or 0)
    return seconds


def _quantile(sketch: Sketch | None, digits: str) -> float | None:
    if sketch is None or not sketch.count:
        return None
    return _measured(float(sketch.quantiles([int(digits) / 10 ** len(digits)])[0]))


def _merge_encoded(texts: Sequence[str]) -> str:
    try:
        sketches = [Sketch.from_bytes(base64.b64decode(text, validate=True)) for text in texts]
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None
    for other in sketches[1:]:
        sketches[0].merge(other)
    return base64.b64encode(sketches[0].to_bytes()).decode()
