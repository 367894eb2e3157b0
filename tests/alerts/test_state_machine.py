"""Twin of agent/alerts/state_machine.py: transitions by table, and against a ten-line model."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.alerts.state_machine import (
    FLAP_FIRES,
    FLAP_HOLD_SECONDS,
    FLAP_SECONDS,
    HoldTimes,
    Phase,
    RuleState,
    Transition,
    advance,
)

N, P, F = Phase.INACTIVE, Phase.PENDING, Phase.FIRING


@pytest.mark.parametrize(
    ("timing", "steps"),
    [
        (HoldTimes(), [(0, True, F, "fired"), (1, True, F, "none"), (2, False, N, "resolved")]),
        (HoldTimes(hold=5), [(0, True, P, "none"), (4.9, True, P, "none"), (5, True, F, "fired")]),
        (HoldTimes(hold=5), [(0, True, P, "none"), (3, False, N, "none"), (4, True, P, "none"),
                          (8, True, P, "none")]),
        (HoldTimes(keep_firing=5), [(0, True, F, "fired"), (4, False, F, "none"), (5, False, N, "resolved")]),
        (HoldTimes(keep_firing=5), [(0, True, F, "fired"), (4, False, F, "none"), (4.5, True, F, "none"),
                                 (9, False, F, "none")]),
        (HoldTimes(hold=5), [(10, True, P, "none"), (3, True, P, "none"), (15, True, F, "fired")]),
        (HoldTimes(), [(0, False, N, "none"), (1, False, N, "none")]),
    ],
)  # fmt: skip
def test_transitions(timing, steps):
    state = RuleState()
    for at, true, phase, change in steps:
        state, change_made = advance(state, true, at, timing)
        assert (state.phase, change_made.value) == (phase, change), at


def model(events, hold, keep):
    """The ten-line model: what changes, and when, for a list of (time, true)."""
    changes, since, last, firing, fires = [], None, 0.0, False, []
    for at, true in events:
        fires = [fired for fired in fires if at - fired < FLAP_SECONDS]
        since = (at if since is None else since) if true else None
        last = at if true else last
        patience = max(keep, FLAP_HOLD_SECONDS) if len(fires) >= FLAP_FIRES else keep
        if firing and not true and at - last >= patience:
            firing, changes = False, [*changes, (at, "resolved")]
        elif not firing and true and at - since >= hold:
            firing, changes, fires = True, [*changes, (at, "fired")], [*fires, at]
    return changes


gaps = st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=60)


def run(events, timing):
    state, changes = RuleState(), []
    for at, true in events:
        state, change = advance(state, true, at, timing)
        if change is not Transition.NONE:
            changes.append((at, change.value))
    return changes, state


@settings(max_examples=400)
@given(gaps, st.integers(0, 300), st.integers(0, 300))
def test_agrees_with_the_model(steps, hold, keep):
    at, events = 0, []
    for gap, true in steps * 3:
        at += gap
        events.append((at, true))
    changes, _ = run(events, HoldTimes(hold=hold, keep_firing=keep))
    assert changes == model(events, hold, keep)


@given(gaps, st.integers(0, 300), st.integers(0, 300))
def test_fires_and_ends_alternate_and_an_hour_holds_few(steps, hold, keep):
    at, events = 0, []
    for gap, true in steps * 5:
        at += gap
        events.append((at, true))
    changes, _ = run(events, HoldTimes(hold=hold, keep_firing=keep))
    assert [what for _, what in changes] == ["fired", "resolved"] * (len(changes) // 2) + ["fired"] * (
        len(changes) % 2
    )
    fires = [when for when, what in changes if what == "fired"]
    most = FLAP_FIRES + FLAP_SECONDS / FLAP_HOLD_SECONDS + 1
    assert all(sum(1 for other in fires if 0 <= other - when < FLAP_SECONDS) <= most for when in fires)


def test_a_flapping_alert_goes_on_as_one():
    changes, state = run([(at, at % 20 == 0) for at in range(0, 1800, 10)], HoldTimes())
    assert [what for _, what in changes] == ["fired", "resolved"] * (FLAP_FIRES - 1) + ["fired"]
    assert state.flapping()
    changes, state = run([(at, at < 60 and at % 20 == 0) for at in range(0, 8000, 10)], HoldTimes())
    assert changes[-1] == (40 + FLAP_HOLD_SECONDS, "resolved")
    assert state.idle


def test_a_clock_that_is_set_moves_everything():
    state, _ = advance(RuleState(), True, 100.0, HoldTimes(hold=60))
    moved = state.shifted(1e6)
    assert advance(moved, True, 1e6 + 159, HoldTimes(hold=60))[1] is Transition.NONE
    assert advance(moved, True, 1e6 + 160, HoldTimes(hold=60))[1] is Transition.FIRED
