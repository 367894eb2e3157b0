"""No clock fault fires, ends, delays or loses anything: `tests/clock_faults.py`, in short and (slow) over 10,000 h."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.alerts import state_machine
from agent.alerts.rule_monitor import RuleMonitor
from agent.core import clock
from agent.core.clock import SteadyClock
from tests.clock_faults import FAULTS, HOLDS, Device, simulate


def test_a_mixture_of_all_faults_does_nothing_wrong():
    wrong, counts = simulate("everything", 48.0, seed=3)
    assert not +wrong
    assert counts["faults"] > 20
    assert counts["fired"] > 20


@pytest.mark.slow
@pytest.mark.timeout(900)  # a minute on a quiet machine
@pytest.mark.parametrize("fault", FAULTS)
def test_ten_thousand_device_hours_do_nothing_wrong(fault, monkeypatch):
    longest = SimpleNamespace(uniform=lambda _low, high: high)  # no wait of a notifier is shortened by chance
    monkeypatch.setattr("agent.notifiers.outlet.random", longest)
    wrong, counts = simulate(fault, 10_000 / len(FAULTS), seed=1)
    assert not +wrong
    assert counts["faults"] > 20 or fault == "none"


def test_the_simulation_does_find_an_agent_that_measures_with_the_wall_clock(monkeypatch):
    monkeypatch.setattr(SteadyClock, "now", lambda self: self._wall())
    wrong, _ = simulate("step forward, 10 min to 1 day", 24.0, seed=3)
    assert wrong["false alert"] or wrong["false end"]


def test_the_simulation_does_find_an_agent_for_which_sleep_makes_things_stale(monkeypatch):
    monkeypatch.setattr(RuleMonitor, "sleep", lambda _self, _seconds: None)
    wrong, _ = simulate("suspend, 2 min to 8 h", 24.0, seed=3)
    assert wrong["false alert"] or wrong["false end"]


def test_the_simulation_does_find_a_hold_that_is_not_kept(monkeypatch):
    monkeypatch.setitem(state_machine._TABLE, (state_machine.Phase.FIRING, True), state_machine._end)
    wrong, _ = simulate("none", 24.0, seed=3)
    assert wrong["false end"]


class AnyOrder(RuleBasedStateMachine):
    """Faults in any order and at any moment, those in the middle of a hold, a snooze or a sleep included."""

    def __init__(self):
        super().__init__()
        self.before = clock.shared, clock.boottime
        self.folder = tempfile.TemporaryDirectory()
        self.device = Device(1, "none", Path(self.folder.name))
        self.device.phone_change = float("inf")  # or a notice may wait until it is a day old

    @rule(ticks=st.integers(1, 100))
    def run(self, ticks):
        for _ in range(ticks):
            self.device.tick()

    @rule(name=st.sampled_from(sorted(HOLDS)))
    def turn(self, name):
        self.device.watched[name].next_change = self.device.machine.true

    @rule(seconds=st.floats(-2e9, 2e9))
    def step_the_clock(self, seconds):
        self.device.machine.step(seconds)
        self.device.machine.is_synced = False

    @rule()
    def synchronise(self):
        self.device.machine.sync()
        self.device.clock._asked_at = -1e9

    @rule(seconds=st.floats(1, 1e5))
    def sleep(self, seconds):
        self.device.sleep(seconds)

    @rule()
    def restart(self):
        self.device.restart()

    @rule(off=st.floats(10, 7e4), rtc=st.booleans())
    def reboot(self, off, rtc):
        self.device.reboot(off, rtc=rtc)

    @invariant()
    def nothing_is_wrong(self):
        assert not +self.device.wrong
        assert not self.device.worker.lost

    def teardown(self):
        clock.shared, clock.boottime = self.before
        self.folder.cleanup()


TestFaultsInAnyOrder = AnyOrder.TestCase
TestFaultsInAnyOrder.settings = settings(max_examples=5, stateful_step_count=12, deadline=None)
