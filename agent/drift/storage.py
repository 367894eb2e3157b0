"""References as JSON text, and back; whatever cannot be read is refused with clear words."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import ReferenceMismatch
from agent.core.kll import Sketch
from agent.core.printable import printable
from agent.core.untrusted import (
    BadInput,
    parse_json,
    take_flag,
    take_integer,
    take_list,
    take_number,
    take_object,
    take_text,
)
from agent.drift.calibrate import Calibration, factors_of
from agent.drift.class_mix import MOST_CLASSES as MOST_JUDGED
from agent.drift.class_mix import ClassMix
from agent.drift.contexts import HOURS
from agent.drift.evidence import ASPECTS, Usual
from agent.drift.excursions import MOST_KEPT, Excursions, no_excursions
from agent.drift.memory import AGES, SCALES
from agent.drift.noise import DECAYS
from agent.drift.reference import HourNormal, Origin, Reference
from agent.drift.refine import UNBOUNDED, Refinement, nothing_learnt
from agent.drift.sketch import FEATURE_NAME, LATEST, MOST_FEATURES
from agent.drift.statistics import IN_VERDICT, STATISTICS
from agent.drift.tail import Tail

FORMAT = "vedette-reference"
_CHECKSUM = "checksum"
VERSION = 2
READ_VERSIONS = (1, 2)
"""1: before windows were bounded as a whole and common factors taken out of them."""

LARGEST_BYTES = 16 * 1024 * 1024
"""Of a reference that is still read: one has a quarter of a megabyte."""

# What a number in a reference can be at most. A feature is a float32; what is made of it stays far within a float64.
HUGE, _TINY = 1e30, 1e-30
_LARGEST_LOG = 200.0
_DAY = 86_400.0
LONGEST_WINDOW = 604_800.0
MOST_CLASSES = 1_000_000
MOST_COUNT = 2**53
_MOST_WINDOWS = 10**9
_LONGEST_WORD = 128
_DEEPEST = 8


def to_json(reference: Reference) -> str:
    """The reference as one JSON object (for 20 features and 24 hours about 220 kB)."""
    return sealed(body_of(reference))


def body_of(reference: Reference) -> dict[str, Any]:
    """What `to_json` writes, as JSON values and without a checksum."""
    calibration = reference.calibration
    return {
        "format": FORMAT,
        "version": VERSION,
        "origin": asdict(reference.origin),
        "any_hour": reference.any_hour,
        "class_ids": list(reference.class_ids),
        "usual_boxes": reference.usual_boxes,
        "usual": {
            "frames": reference.usual.frames,
            "counts": numbers(reference.usual.counts),
            "steps": numbers(reference.usual.steps),
        },
        "hours": {str(hour): _hour_body(normal) for hour, normal in sorted(reference.hours.items())},
        "calibration": {
            **{name: numbers(getattr(calibration, name)) for name in _SHAPES if name != "distances"},
            **{name: numbers(getattr(calibration.refinement, name)) for name in _REFINEMENT_SHAPES},
            "bound": calibration.refinement.bound,
            "factors": calibration.refinement.factors,
            **_distances_body(calibration),
            "tails": {name: [tail.stretch for tail in tails] for name, tails in calibration.tails.items()},
            **({"mix": _mix_body(calibration.mix)} if calibration.mix else {}),
            "excursions": {
                "count": len(calibration.excursions.spans),
                "directions": numbers(calibration.excursions.directions),
                "spans": numbers(calibration.excursions.spans),
            },
            "longest": calibration.longest,
            "windows": calibration.windows,
            "blocks": calibration.blocks,
        },
    }


def _mix_body(mix: ClassMix) -> dict[str, Any]:
    """How the class mix is judged as evidence; earlier versions have none."""
    return {
        "judged": list(mix.judged),
        **{name: numbers(getattr(mix, name)) for name in ("overdispersion", "unit", "noise", "size")},
    }


def _distances_body(calibration: Calibration) -> dict[str, Any]:
    """Usual sizes of statistics: those of IN_VERDICT in one array, as all versions read it, others by name."""
    by_name = dict(zip(STATISTICS, calibration.distances, strict=True))
    others = {
        name: numbers(usual)
        for name, usual in by_name.items()
        if name not in IN_VERDICT and name in calibration.tails
    }
    return {"distances": numbers(np.stack([by_name[name] for name in IN_VERDICT])), "more_distances": others}


def sealed(body: Mapping[str, Any]) -> str:
    """`body` as JSON with a checksum over all of it, which `from_json` asks for; one that it had is replaced."""
    plain = {key: value for key, value in body.items() if key != _CHECKSUM}
    return _dumped({**plain, _CHECKSUM: _checksum(plain)})


def from_json(text: str | bytes) -> Reference:
    """The reference that `to_json` wrote; ReferenceMismatch for anything else, damaged, foreign or newer."""
    return from_body(opened(text))


def opened(text: str | bytes) -> dict[str, Any]:
    """The object in a reference's text, its checksum found right; ReferenceMismatch for anything else."""
    try:
        body = parse_json(text, largest=LARGEST_BYTES, deepest=_DEEPEST)
    except BadInput as error:
        raise ReferenceMismatch(
            f"not a reference: it is no JSON, or was cut off or damaged ({error})"
        ) from None
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise ReferenceMismatch("not a reference: the file is something else")
    if body.get("version") not in READ_VERSIONS:
        raise ReferenceMismatch(
            f"the reference has format version {printable(body.get('version'), 24)}, this agent reads "
            f"{READ_VERSIONS[0]} to {VERSION}: record a new one"
        )
    if body.pop(_CHECKSUM, None) != _checksum(body):
        raise ReferenceMismatch("the reference is damaged: its content does not fit its checksum")
    return body


