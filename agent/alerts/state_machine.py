"""The state machine of one rule on one target, driven by the time that is passed in.

Laws
----
1. Inactive becomes pending when the condition turns true, and firing once it has been true without a break
   for `hold` seconds; with a hold of 0 at once.
2. Pending becomes inactive as soon as the condition is not true: a hold starts anew.
3. Firing is resolved once the condition has not been true for `keep_firing` seconds; with 0 at once. A
   condition that turns true meanwhile goes on with the same alert.
4. An unknown condition (no fresh observation) counts as not true.
5. Flap damping: an alert that fires `FLAP_FIRES` times within `FLAP_SECONDS` goes on firing for at least
   `FLAP_HOLD_SECONDS` after its condition ended, so that a value around its limit makes one long alert.
6. Time never runs backwards here: an earlier time counts as the last one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

FLAP_FIRES = 3
FLAP_SECONDS = 3600.0
FLAP_HOLD_SECONDS = 900.0


class Phase(str, Enum):
    """The phase of one rule on one target."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


class Transition(str, Enum):
    """What a step changed: nothing, or the beginning or end of an alert."""

    NONE = "none"
    FIRED = "fired"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldTimes:
    """Seconds that a condition must hold, and that an alert goes on without it."""

    hold: float = 0.0
    keep_firing: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleState:
    """One rule on one target; times are those passed to `advance`.

    `true_since` is when the condition turned true (of the current or last run), `last_true` when it was last
    true, `at` the last step, `fires` when it fired lately (for flap damping).
    """

    phase: Phase = Phase.INACTIVE
    true_since: float = 0.0
    last_true: float = 0.0
    at: float = float("-inf")
    fires: tuple[float, ...] = ()

    @property
    def idle(self) -> bool:
        """Whether this is no different from a new state."""
        return self.phase is Phase.INACTIVE and not self.fires

    def flapping(self) -> bool:
        """Whether it fired so often lately that its end is held back."""
        return len(self.fires) >= FLAP_FIRES

    def shifted(self, seconds: float) -> RuleState:
        """The same state `seconds` later."""
        return dataclasses.replace(
            self,
            true_since=self.true_since + seconds,
            last_true=self.last_true + seconds,
            at=self.at + seconds,
            fires=tuple(at + seconds for at in self.fires),
        )


def advance(state: RuleState, true: bool, at: float, timing: HoldTimes) -> tuple[RuleState, Transition]:
    """The state after the condition was found `true` or not at time `at`, and the transition made."""
    at = max(at, state.at)
    fires = tuple(fired for fired in state.fires if at - fired < FLAP_SECONDS)
    return _TABLE[state.phase, true](dataclasses.replace(state, at=at, fires=fires), timing)


def _rest(state: RuleState, _timing: HoldTimes) -> tuple[RuleState, Transition]:
    return state, Transition.NONE


def _begin(state: RuleState, timing: HoldTimes) -> tuple[RuleState, Transition]:
    begun = dataclasses.replace(state, phase=Phase.PENDING, true_since=state.at, last_true=state.at)
    return _wait(begun, timing)


def _wait(state: RuleState, timing: HoldTimes) -> tuple[RuleState, Transition]:
    waited = dataclasses.replace(state, last_true=state.at)
    if state.at - state.true_since < timing.hold:
        return waited, Transition.NONE
    return dataclasses.replace(waited, phase=Phase.FIRING, fires=(*state.fires, state.at)), Transition.FIRED


def _drop(state: RuleState, _timing: HoldTimes) -> tuple[RuleState, Transition]:
    return dataclasses.replace(state, phase=Phase.INACTIVE), Transition.NONE


def _go_on(state: RuleState, _timing: HoldTimes) -> tuple[RuleState, Transition]:
    return dataclasses.replace(state, last_true=state.at), Transition.NONE


def _end(state: RuleState, timing: HoldTimes) -> tuple[RuleState, Transition]:
    keep = max(timing.keep_firing, FLAP_HOLD_SECONDS) if state.flapping() else timing.keep_firing
    if state.at - state.last_true < keep:
        return state, Transition.NONE
    return dataclasses.replace(state, phase=Phase.INACTIVE), Transition.RESOLVED


_TABLE: dict[tuple[Phase, bool], Callable[[RuleState, HoldTimes], tuple[RuleState, Transition]]] = {
    (Phase.INACTIVE, False): _rest,
    (Phase.INACTIVE, True): _begin,
    (Phase.PENDING, True): _wait,
    (Phase.PENDING, False): _drop,
    (Phase.FIRING, True): _go_on,
    (Phase.FIRING, False): _end,
}
