"""References as JSON text, and back; whatever cannot be read is refused with clear words."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agent.core.arrays import HUGE, TINY, array, numbers
from agent.core.errors import ReferenceMismatch
from agent.core.kll import Sketch
from agent.core.printable import printable
from agent.core.untrusted import (
    BadInput,
    parse_json,
    take_flag,
    take_integer,
    take_integers,
    take_list,
    take_number,
    take_object,
    take_text,
)
from agent.drift.calibration_storage import calibration_body, calibration_of
from agent.drift.contexts import HOURS
from agent.drift.evidence import UsualWindow
from agent.drift.reference import HourNormal, Origin, Reference
from agent.drift.sketch import FEATURE_NAME, LATEST, MOST_FEATURES

FORMAT = "vedette-reference"
_CHECKSUM = "checksum"
VERSION = 2
READ_VERSIONS = (1, 2)
"""1: before windows were bounded as a whole and common factors taken out of them."""

LARGEST_BYTES = 16 * 1024 * 1024
"""Of a reference that is still read: one has a third of a megabyte."""

_LARGEST_LOG = 200.0
_DAY = 86_400.0
LONGEST_WINDOW = 604_800.0
MOST_CLASSES = 1_000_000
MOST_COUNT = 2**53
_LONGEST_WORD = 128
_MOST_SEEN = 50_000  # hours: more than a recording has windows
_DEEPEST = 8


def to_json(reference: Reference) -> str:
    """The reference as one JSON object (for 24 features and 24 hours about 300 kB)."""
    return sealed(body_of(reference))


def body_of(reference: Reference) -> dict[str, Any]:
    """What `to_json` writes, as JSON values and without a checksum."""
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
        "calibration": calibration_body(reference.calibration),
        "seen": list(reference.seen),
    }


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
            f"not a reference: it is not JSON, or was cut off or damaged ({error})"
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


def _hour_body(normal: HourNormal) -> dict[str, Any]:
    return {
        "sketches": [base64.b64encode(sketch.to_bytes()).decode() for sketch in normal.sketches],
        "log_steps": numbers(normal.log_steps),
        "classes": numbers(normal.classes),
    }


def _reference(body: Mapping[str, Any]) -> Reference:
    origin = _origin(take_object(body, "origin"))
    features, class_ids = len(origin.features), _class_ids(body)
    usual = take_object(body, "usual")
    return Reference(
        origin=origin,
        hours=_hours(body, features, len(class_ids)),
        class_ids=class_ids,
        usual=UsualWindow(
            counts=array(usual, "counts", (features,), low=0.0),
            frames=take_number(usual, "frames", minimum=TINY, maximum=HUGE),
            steps=array(usual, "steps", (features,)),
        ),
        usual_boxes=take_number(body, "usual_boxes", minimum=0.0, maximum=HUGE),
        calibration=calibration_of(take_object(body, "calibration"), features, len(class_ids)),
        any_hour=take_flag(body, "any_hour"),
        seen=_seen(body),
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
        window_seconds=take_number(body, "window_seconds", minimum=TINY, maximum=LONGEST_WINDOW),
        utc_offset=take_number(body, "utc_offset", 0.0, minimum=-_DAY, maximum=_DAY),
    )


def _word(body: Mapping[str, Any], name: str) -> str:
    return printable(take_text(body, name, longest=_LONGEST_WORD))


def features_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the features of `body`; BadInput where one is none."""
    names = tuple(take_list(body, "features", longest=MOST_FEATURES))
    strange = [name for name in names if not (isinstance(name, str) and FEATURE_NAME.fullmatch(name))]
    if strange:
        raise BadInput(f"`features` holds '{printable(strange[0], 40)}', which is not a feature's name")
    if not names or len(set(names)) != len(names):
        raise BadInput("`features` is empty, or names one twice")
    return names


def _class_ids(body: Mapping[str, Any]) -> tuple[int, ...]:
    ids = tuple(take_integers(body, "class_ids", longest=MOST_CLASSES, minimum=0, maximum=MOST_CLASSES))
    if len(set(ids)) != len(ids):
        raise BadInput("`class_ids` names a class twice")
    return ids


def _seen(body: Mapping[str, Any]) -> tuple[int, ...]:
    """The hours that a reference rests on; an earlier version wrote none."""
    if "seen" not in body:
        return ()
    hours = take_integers(body, "seen", longest=_MOST_SEEN, minimum=0, maximum=int(LATEST // 3600))
    if hours != sorted(set(hours)):
        raise BadInput("`seen` is out of order")
    return tuple(hours)


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


def number_key(key: str, most: int, of: str) -> int:
    """The number that a key of the JSON object `of` stands for, 0 to `most`; BadInput for another key."""
    if not (key.isascii() and key.isdigit() and len(key) < 12 and int(key) <= most):
        raise BadInput(f"`{of}`: '{printable(key, 24)}' is not a number from 0 to {most}")
    return int(key)


def class_counts(entry: Mapping[str, Any]) -> Counter[int]:
    """The boxes by class at `classes`; BadInput for anything else."""
    seen = take_object(entry, "classes")
    return Counter(
        {
            number_key(key, MOST_CLASSES, "classes"): take_integer(seen, key, minimum=0, maximum=MOST_COUNT)
            for key in seen
        }
    )


def sketches_of(entry: Mapping[str, Any], features: int) -> tuple[Sketch, ...]:
    """The sketches of `entry`, one for each feature; BadInput where they are not as many or damaged."""
    texts = take_list(entry, "sketches", longest=MOST_FEATURES)
    if len(texts) != features:
        raise BadInput(f"`sketches` has {len(texts)} entries; expected {features}")
    return tuple(Sketch.from_text(text) for text in texts)