def from_body(body: Mapping[str, Any]) -> Reference:
    """The reference in what `opened` gave: a checksum signs nothing, so every value is held to what one can be."""
    try:
        return _reference(body)
    except ValueError as error:
        raise ReferenceMismatch(f"the reference is damaged: {error}; record a new one") from None


def _dumped(body: Mapping[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_dumped(body).encode()).hexdigest()


def numbers(array: NDArray[Any]) -> str:
    """An array as base64 of little-endian float64."""
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f8").tobytes()).decode()


def array(
    body: Mapping[str, Any], name: str, shape: Sequence[int], *, low: float = -HUGE, high: float = HUGE,
    kind: str = "<f8", unknown: bool = False,
) -> NDArray[np.float64]:  # fmt: skip
    """The array at `name` as `numbers` wrote it, of `shape`, its values from `low` to `high`; else BadInput.

    `unknown` allows NaN.
    """
    size = math.prod(shape) * np.dtype(kind).itemsize
    text = take_text(body, name, longest=4 * (size // 3 + 1))
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput(f"`{name}` is no base64") from None
    if len(raw) != size:
        raise BadInput(f"`{name}` has {len(raw)} bytes; expected {size}")
    values = np.frombuffer(raw, dtype=kind).reshape(shape).astype(np.float64)
    known = values[~np.isnan(values)] if unknown else values
    if not ((known >= low) & (known <= high)).all():
        raise BadInput(f"`{name}` holds values that are not from {low:g} to {high:g}")
    return values


def _hour_body(normal: HourNormal) -> dict[str, Any]:
    return {
        "sketches": [base64.b64encode(sketch.to_bytes()).decode() for sketch in normal.sketches],
        "log_steps": numbers(normal.log_steps),
        "classes": numbers(normal.classes),
    }


_Shape = tuple[int | str, ...]
"""Sides of an array: F features, R common factors, C = F + R columns of evidence."""

_SHAPES: dict[str, _Shape] = {
    "noise": (len(ASPECTS), "C", DECAYS.size),
    "size": (len(ASPECTS), "C", AGES.size),
    "joint_mean": (AGES.size,),
    "joint_variance": (AGES.size,),
    "distances": (len(IN_VERDICT), SCALES.size, "F"),
    "classes": (2, SCALES.size),
}
_REFINEMENT_SHAPES: dict[str, _Shape] = {
    "offset": (len(ASPECTS), "F"),
    "most": (len(ASPECTS), "F"),
    "loud": (HOURS, len(ASPECTS), "F"),
    "unit": (len(ASPECTS), "F"),
    "loadings": (len(ASPECTS), "F", "R"),
}
_POSITIVE = ("loud", "unit", "noise", "size", "joint_mean", "joint_variance", "distances", "classes")


def _reference(body: Mapping[str, Any]) -> Reference:
    origin = _origin(take_object(body, "origin"))
    features, class_ids = len(origin.features), _class_ids(body)
    usual = take_object(body, "usual")
    return Reference(
        origin=origin,
        hours=_hours(body, features, len(class_ids)),
        class_ids=class_ids,
        usual=Usual(
            counts=array(usual, "counts", (features,), low=0.0),
            frames=take_number(usual, "frames", minimum=_TINY, maximum=HUGE),
            steps=array(usual, "steps", (features,)),
        ),
        usual_boxes=take_number(body, "usual_boxes", minimum=0.0, maximum=HUGE),
        calibration=_calibration(take_object(body, "calibration"), features, len(class_ids)),
        any_hour=take_flag(body, "any_hour"),
    )


def _origin(body: Mapping[str, Any]) -> Origin:
    return Origin(
        camera=_word(body, "camera"),
        model_sha256=_word(body, "model_sha256"),
        feature_version=_word(body, "feature_version"),
        made_how=_word(body, "made_how"),
        made_at=take_number(body, "made_at", minimum=0.0, maximum=LATEST),
        start=take_number(body, "start", minimum=0.0, maximum=LATEST),
        end=take_number(body, "end", minimum=0.0, maximum=LATEST),
        features=features_of(body),
        covered=take_number(body, "covered", minimum=0.0, maximum=LATEST),
        window_seconds=take_number(body, "window_seconds", minimum=_TINY, maximum=LONGEST_WINDOW),
        utc_offset=take_number(body, "utc_offset", 0.0, minimum=-_DAY, maximum=_DAY),
    )


def _word(body: Mapping[str, Any], name: str) -> str:
    return printable(take_text(body, name, longest=_LONGEST_WORD))


def features_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the features of `body`; BadInput where one is none."""
    names = tuple(take_list(body, "features", longest=MOST_FEATURES))
    strange = [name for name in names if not (isinstance(name, str) and FEATURE_NAME.fullmatch(name))]
    if strange:
        raise BadInput(f"`features` holds '{printable(strange[0], 40)}', which is no feature's name")
    if not names or len(set(names)) != len(names):
        raise BadInput("`features` is empty, or names one twice")
    return names


def _class_ids(body: Mapping[str, Any]) -> tuple[int, ...]:
    numbers = take_list(body, "class_ids", longest=MOST_CLASSES)
    ids = tuple(
        take_integer({"class_ids": each}, "class_ids", minimum=0, maximum=MOST_CLASSES) for each in numbers
    )
    if len(set(ids)) != len(ids):
        raise BadInput("`class_ids` names a class twice")
    return ids


def _hours(body: Mapping[str, Any], features: int, classes: int) -> dict[int, HourNormal]:
    entries = take_object(body, "hours")
    known = {str(hour): hour for hour in range(HOURS)}
    if not entries or not set(entries) <= set(known):
        raise BadInput("`hours` holds no hours of the day, 0 to 23")
    return {known[hour]: _hour(take_object(entries, hour), features, classes) for hour in entries}


def _hour(entry: Mapping[str, Any], features: int, classes: int) -> HourNormal:
    return HourNormal(
        sketches=sketches_of(entry, features),
        log_steps=array(entry, "log_steps", (features,), low=-_LARGEST_LOG, high=_LARGEST_LOG, unknown=True),
        classes=array(entry, "classes", (classes,), low=0.0),
    )


def sketches_of(entry: Mapping[str, Any], features: int) -> tuple[Sketch, ...]:
    """The sketches of `entry`, one for each feature; BadInput where they are not as many or damaged."""
    texts = take_list(entry, "sketches", longest=MOST_FEATURES)
    if len(texts) != features:
        raise BadInput(f"`sketches` has {len(texts)} entries; expected {features}")
    return tuple(Sketch.from_text(text) for text in texts)


def _calibration(body: Mapping[str, Any], features: int, classes: int) -> Calibration:
    refinement = _refinement(body, features)
    factors = refinement.factors
    arrays = _arrays(body, _SHAPES, features, factors)
    tails, known = take_object(body, "tails"), _known_distances(body, arrays.pop("distances"))
    mix = _mix(take_object(body, "mix"), classes) if "mix" in body else None
    counts = dict.fromkeys((*ASPECTS, *known), features) | {"joint": 1, "classes": 1}
    if mix is not None:
        counts |= {"mix": len(mix.unit)}
    if "factors" in body:
        counts |= dict.fromkeys(map(factors_of, ASPECTS), factors)
    unknown = np.full((SCALES.size, features), np.nan)
    return Calibration(
        **arrays,
        refinement=refinement,
        distances=np.stack([known.get(name, unknown) for name in STATISTICS]),
        tails={
            name: _tails(tails, name, counts[name]) for name in sorted(counts, key=[*tails, *counts].index)
        }
        | {name: () for name in (*map(factors_of, ASPECTS), "mix") if name not in counts},
        mix=mix,
        excursions=_excursions(body, features + factors),
        longest=take_integer(body, "longest", minimum=0, maximum=_MOST_WINDOWS),
        windows=take_integer(body, "windows", minimum=0, maximum=_MOST_WINDOWS),
        blocks=take_integer(body, "blocks", minimum=0, maximum=_MOST_WINDOWS),
    )


def _mix(body: Mapping[str, Any], classes: int) -> ClassMix:
    places = take_list(body, "judged", longest=MOST_JUDGED)
    judged = tuple(
        take_integer({"judged": each}, "judged", minimum=0, maximum=max(classes - 1, 0)) for each in places
    )
    if len(set(judged)) != len(judged) or len(judged) > classes:
        raise BadInput("`judged` names a class twice, or one that the reference does not have")
    columns = len(judged) + 1
    return ClassMix(
        judged=judged,
        overdispersion=array(body, "overdispersion", (HOURS, 2), low=0.0),
        unit=array(body, "unit", (columns,), low=_TINY),
        noise=array(body, "noise", (1, columns, DECAYS.size), low=_TINY),
        size=array(body, "size", (1, columns, AGES.size), low=_TINY),
    )


def _refinement(body: Mapping[str, Any], features: int) -> Refinement:
    """Of version 1: windows are not bounded as a whole, and there are no common factors."""
    if "factors" not in body:
        known = {name: _REFINEMENT_SHAPES[name] for name in ("offset", "most", "loud")}
        arrays = _arrays(body, known, features, 0)
        return replace(nothing_learnt(arrays["offset"], arrays["most"]), loud=arrays["loud"])
    factors = take_integer(body, "factors", minimum=0, maximum=features)
    return Refinement(
        **_arrays(body, _REFINEMENT_SHAPES, features, factors),
        bound=take_number(body, "bound", minimum=_TINY, maximum=UNBOUNDED),
    )


def _excursions(body: Mapping[str, Any], columns: int) -> Excursions:
    """Of version 1: none."""
    if "excursions" not in body:
        return no_excursions((len(ASPECTS), columns))
    entry = take_object(body, "excursions")
    count = take_integer(entry, "count", minimum=0, maximum=MOST_KEPT)
    return Excursions(
        directions=array(entry, "directions", (count, len(ASPECTS), columns)),
        spans=array(entry, "spans", (count,), low=0.0, high=_MOST_WINDOWS),
    )


def _arrays(
    body: Mapping[str, Any], shapes: Mapping[str, _Shape], features: int, factors: int
) -> dict[str, NDArray[np.float64]]:
    sides = {"F": features, "R": factors, "C": features + factors}
    return {
        name: array(
            body,
            name,
            [sides[side] if isinstance(side, str) else side for side in shape],
            low=_TINY if name in _POSITIVE else 0.0 if name == "most" else -HUGE,
        )
        for name, shape in shapes.items()
    }


def _known_distances(
    body: Mapping[str, Any], in_verdict: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Usual sizes (4, F) by statistic: a reference of an earlier version lacks those not in IN_VERDICT."""
    others = take_object(body, "more_distances") if "more_distances" in body else {}
    shape = in_verdict.shape[1:]
    return dict(zip(IN_VERDICT, in_verdict, strict=True)) | {
        name: array(others, name, shape, low=_TINY) for name in STATISTICS if name in others
    }


def _tails(body: Mapping[str, Any], name: str, count: int) -> tuple[Tail, ...]:
    stretches = take_list(body, name, longest=MOST_FEATURES)
    if len(stretches) != count:
        raise BadInput(f"`{name}` has {len(stretches)} tails; expected {count}")
    return tuple(
        Tail(stretch=take_number({name: each}, name, minimum=_TINY, maximum=HUGE)) for each in stretches
    )
