"""Recordings of references as JSON-able values, and back; whatever cannot be read is refused with clear words."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.arrays import HUGE, array, numbers
from agent.core.errors import ReferenceMismatch
from agent.core.untrusted import BadInput, take_integers, take_list, take_number, take_object
from agent.drift.evidence import KNOTS, Looks
from agent.drift.recording import RecordedHour, Recording
from agent.drift.sketch import LATEST
from agent.drift.storage import (
    LONGEST_WINDOW,
    MOST_COUNT,
    class_counts,
    features_of,
    number_key,
    sketches_of,
)

_MOST_BLOCKS = int(LATEST // 3600)
_MOST_RECORDED = 1_000_000


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
    except ValueError as error:
        raise ReferenceMismatch(f"the recording is damaged: {error}") from None


def _recording(state: Mapping[str, Any]) -> Recording:
    recording = Recording(features_of(state))
    frames = take_integers(state, "frames", longest=_MOST_RECORDED, minimum=0, maximum=MOST_COUNT)
    features, count = len(recording.features), len(frames)
    knots = _from_singles(state, "knots", (count, features, KNOTS))
    counts, steps = (_from_singles(state, name, (count, features)) for name in ("counts", "steps"))
    recording.starts = array(state, "starts", (count,), low=0.0, high=LATEST).tolist()
    recording.seconds = array(state, "seconds", (count,), low=0.0, high=LONGEST_WINDOW).tolist()
    recording.classes = [
        class_counts({"classes": seen}) for seen in take_list(state, "classes", longest=_MOST_RECORDED)
    ]
    if len(recording.classes) != count:
        raise BadInput(f"`classes` has {len(recording.classes)} entries; expected {count}")
    recording.looks = [
        Looks(
            knots=knots[i : i + 1],
            counts=counts[i : i + 1],
            steps=steps[i : i + 1],
            frames=np.array([frames[i]]),
        )
        for i in range(count)
    ]
    blocks = take_object(state, "blocks")
    if len(blocks) > count:
        raise BadInput(f"`blocks` has {len(blocks)} entries for {count} windows")
    for key in blocks:
        entry = take_object(blocks, key)
        recording.blocks[number_key(key, _MOST_BLOCKS, "blocks")] = RecordedHour(
            list(sketches_of(entry, features)),
            class_counts(entry),
            take_number(entry, "seconds", minimum=0.0, maximum=HUGE),
        )
    return recording


def _singles(arrays: Sequence[NDArray[np.float32]]) -> str:
    joined = np.concatenate(arrays) if arrays else np.empty(0, np.float32)
    return base64.b64encode(joined.astype("<f4").tobytes()).decode()


def _from_singles(body: Mapping[str, Any], name: str, shape: Sequence[int]) -> NDArray[np.float32]:
    largest = float(np.finfo(np.float32).max)
    return array(body, name, shape, low=-largest, high=largest, kind="<f4", unknown=True).astype(np.float32)
