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
        words="has ended", expected="more frames", fault=False, flowing=False, inhibits=NO_FRAMES
    ),
    CameraState.FROZEN: StateMeaning(words="is frozen", expected="frames that change", inhibits=NO_FRAMES),
    CameraState.BLACK: StateMeaning(
        words="is black", expected="frames that are not dark", inhibits=NO_FRAMES
    ),
    CameraState.COVERED: StateMeaning(
        words="is covered", expected="an unobstructed view", inhibits=NO_FRAMES
    ),
    CameraState.BLURRED: StateMeaning(words="is blurred", expected="sharp frames", inhibits=BAD_FRAMES),
    CameraState.OVEREXPOSED: StateMeaning(
        words="is overexposed", expected="frames that are not overexposed", inhibits=BAD_FRAMES
    ),
    CameraState.MOVED: StateMeaning(words="was moved", expected="its usual view", inhibits=BAD_FRAMES),
    CameraState.FOGGED: StateMeaning(words="is fogged", expected="clear frames", inhibits=BAD_FRAMES),
    CameraState.OBSTRUCTED: StateMeaning(
        words="is partly obstructed", expected="an unobstructed view", inhibits=BAD_FRAMES
    ),
    CameraState.RESIZED: StateMeaning(
        words="changed its frame size", expected="its usual frame size", inhibits=BAD_FRAMES
    ),
    CameraState.SLOW: StateMeaning(
        words="is slow", expected="its usual frame rate", inhibits=frozenset({"speed"})
    ),
    CameraState.BAD_TIMESTAMPS: StateMeaning(
        words="has bad time stamps", expected="time stamps that advance evenly"
    ),
}

CONTENT_FAULTS = frozenset(state for state, meaning in STATES.items() if meaning.fault and meaning.flowing)
"""Faults of what a camera shows, while frames come."""
