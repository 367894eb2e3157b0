"""Twin of agent/alerts/rules.py and defaults.py."""

from __future__ import annotations

import pytest

from agent.alerts.defaults import default_settings
from agent.alerts.metrics import METRICS
from agent.alerts.rules import compile_rules
from agent.config.alert_settings import AlertSettings, RuleSettings
from agent.core.errors import ConfigError, ConfigErrors
from agent.core.types import CameraState, Severity


def compiled(**keys):
    settings = RuleSettings(**{"name": "mine", **keys})
    return next(rule for rule in compile_rules([settings]) if rule.name == settings.name)


def test_the_defaults_compile_and_watch_every_part():
    rules = compile_rules()
    assert len({rule.name for rule in rules}) == len(rules) > 20
    assert all(rule.default and rule.advice for rule in rules)
    watched = {rule.condition.metric for rule in rules}
    for metric in ("camera.down", "camera.fps_in", "camera.latency_p99_seconds", "host.temperature_celsius",
                   "host.memory_used_ratio", "host.disk_used_ratio", "gpu.throttled", "drift.ratio",
                   "host.outbox_used_ratio", "host.broker_connected"):  # fmt: skip
        assert metric in watched


def test_every_camera_state_is_a_known_metric():
    assert all(f"camera.{state.value}" in METRICS for state in CameraState)


def test_without_defaults_there_are_only_ones_own():
    only = compile_rules(
        [RuleSettings(name="mine", when="camera.fps_in < 1")], AlertSettings(default_rules=False)
    )
    assert [rule.name for rule in only] == ["mine"]


def test_a_rule_of_a_default_name_replaces_it():
    assert compiled(name="memory", when="host.memory_used_ratio > 50%").condition.limit == 0.5


def test_a_condition_of_ones_own_keeps_severity_and_advice():
    """Who only wants to wait longer for a camera that is down does not want to make it a warning."""
    rule = compiled(name="camera_down", when="camera.down for 5m")
    assert (rule.hold, rule.severity) == (300, Severity.CRITICAL)
    assert rule.advice.startswith("Check power")
    assert compiled(name="camera_down", when="camera.down for 5m", severity="info").severity is Severity.INFO
    assert compiled(name="disk", when="host.disk_used_ratio > 80%").clear is None


def test_a_rule_without_condition_adjusts_the_default():
    rule = compiled(name="memory", severity="critical")
    assert (rule.severity, rule.condition.limit, rule.clear) == (Severity.CRITICAL, 0.92, 0.88)


@pytest.mark.parametrize("name", [item.name for item in default_settings()])
def test_for_alone_changes_how_long_any_default_rule_waits(name):
    """Also of `no_summaries`, whose `for` is its limit."""
    default = compiled(name=name, severity="info")
    rule = compiled(name=name, hold=1234567.5)
    assert 1234567.5 in (rule.hold, rule.condition.limit)
    assert rule.condition.metric == default.condition.metric


def test_absence_takes_its_duration_from_either_place():
    assert compiled(when="absent(camera.fps_in)", hold=90.0).condition.limit == 90
    with pytest.raises(ConfigError, match="says 60 s, but `when` says 90 s"):
        compiled(when="absent(camera.fps_in) for 90s", hold=60.0)
    with pytest.raises(ConfigError, match="must say for how long"):
        compiled(when="absent(camera.fps_in)")


def test_a_default_can_be_switched_off():
    names = [rule.name for rule in compile_rules([RuleSettings(name="memory", enabled=False)])]
    assert "memory" not in names
    assert "disk" in names


def test_long_windows_make_silence_longer():
    rule = next(rule for rule in compile_rules(window_seconds=600) if rule.name == "no_summaries")
    assert rule.condition.limit == 3000


def test_a_latency_target_becomes_a_share_of_slow_frames():
    rule = compiled(when="burn(camera.latency_seconds > 0.5, 99%) > 10")
    assert rule.condition.metric == "camera.latency_over_ratio"
    assert rule.condition.selector == {"target": "0.5"}


def test_metrics_of_this_box_can_be_added():
    settings = [RuleSettings(name="mine", when="host.fan_speed_hertz < 10")]
    rules = compile_rules(settings, known_metrics=["host.fan_speed_hertz"])
    assert rules[-1].metric.unit == "hertz"
    assert compiled(when="camera.detections_traffic_light > 3").metric.words == "detections of traffic light"


@pytest.mark.parametrize(
    ("keys", "key", "said"),
    [
        ({"when": "camera.latency.p99 > 0.2 for 5m"}, "when", "did you mean 'camera.latency_p99_seconds'"),
        ({"when": "camera.fps > 0.2"}, "when", "did you mean 'camera.fps_in'"),
        ({"when": "camera.fps_in > oops"}, "when", "character 17"),
        ({"when": "camera.fps_in"}, "when", "has no comparison"),
        ({"when": "host.memory_used_ratio > 90"}, "when", "expected 90% or 0.9"),
        ({"when": "camera.fps_in > 1 for 5m", "hold": 60.0}, "for", "says 60 s, but `when` says 300 s"),
        ({"when": "camera.fps_in > 1", "clear": "2"}, "clear", "a value below the limit 1"),
        ({"when": "camera.fps_in < 1", "clear": "0.5"}, "clear", "a value above the limit 1"),
        ({"when": "camera.fps_in < 1", "clear": "x"}, "clear", "expected a number"),
        ({"when": "absent(camera.fps_in) for 1m", "clear": "1"}, "clear", "means nothing"),
        ({"when": "burn(camera.fps_in, 99%) > 2"}, "when", "not a share of bad frames"),
        ({"when": "burn(camera.latency_seconds < 1, 99%) > 2"}, "when", "slow frames good"),
        ({"name": "a b", "when": "camera.fps_in < 1"}, "name", "letters, digits"),
        ({"name": "latncy_p99"}, "when", "did you mean 'latency_p99'"),
    ],
)
def test_mistakes_name_the_rule_the_key_and_a_correction(keys, key, said):
    with pytest.raises(ConfigError) as caught:
        compiled(**keys)
    assert caught.value.key == f"rules[{keys.get('name', 'mine')}].{key}"
    assert said in str(caught.value)


def test_all_mistakes_are_reported_at_once():
    bad = [RuleSettings(name=name, when="nothing") for name in ("a", "b", "a")]
    with pytest.raises(ConfigErrors) as caught:
        compile_rules(bad)
    assert len(str(caught.value).splitlines()) == 4
