"""References and recordings as JSON text, and back; whatever cannot be read is refused with clear words."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.drift.calibrate import Calibration
from agent.drift.contexts import HOURS
from agent.drift.evidence import ASPECTS, KNOTS, Looks, Usual
from agent.drift.memory import AGES, SCALES
from agent.drift.noise import DECAYS
from agent.drift.recording import Block, Recording
from agent.drift.reference import HourNormal, Origin, Reference
from agent.drift.tail import Tail
from agent.errors import ReferenceMismatch
from agent.sketch import Sketch
from agent.untrusted import BadInput, parse_json

FORMAT = "vedette-reference"
_CHECKSUM = "checksum"
VERSION = 1
LARGEST_BYTES = 16 * 1024 * 1024
"""Of a reference that is still read: one has a quarter of a megabyte."""

_READ_ERRORS = (ValueError, KeyError, TypeError, AttributeError, OverflowError, IndexError, RecursionError)


def to_json(reference: Reference) -> str:
    """The reference as one JSON object (for 20 features and 24 hours about 220 kB)."""
    calibration = reference.calibration
    body = {
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
            **{name: numbers(getattr(calibration, name)) for name in _SHAPES},
            "tails": {name: [tail.stretch for tail in tails] for name, tails in calibration.tails.items()},
            "longest": calibration.longest,
            "windows": calibration.windows,
            "blocks": calibration.blocks,
        },
    }
    return sealed(body)


def sealed(body: Mapping[str, Any]) -> str:
    """`body` as JSON with a checksum over all of it, which `from_json` asks for; one that it had is replaced."""
    plain = {key: value for key, value in body.items() if key != _CHECKSUM}
    return _dumped({**plain, _CHECKSUM: _checksum(plain)})


def from_json(text: str | bytes) -> Reference:
    """The reference that `to_json` wrote; ReferenceMismatch for anything else, damaged, foreign or newer."""
    try:
        body = parse_json(text, largest=LARGEST_BYTES)
    except BadInput as error:
        raise ReferenceMismatch(
            f"not a reference: it is no JSON, or was cut off or damaged ({error})"
        ) from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise ReferenceMismatch("not a reference: the file is something else")
    if body.get("version") != VERSION:
        raise ReferenceMismatch(
            f"the reference has format version {body.get('version')}, this agent reads {VERSION}: record a new one"
        )
    if body.pop(_CHECKSUM, None) != _checksum(body):
        raise ReferenceMismatch("the reference is damaged: its content does not fit its checksum")
    try:
        return _sound(_reference(body))
    except _READ_ERRORS as error:
        raise ReferenceMismatch(f"the reference is damaged ({type(error).__name__}: {error})") from error


def _dumped(body: Mapping[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_dumped(body).encode()).hexdigest()


def numbers(array: NDArray[Any]) -> str:
    """An array as base64 of little-endian float64."""
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f8").tobytes()).decode()


def array(text: str, shape: Sequence[int], *, finite: bool = True) -> NDArray[np.float64]:
    """The array that `numbers` wrote; ValueError where it has another size, or values that are no numbers."""
    values = (
        np.frombuffer(base64.b64decode(text, validate=True), dtype="<f8").reshape(shape).astype(np.float64)
    )
    if finite and not np.isfinite(values).all():
        raise ValueError("a value that is no number")
    return values


def _hour_body(normal: HourNormal) -> dict[str, Any]:
    return {
        "sketches": [base64.b64encode(sketch.to_bytes()).decode() for sketch in normal.sketches],
        "log_steps": numbers(normal.log_steps),
        "classes": numbers(normal.classes),
    }


_SHAPES: dict[str, tuple[int | str, ...]] = {
    "offset": (len(ASPECTS), "F"),
    "most": (len(ASPECTS), "F"),
    "loud": (HOURS, len(ASPECTS), "F"),
    "noise": (len(ASPECTS), "F", DECAYS.size),
    "size": (len(ASPECTS), "F", AGES.size),
    "joint_mean": (AGES.size,),
    "joint_variance": (AGES.size,),
    "distances": (2, SCALES.size, "F"),
    "classes": (2, SCALES.size),
}


_POSITIVE = ("loud", "noise", "size", "joint_mean", "joint_variance", "distances", "classes")


def _reference(body: Mapping[str, Any]) -> Reference:
    origin = Origin(**{**body["origin"], "features": tuple(body["origin"]["features"])})
    features, class_ids = len(origin.features), tuple(map(int, body["class_ids"]))
    hours = {int(hour): _hour(entry, features, len(class_ids)) for hour, entry in body["hours"].items()}
    if not hours or not all(0 <= hour < 24 for hour in hours):
        raise ValueError("hours of the day are missing")
    usual = body["usual"]
    return Reference(
        origin=origin,
        hours=hours,
        class_ids=class_ids,
        usual=Usual(
            counts=array(usual["counts"], (features,)),
            frames=float(usual["frames"]),
            steps=array(usual["steps"], (features,)),
        ),
        usual_boxes=float(body["usual_boxes"]),
        calibration=_calibration(body["calibration"], features),
        any_hour=bool(body["any_hour"]),
    )


def _sound(reference: Reference) -> Reference:
    """The same reference; ValueError where it holds what none can."""
    origin, calibration = reference.origin, reference.calibration
    stretches = [tail.stretch for tails in calibration.tails.values() for tail in tails]
    for positive in (
        [origin.window_seconds, reference.usual.frames, *stretches],
        *(getattr(calibration, name) for name in _POSITIVE),
    ):
        if not (np.isfinite(positive).all() and np.min(positive) > 0):
            raise ValueError("a size that is not positive")
    if not np.isfinite(
        [reference.usual_boxes, origin.made_at, origin.start, origin.end, origin.covered]
    ).all():
        raise ValueError("a value that is no number")
    return reference


def _hour(entry: Mapping[str, Any], features: int, classes: int) -> HourNormal:
    sketches = tuple(Sketch.from_bytes(base64.b64decode(blob, validate=True)) for blob in entry["sketches"])
    if len(sketches) != features:
        raise ValueError("sketches are missing")
    return HourNormal(
        sketches=sketches,
        log_steps=array(entry["log_steps"], (features,), finite=False),
        classes=array(entry["classes"], (classes,)),
    )


def _calibration(body: Mapping[str, Any], features: int) -> Calibration:
    arrays = {
        name: array(body[name], [features if side == "F" else int(side) for side in shape])
        for name, shape in _SHAPES.items()
    }
    tails = {
        name: tuple(Tail(stretch=float(stretch)) for stretch in stretches)
        for name, stretches in body["tails"].items()
    }
    for name in (*ASPECTS, "ks", "psi", "joint", "classes"):
        if len(tails[name]) != (1 if name in {"joint", "classes"} else features):
            raise ValueError(f"tails of {name} are missing")
    return Calibration(
        **arrays,
        tails=tails,
        longest=int(body["longest"]),
        windows=int(body["windows"]),
        blocks=int(body["blocks"]),
    )


def recording_state(recording: Recording) -> dict[str, Any]:
    """A recording as JSON-able values, so that a restart loses none of it (2.6 MB a day of 20 features)."""
    looks = recording.looks
    return {
        "features": list(recording.features),
        "starts": numbers(np.array(recording.starts)),
        "seconds": numbers(np.array(recording.seconds)),
        "knots": _singles([each.knots for each in looks]),
        "counts": _singles([each.counts for each in looks]),
        "steps": _singles([each.steps for each in looks]),
        "frames": [int(each.frames[0]) for each in looks],
        "classes": [{str(number): count for number, count in seen.items()} for seen in recording.classes],
        "blocks": {
            str(number): {
                "sketches": [base64.b64encode(sketch.to_bytes()).decode() for sketch in block.sketches],
                "classes": {str(each): count for each, count in block.classes.items()},
                "seconds": block.seconds,
            }
            for number, block in recording.blocks.items()
        },
    }


def restore_recording(state: Mapping[str, Any]) -> Recording:
    """The recording that `recording_state` described; ReferenceMismatch where it is damaged."""
    try:
        return _recording(state)
    except _READ_ERRORS as error:
        raise ReferenceMismatch(f"the recording is damaged ({type(error).__name__}: {error})") from error


def _recording(state: Mapping[str, Any]) -> Recording:
    recording = Recording(state["features"])
    frames, features = state["frames"], len(recording.features)
    count = len(frames)
    knots = _from_singles(state["knots"], (count, features, KNOTS))
    counts, steps = (_from_singles(state[name], (count, features)) for name in ("counts", "steps"))
    recording.starts = array(state["starts"], (count,)).tolist()
    recording.seconds = array(state["seconds"], (count,)).tolist()
    recording.classes = [_counts(seen) for seen in state["classes"]]
    recording.looks = [
        Looks(
            knots=knots[i : i + 1],
            counts=counts[i : i + 1],
            steps=steps[i : i + 1],
            frames=np.array([frames[i]]),
        )
        for i in range(count)
    ]
    for number, entry in state["blocks"].items():
        sketches = [Sketch.from_bytes(base64.b64decode(blob, validate=True)) for blob in entry["sketches"]]
        if len(sketches) != features:
            raise ValueError("sketches are missing")
        recording.blocks[int(number)] = Block(
            sketches, Counter(_counts(entry["classes"])), float(entry["seconds"])
        )
    if len(recording.classes) != count:
        raise ValueError("lists differ in length")
    return recording


def _counts(body: Mapping[str, Any]) -> dict[int, int]:
    return {int(number): int(count) for number, count in body.items()}


def _singles(arrays: Sequence[NDArray[np.float32]]) -> str:
    joined = np.concatenate(arrays) if arrays else np.empty(0, np.float32)
    return base64.b64encode(joined.astype("<f4").tobytes()).decode()


def _from_singles(text: str, shape: Sequence[int]) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").reshape(shape).astype(np.float32)
