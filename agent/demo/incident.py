"""The timetable of the demo's incident: which camera is disturbed how, and when. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentStep:
    """At `at` seconds into the demo, `disturbance` of `camera` is set to `strength` (0: over)."""

    at: float
    camera: str
    disturbance: str
    strength: float
    text: str


INCIDENT = (
    IncidentStep(at=66, camera="crossing", disturbance="fog", strength=0.8, text="fog covers the crossing"),
    IncidentStep(
        at=74, camera="avenue", disturbance="noise", strength=1.0, text="the avenue's camera gets noisy"
    ),
    IncidentStep(at=92, camera="dock", disturbance="frozen", strength=1.0, text="the dock's camera freezes"),
    IncidentStep(  # the last camera whose causes are learnt: 85 s on two busy cores
        at=98, camera="aisle", disturbance="colour_cast", strength=0.8, text="the aisle's light turns red"
    ),
    IncidentStep(
        at=118, camera="dock", disturbance="frozen", strength=0.0, text="the dock's camera runs again"
    ),
    IncidentStep(at=120, camera="crossing", disturbance="fog", strength=0.0, text="the fog lifts"),
    IncidentStep(
        at=122, camera="avenue", disturbance="noise", strength=0.0, text="the avenue is normal again"
    ),
    IncidentStep(
        at=124, camera="aisle", disturbance="colour_cast", strength=0.0, text="the aisle's light is repaired"
    ),
)
LENGTH_SECONDS = 240.0


def due(before: float, now: float) -> list[IncidentStep]:
    """The events after `before` and not after `now`; the incident repeats every LENGTH_SECONDS."""
    rounds = range(int(before // LENGTH_SECONDS), int(now // LENGTH_SECONDS) + 1)
    return [
        event for number in rounds for event in INCIDENT if before < number * LENGTH_SECONDS + event.at <= now
    ]


def current(now: float) -> str:
    """The disturbances at `now`, as text for the title."""
    past = [event for event in INCIDENT if event.at <= now % LENGTH_SECONDS]
    if past:
        return past[-1].text
    if now >= LENGTH_SECONDS:
        return INCIDENT[-1].text
    return f"learning what is normal; trouble in {INCIDENT[0].at - now:.0f} s (Ctrl-C ends)"
