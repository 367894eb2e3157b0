"""The demo's incident: which camera meets what, and when. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """At `at` seconds into the demo, `disturbance` of `camera` is set to `strength` (0: over)."""

    at: float
    camera: str
    disturbance: str
    strength: float
    text: str


INCIDENT = (
    Event(at=20, camera="crossing", disturbance="fog", strength=0.8, text="fog rolls over the crossing"),
    Event(at=35, camera="dock", disturbance="frozen", strength=1.0, text="the dock's camera freezes"),
    Event(at=50, camera="crossing", disturbance="fog", strength=0.0, text="the fog lifts"),
    Event(at=65, camera="dock", disturbance="frozen", strength=0.0, text="the dock's camera runs again"),
)
LENGTH_SECONDS = 120.0


def due(before: float, now: float) -> list[Event]:
    """The events after `before` and not after `now`; the incident repeats every LENGTH_SECONDS."""
    rounds = range(int(before // LENGTH_SECONDS), int(now // LENGTH_SECONDS) + 1)
    return [
        event for number in rounds for event in INCIDENT if before < number * LENGTH_SECONDS + event.at <= now
    ]


def current(now: float) -> str:
    """What is going on at `now`, for the title."""
    past = [event for event in INCIDENT if event.at <= now % LENGTH_SECONDS]
    if past:
        return past[-1].text
    return "all is quiet" if now < LENGTH_SECONDS else INCIDENT[-1].text
