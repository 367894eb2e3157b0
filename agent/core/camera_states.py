"""The states of a camera: one table of what each means to rules, dashboards and other alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.core.types import CameraState

NO_FRAMES = frozenset({"speed", "drift", "scene"})
BAD_FRAMES = frozenset({"drift", "scene"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMeaning:
    """What a state means.

    `words` completes "camera front: ...", `expected` says what should be there instead. `fault` is False for states
    of a camera that works as it should, `flowing` False where no frames come. `inhibits` are the causes of alerts
    that the state explains: a camera that is down does not drift.
    """

    words: str
    expected: str
    fault: bool = True
    flowing: bool = True
    inhibits: frozenset[str] = frozenset()


STATES: Mapping[CameraState, StateMeaning] = {
    CameraState.STARTING: StateMeaning(
        words="is starting", expected="online", fault=False, flowing=False, inhibits=NO_FRAMES
    ),
    CameraState.ONLINE: StateMeaning(words="is online", expected="not online", fault=False),
    CameraState.DOWN: StateMeaning(words="is down", expected="online", flowing=False, inhibits=NO_FRAMES),
    CameraState.ENDED: StateMeaning(
        words="has ended", expected="more pictures", fault=False, flowing=False, inhibits=NO_FRAMES
    ),
    CameraState.FROZEN: StateMeaning(words="is frozen", expected="pictures that change", inhibits=NO_FRAMES),
    CameraState.BLACK: StateMeaning(
        words="is black", expected="a picture with light in it", inhibits=NO_FRAMES
    ),
    CameraState.COVERED: StateMeaning(words="is covered", expected="a free view", inhibits=NO_FRAMES),
    CameraState.BLURRED: StateMeaning(words="is blurred", expected="a sharp picture", inhibits=BAD_FRAMES),
    CameraState.OVEREXPOSED: StateMeaning(
        words="is overexposed", expected="a picture that is not burnt out", inhibits=BAD_FRAMES
    ),
    CameraState.MOVED: StateMeaning(
        words="was moved", expected="the view it used to have", inhibits=BAD_FRAMES
    ),
    CameraState.FOGGED: StateMeaning(words="is fogged", expected="a clear picture", inhibits=BAD_FRAMES),
    CameraState.OBSTRUCTED: StateMeaning(
        words="is obstructed in part", expected="a free view", inhibits=BAD_FRAMES
    ),
    CameraState.RESIZED: StateMeaning(
        words="changed its picture size", expected="the size it used to have", inhibits=BAD_FRAMES
    ),
    CameraState.SLOW: StateMeaning(
        words="is slow", expected="its usual frame rate", inhibits=frozenset({"speed"})
    ),
    CameraState.BAD_TIMESTAMPS: StateMeaning(
        words="has bad timestamps", expected="timestamps that rise evenly"
    ),
}

CONTENT_FAULTS = frozenset(state for state, meaning in STATES.items() if meaning.fault and meaning.flowing)
"""Faults of what a camera shows, while frames come."""
