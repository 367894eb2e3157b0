"""How long to wait before a camera is tried again, by what went wrong.

Laws
----
1. A kind of failure doubles its own wait with each turn, from `first` to `longest`; other kinds keep theirs.
2. Jitter only lengthens (up to half): cameras that went down together do not come back together, and a login
   that was refused is never tried sooner than its table says.
3. A healthy minute resets every wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.core.errors import CameraFailure

HEALTHY_SECONDS = 60.0
JITTER = 0.5
MANY_TURNS = 32  # doublings beyond any table entry; keeps the power from overflowing


@dataclass(frozen=True, slots=True)
class Wait:
    """First and longest wait in seconds."""

    first: float
    longest: float


# A wrong password locks many cameras after three to five tries: a minute at least, then up to ten. A refused
# or silent camera is most often restarting, which takes it half a minute to two. A missing path or file and a
# codec do not mend themselves quickly. Name resolution comes up late at a boot, and asking again costs no camera
# anything. A USB device is back within seconds of being plugged in.
# What crashed a decoder may never come again, or at every start.
WAITS: Mapping[CameraFailure, Wait] = {
    CameraFailure.AUTH: Wait(60.0, 600.0),
    CameraFailure.REFUSED: Wait(1.0, 30.0),
    CameraFailure.NOT_FOUND: Wait(5.0, 120.0),
    CameraFailure.UNRESOLVED: Wait(1.0, 5.0),
    CameraFailure.TIMEOUT: Wait(1.0, 30.0),
    CameraFailure.END_OF_STREAM: Wait(1.0, 30.0),
    CameraFailure.CODEC: Wait(2.0, 60.0),
    CameraFailure.STALL: Wait(1.0, 30.0),
    CameraFailure.DEVICE_GONE: Wait(1.0, 15.0),
    CameraFailure.CRASHED: Wait(1.0, 60.0),
    CameraFailure.OTHER: Wait(2.0, 60.0),
}


@dataclass(frozen=True, slots=True)
class BackoffState:
    """How many failures of each kind there were since the last healthy minute."""

    turns: Mapping[CameraFailure, int] = field(default_factory=dict)


def after_failure(
    state: BackoffState, kind: CameraFailure, healthy_seconds: float, chance: float
) -> tuple[BackoffState, float]:
    """The state after a failure of `kind`, and the seconds to wait.

    `healthy_seconds` is how long frames had come before it, `chance` a random number in 0..1.
    """
    if healthy_seconds >= HEALTHY_SECONDS:
        state = BackoffState()
    turn = state.turns.get(kind, 0)
    wait = WAITS[kind]
    seconds = min(wait.longest, wait.first * 2.0 ** min(turn, MANY_TURNS))
    return replace(state, turns={**state.turns, kind: turn + 1}), seconds * (1.0 + JITTER * chance)
