"""Compares one feature around this hour in the reference with that of the last windows. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from agent.core.errors import ReferenceMismatch
from agent.core.kll import Sketch
from agent.core.nearest import unknown
from agent.drift.sketch import WindowSketch
from agent.references.stored import StoredReference

ITEMS = 64
"""Values kept of each sketch: an answer stays below 3 kB, ranks within 2 %."""


def compare_feature(
    stored: StoredReference | None,
    recent: Mapping[str, Any] | None,
    verdicts: Sequence[Mapping[str, Any]],
    feature: str,
) -> dict[str, Any]:
    """The two distributions as sketches (DataSketches' format, base64), the hours compared, the last verdict.

    `recent` and `verdicts` are as `VerdictHistory` gives them. `hours` are hours of day (UTC), empty where the
    reference has none; `start` and `end` are Unix times of what was seen lately. ReferenceMismatch where there is
    nothing to compare.
    """
    if stored is None or recent is None:
        missing = "reference" if stored is None else "judged window yet"
        raise ReferenceMismatch(f"there is no {missing}: nothing can be compared")
    reference, seen = stored.reference, WindowSketch.from_body(recent)
    if feature not in reference.origin.features:
        raise ReferenceMismatch(unknown("feature", feature, reference.origin.features))
    middle = (seen.start + seen.end) / 2
    number = reference.origin.features.index(feature)
    return {
        "feature": feature,
        "reference": stored.id,
        "provisional": reference.provisional,
        "hours": [] if reference.any_hour else sorted(reference.hours_around(middle)),
        "normal_kll": _text(reference.around(number, middle)),
        "recent_kll": _text(seen.sketches[number]),
        "start": seen.start,
        "end": seen.end,
        "verdict": dict(verdicts[-1]) if verdicts else None,
    }


def _text(sketch: Sketch) -> str:
    return base64.b64encode(sketch.compact(ITEMS).to_bytes()).decode()
