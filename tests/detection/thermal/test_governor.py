"""The governor: rests that keep the model within its limit, told to rules, summary and journal."""

import pytest
from structlog.testing import capture_logs

from agent.core.types import Observation
from agent.detection.thermal.governor import Governor


def at_degrees(degrees):
    return [Observation(metric="host.temperature_celsius", value=degrees, at=0.0)]


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def play(governor, clock, seconds, degrees, run=0.1):
    """A model that always has frames: runs of `run` seconds, rests as told, telemetry once a second."""
    end, told, busy, observed = clock.now + seconds, clock.now, 0.0, []
    while clock.now < end:
        clock.now += governor.rest_seconds()
        started, clock.now = clock.now, clock.now + run
        governor.ran(started, run)
        busy += run
        if clock.now - told >= 1:
            observed, told = governor.heed(at_degrees(degrees), 5.0), clock.now
    return busy / (clock.now - end + seconds), observed


def test_the_model_really_runs_less_while_it_is_hot_and_as_before_when_cool(clock):
    governor = Governor(95.0, clock)
    assert play(governor, clock, 60, 70)[0] == pytest.approx(1.0)
    busy, observed = play(governor, clock, 120, 99)
    assert busy < 0.5
    assert observed[0].metric == "host.model_busy_limit_ratio"
    assert observed[0].value == governor.pace.limit < 0.2
    assert observed[0].text == "host at 99 °C, limit 95"
    held, _ = play(governor, clock, 60, 93)  # no hotter, not yet cool
    assert held == pytest.approx(governor.pace.limit, rel=0.05)
    play(governor, clock, 300, 70)
    assert governor.pace.full
    assert play(governor, clock, 60, 70)[0] == pytest.approx(1.0)


def test_at_full_speed_it_never_rests(clock):
    governor = Governor(95.0, clock)
    governor.ran(clock.now, 5.0)
    assert governor.rest_seconds() == 0.0


def test_the_summary_tells_the_lowest_limit_of_the_window_and_why(clock):
    governor = Governor(95.0, clock)
    play(governor, clock, 10, 70)
    calm = governor.take_window()
    assert calm == {"model_busy_ratio": pytest.approx(1.0, abs=0.02), "model_busy_limit_ratio": 1.0}
    play(governor, clock, 20, 99)
    play(governor, clock, 200, 60)
    told = governor.take_window()
    assert told["model_busy_limit_ratio"] < 0.8
    assert told["model_slowed_reason"] == "host at 99 °C, limit 95"
    assert "model_slowed_reason" not in governor.take_window()


def test_the_journal_says_each_step_down_and_the_recovery_once(clock):
    with capture_logs() as lines:
        governor = Governor(95.0, clock)
        play(governor, clock, 20, 99)
        play(governor, clock, 300, 60)
    events = [line["event"] for line in lines]
    assert events == [*["too hot: the model runs less often"] * 2, "cool again: the model runs at full speed"]
    assert lines[0]["reason"] == "host at 99 °C, limit 95"
