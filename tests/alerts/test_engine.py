"""Twin of agent/alerts/engine.py and watch.py: the laws, one by one."""

from __future__ import annotations

import dataclasses
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.alerts.controls import Control, ControlKind
from agent.alerts.engine import MOST_PUBLISHED, TOO_MANY, AlertEngine
from agent.alerts.rule_monitor import SETTLE_SECONDS
from agent.alerts.rules import compile_rules
from agent.alerts.state_machine import FLAP_FIRES, FLAP_HOLD_SECONDS, FLAP_SECONDS
from agent.config.alert_settings import AlertSettings, RuleSettings
from agent.core.errors import VedetteError
from agent.core.types import AlertEvent, AlertState, Observation, Severity

SLOW = RuleSettings(name="slow", when="camera.latency_p99_seconds > 0.5 for 5m", clear="0.4")
HOT = RuleSettings(name="hot", when="host.temperature_celsius > 80")
START = 1_700_000_000.0  # where the drive's clock begins: 2023-11-14 22:13:20 UTC
LATENCY = "camera.latency_p99_seconds"


def restarted(drive, away=0.0, rules=None):
    """The same drive after a restart, through JSON as on disk."""
    snapshot, samples = json.loads(
        json.dumps([drive.engine.to_snapshot(drive.now), drive.engine.samples_snapshot()])
    )
    twin = type(drive)()
    twin.engine, twin.now = AlertEngine(rules or drive.rules), drive.now + away
    twin.engine.restore(snapshot, twin.now)
    twin.engine.restore_samples(samples, twin.now)
    return twin


def test_an_alert_states_what_was_expected_and_when(drive):
    box = drive(SLOW)
    box.go(400, 10, (LATENCY, 0.62))
    (alert,) = box.published
    assert (alert.what, alert.expected) == ("camera front: latency p99 0.62 s", "at most 0.5 s")
    assert alert.window == "over 22:13-22:18 UTC, for 5 min"
    assert alert.first_seen == START + 10
    assert alert.evidence["limit"] == 0.5


def test_hysteresis_holds_until_the_clear_value(drive):
    box = drive(SLOW)
    box.go(310, 10, (LATENCY, 0.6))
    assert box.go(60, 10, (LATENCY, 0.45)) == []
    (alert,) = box.go(10, 10, (LATENCY, 0.4))
    assert alert.state is AlertState.RESOLVED
    assert alert.what == "camera front: latency p99 back to 0.4 s"
    assert alert.id == box.published[0].id


def test_each_target_is_on_its_own(drive):
    box = drive(HOT)
    for target, value in (("a", 90), ("b", 70), ("a", 90)):
        box.observe("host.temperature_celsius", value, {"sensor": target})
    assert [dict(alert.labels) for alert in box.published] == [{"sensor": "a"}]


def test_a_selector_chooses_targets(drive):
    box = drive(dataclasses.replace(HOT, when='host.temperature_celsius{sensor="b"} > 80'))
    box.observe("host.temperature_celsius", 90, {"sensor": "a"})
    assert box.published == []
    box.observe("host.temperature_celsius", 90, {"sensor": "b"})
    assert len(box.published) == 1


def test_the_last_value_stays_valid_until_it_is_stale(drive):
    box = drive(SLOW)
    box.observe(LATENCY, 0.6)
    (fired,) = box.go(300)
    assert fired.event.value == "fired"
    (over,) = box.go(10)
    assert "no data for 5 min" in over.what


@pytest.mark.parametrize("state", ["down", "black"])
@pytest.mark.parametrize("metric", ["drift.ratio", "drift.sharpness_ratio", "drift.outlier_ratio"])
def test_a_drift_does_not_end_while_its_camera_shows_nothing(drive, metric, state):
    box = drive(RuleSettings(name="drifts", when=f"{metric} > 0.4"))
    box.observe(metric, 1.5)
    (fired,) = box.published
    box.go(7200, 10, (f"camera.{state}", 1))
    assert box.published == [fired]
    box.observe(metric, 1.4)
    assert box.published == [fired], "the same alert goes on"
    (over,) = box.observe(metric, 0.2)
    assert (over.state, over.id) == (AlertState.RESOLVED, fired.id)


def test_the_drift_of_a_feature_does_not_end_by_an_hour_that_cannot_be_judged(drive):
    box = drive(RuleSettings(name="drifts", when="drift.sharpness_ratio > 1"))
    box.observe("drift.sharpness_ratio", 1.5)
    box.go(7200, 60, ("drift.ratio", 1.5))
    assert [alert.event for alert in box.published] == [AlertEvent.FIRED]
    box.go(700, 60)
    assert "no data" in box.published[-1].what, "drift is not judged any more"


def test_an_alert_on_what_is_no_drift_ends_when_nothing_is_observed(drive):
    box = drive(SLOW)
    box.go(400, 10, (LATENCY, 0.6))
    box.go(700, 10, ("camera.down", 1))
    assert box.published[-1].state is AlertState.RESOLVED


def test_a_blip_between_two_ticks_restarts_the_hold(drive):
    box = drive(SLOW)
    box.go(290, 10, (LATENCY, 0.6))
    at = box.now
    blip = [Observation(metric=LATENCY, value=value, at=at + step, labels={"camera": "front"})
            for step, value in ((0.2, 0.1), (0.5, 0.6))]  # fmt: skip
    box.now += 1
    assert box.step(*blip) == []
    assert box.go(290, 10, (LATENCY, 0.6)) == []
    assert len(box.go(20, 10, (LATENCY, 0.6))) == 1


def test_nan_changes_nothing(drive):
    box = drive(HOT)
    box.observe("host.temperature_celsius", 90)
    assert box.observe("host.temperature_celsius", float("nan")) == []


# -- one alert per camera and cause ----------------------------------------------------------------------


@pytest.mark.parametrize("state", ["down", "frozen", "covered", "black"])
def test_a_faulty_camera_inhibits_its_latency_frames_and_drift(drive, state):
    box = drive(defaults=True)
    bad = [(LATENCY, 9), ("camera.fps_in", 0), ("drift.ratio", 5)]
    box.go(600, 10, (f"camera.{state}", 1), *bad)
    assert box.events() == [(f"camera_{state}", "fired")]
    box.go(60, 10, (f"camera.{state}", 0), (LATENCY, 0.1), ("camera.fps_in", 10), ("drift.ratio", 0.1))
    assert box.events()[1:] == [(f"camera_{state}", "resolved")]


def test_what_a_fault_explained_is_published_when_it_outlives_the_fault(drive):
    box = drive(defaults=True)
    box.go(600, 10, ("camera.down", 1), ("drift.ratio", 5))
    box.go(120, 10, ("camera.down", 0), ("drift.ratio", 5))
    assert box.events() == [("camera_down", "fired"), ("camera_down", "resolved"), ("drift", "fired")]


def test_another_camera_is_not_inhibited(drive):
    box = drive(defaults=True)
    box.observe("camera.down", 1, {"camera": "yard"})
    box.observe("drift.ratio", 5)
    assert box.events() == [("drift", "fired")]


def test_of_one_cause_the_worst_is_published_and_names_the_others(drive):
    box = drive(
        RuleSettings(name="one", when="camera.fps_in < 5"),
        RuleSettings(name="two", when="camera.latency_p99_seconds > 1"),
        RuleSettings(name="worst", when="camera.latency_p99_seconds > 2", severity="critical"),
    )
    box.go(1, 1, ("camera.fps_in", 1), (LATENCY, 3))
    assert box.events() == [("worst", "fired")]
    assert box.published[0].evidence["also"] == ["one", "two"]
    held = {standing.alert.rule: standing.suppressed_by for standing in box.engine.active_alerts(box.now)}
    assert held == {
        "worst": "",
        "one": f"grouped with {box.published[0].id}",
        "two": f"grouped with {box.published[0].id}",
    }
    box.go(1, 1, ("camera.fps_in", 1), (LATENCY, 0.1))
    assert box.events()[1:] == [("worst", "resolved"), ("one", "fired")]


def test_a_worse_alert_is_published_beside_a_milder_one(drive):
    box = drive(defaults=True)
    host = {}
    for value in (0.95, 0.99):
        for _ in range(400):
            box.now += 1
            box.observe("host.disk_used_ratio", value, host)
    assert box.events() == [("disk", "fired"), ("disk_full", "fired")]


def test_groups_can_be_parted(drive):
    box = drive(
        RuleSettings(name="one", when="camera.fps_in < 5", group="mine"),
        RuleSettings(name="two", when="camera.latency_p99_seconds > 1"),
    )
    box.go(1, 1, ("camera.fps_in", 1), (LATENCY, 3))
    assert len(box.published) == 2


# -- the other kinds of rule -----------------------------------------------------------------------------


def test_absence(drive):
    box = drive(RuleSettings(name="silent", when="absent(camera.fps_in) for 3m"))
    assert box.go(1000) == []  # never seen: not expected
    box.observe("camera.fps_in", 10)
    assert box.go(179) == []
    (alert,) = box.go(1)
    assert alert.what.startswith("camera front: no report of frames received for 3 min, since ")
    assert alert.expected == "one at least every 3 min"
    (over,) = box.observe("camera.fps_in", 10)
    assert over.state is AlertState.RESOLVED


def test_a_camera_that_was_removed_leaves_nothing_behind(drive):
    box = drive(RuleSettings(name="silent", when="absent(camera.fps_in) for 3m"), SLOW)
    box.go(400, 60, ("camera.fps_in", 5), (LATENCY, 1))
    box.engine.remove_targets({"camera": "front"}, box.now)
    (over,) = box.go(1)
    assert over.state is AlertState.RESOLVED
    assert "no longer watched" in over.what
    assert box.go(1000) == []


def test_rate_of_a_counter_survives_its_reset(drive):
    box = drive(RuleSettings(name="lost", when="rate(host.outbox_lost_total, 10m) > 0"))
    for value in (5, 5, 5, 0, 0):
        box.observe("host.outbox_lost_total", value, {})
        box.now += 60
    assert box.published == []
    (alert,) = box.observe("host.outbox_lost_total", 3, {})
    assert alert.what == "host: messages lost rose by 3 in 10 min"
    assert alert.expected == "no rise in 10 min"
    for _ in range(12):
        box.now += 60
        box.observe("host.outbox_lost_total", 3, {})
    assert box.published[-1].state is AlertState.RESOLVED


def test_rate_of_a_gauge_may_fall(drive):
    box = drive(RuleSettings(name="leak", when="rate(host.memory_available_bytes, 10m) < -1e6"))
    for step in range(15):
        box.observe("host.memory_available_bytes", 8e9 - step * 120e6, {})
        box.now += 60
    (alert,) = box.published
    assert "memory available fell by 720 MB in 10 min" in alert.what


def test_burn_needs_both_windows_and_ends_soon(drive):
    box = drive(RuleSettings(name="slo", when="burn(camera.latency_seconds > 0.5, 99%) > 10"))
    labels = {"camera": "front", "target": "0.5"}

    def minutes(count, share):
        for _ in range(count):
            box.now += 60
            box.observe("camera.latency_over_ratio", share, labels, evidence={"frames": 600})

    minutes(60, 0.0)
    minutes(5, 0.4)
    assert box.published == []  # 40 times too fast, but only for five minutes: 3 % of the hour
    minutes(12, 0.4)
    (alert,) = box.published
    assert "of frames over 0.5 s latency" in alert.what
    assert alert.expected == "99 % of frames within 0.5 s latency"
    minutes(6, 0.0)
    assert box.published[-1].state is AlertState.RESOLVED


def test_burn_of_windows_by_their_own_target(drive):
    box = drive(RuleSettings(name="slo", when="burn(camera.latency_p99_seconds > 0.5, 90%) > 5"))
    box.go(2400, 60, (LATENCY, 0.2))
    assert box.published == []
    box.go(2400, 60, (LATENCY, 0.9))
    assert box.events() == [("slo", "fired")]
    assert "of windows with latency p99 > 0.5 s" in box.published[0].what


def day(hour):
    """Latency with a daily cycle: 0.1 s at night, 0.3 s by day."""
    return 0.3 if 7 <= hour < 19 else 0.1


def test_anomaly_knows_the_hour(drive):
    box = drive(RuleSettings(name="odd", when="anomaly(camera.latency_p99_seconds) > 8 for 15m"))
    box.now = 1_700_006_400.0  # 2023-11-15 00:00 UTC
    for step in range(5 * 288):
        hour = step % 288 // 12
        box.observe(LATENCY, day(hour) * (1 + 0.02 * (step % 7 - 3)))
        box.now += 300
    assert box.published == []
    box.go(3 * 3600, 300, (LATENCY, 0.1))
    assert box.published == []
    box.go(1800, 300, (LATENCY, 0.3))  # usual at noon, unusual at three in the night
    (alert,) = box.published
    assert "0.3 s, unusually high" in alert.what
    assert "at 02-05 UTC of the last 5 days" in alert.expected
    twin = restarted(box)
    twin.engine.restore_memory(json.loads(json.dumps(box.engine.memory_snapshot())))
    assert twin.go(600, 300, (LATENCY, 0.3)) == []
    assert [alert.state for alert in twin.go(300, 300, (LATENCY, 0.1))] == [AlertState.RESOLVED]


def test_drift_carries_the_verdict(drive):
    box = drive(defaults=True)
    (alert,) = box.observe(
        "drift.ratio",
        1.8,
        text="drift: sharpness KS 0.41, 1.8 times its limit; it fell from 210 to 35",
        evidence={"features": ["sharpness"], "window": "over the last 16 min"},
    )
    assert alert.what == "camera front: drift: sharpness KS 0.41, 1.8 times its limit; it fell from 210 to 35"
    assert alert.window == "over the last 16 min"
    assert alert.evidence["features"] == ["sharpness"]


# -- people ----------------------------------------------------------------------------------------------


def control(box, kind, **about):
    return box.engine.apply(Control(kind=kind, who="ada", why="testing", at=box.now, **about))


def test_acknowledge_is_published_and_ends_with_the_alert(drive):
    box = drive(HOT)
    (fired,) = box.observe("host.temperature_celsius", 90, {})
    control(box, ControlKind.ACKNOWLEDGE, alert=fired.id)
    (update,) = box.step()
    assert (update.event.value, update.controls["acknowledged"]["who"]) == ("acknowledged", "ada")
    (over,) = box.observe("host.temperature_celsius", 50, {})
    assert over.state is AlertState.RESOLVED
    assert box.engine.controls.entries == ()


def test_a_snoozed_alert_is_published_again_when_the_snooze_ends(drive):
    box = drive(HOT)
    box.observe("host.temperature_celsius", 90, {})
    control(box, ControlKind.SNOOZE, rule="hot", labels={}, until=box.now + 100)
    assert [alert.event.value for alert in box.go(99)] == ["snoozed"]
    assert [alert.event.value for alert in box.go(2)] == ["reminder"]


def test_a_snooze_keeps_the_next_one_quiet_too(drive):
    box = drive(HOT)
    box.observe("host.temperature_celsius", 90, {})
    control(box, ControlKind.SNOOZE, rule="hot", labels={}, until=box.now + 100)
    box.go(10)
    assert [alert.event.value for alert in box.observe("host.temperature_celsius", 50, {})] == ["resolved"]
    box.now += 10
    assert box.observe("host.temperature_celsius", 90, {}) == []
    assert [alert.event.value for alert in box.go(100)] == ["fired"]


def test_undoing_a_snooze_brings_no_second_alarm(drive):
    box = drive(HOT)
    box.observe("host.temperature_celsius", 90, {})
    made = control(box, ControlKind.SNOOZE, rule="hot", labels={}, until=box.now + 100)
    box.go(1)
    box.engine.undo(made.id, box.now, who="ada")
    assert [alert.event.value for alert in box.go(200)] == ["undone"]


def test_mute_by_schedule_in_local_time(drive):
    box = drive(HOT)
    control(box, ControlKind.MUTE, schedule="23:00-24:00")  # it is 22:13 UTC, 23:13 an hour further east
    observation = Observation(metric="host.temperature_celsius", value=90.0, at=box.now)
    assert box.step(observation, utc_offset=3600.0) == []
    assert box.engine.active_alerts(box.now)[0].suppressed_by == "muted (c1)"
    assert len(box.step(utc_offset=0.0)) == 1


def test_a_changed_limit_moves_the_clear_value_and_can_be_undone(drive):
    box = drive(SLOW)
    made = control(box, ControlKind.LIMIT, rule="slow", labels={"camera": "front"}, value=2.0)
    assert box.go(400, 10, (LATENCY, 1.5)) == []
    box.go(310, 10, (LATENCY, 2.5))
    assert box.published[-1].expected == "at most 2 s"
    assert box.published[-1].controls["limit"]["who"] == "ada"
    assert box.go(20, 10, (LATENCY, 1.95)) == []
    assert box.go(20, 10, (LATENCY, 1.85))[0].state is AlertState.RESOLVED
    box.engine.undo(made.id, box.now, who="ada")
    assert len(box.go(320, 10, (LATENCY, 1.5))) == 1


@pytest.mark.parametrize(
    ("kind", "about", "said"),
    [
        (ControlKind.ACKNOWLEDGE, {"alert": "nothing"}, "there is no alert 'nothing'"),
        (ControlKind.LIMIT, {"rule": "nothing", "value": 1.0}, "there is no rule 'nothing'"),
        (ControlKind.LIMIT, {"rule": "hot", "value": float("inf")}, "finite"),
        (ControlKind.MUTE, {}, "say what to mute"),
        (ControlKind.MUTE, {"schedule": "sometimes"}, "is not a schedule"),
        (ControlKind.SNOOZE, {"rule": "hot"}, "until when"),
        (ControlKind.MUTE, {"rule": "hot", "until": 5.0}, "in the past"),
    ],
)
def test_senseless_controls_are_refused(drive, kind, about, said):
    with pytest.raises(VedetteError, match=said):
        control(drive(HOT), kind, **about)


def test_an_id_may_be_cut_short_while_it_is_plain(drive):
    box = drive(HOT)
    for sensor in ("a", "b"):
        box.observe("host.temperature_celsius", 90, {"sensor": sensor})
    with pytest.raises(VedetteError, match="several alerts begin with 'hot'"):
        box.engine.find("hot")
    assert box.engine.find("hot-b").labels == {"sensor": "b"}


# -- restart, reload, clocks -----------------------------------------------------------------------------


def test_a_firing_alert_is_not_published_again_after_a_restart(drive):
    box = drive(HOT)
    box.observe("host.temperature_celsius", 90, {})
    twin = restarted(box, away=3600)
    assert twin.go(100) == []
    assert twin.observe("host.temperature_celsius", 90, {}) == []
    (over,) = twin.observe("host.temperature_celsius", 50, {})
    assert (over.id, over.first_seen) == (box.published[0].id, START)


def test_what_is_not_observed_again_after_a_restart_resolves(drive):
    box = drive(HOT)
    box.observe("host.temperature_celsius", 90, {})
    twin = restarted(box, away=3600)
    (over,) = twin.go(310)
    assert over.state is AlertState.RESOLVED


DOWN = RuleSettings(name="down", when="camera.down for 15s")


def test_a_camera_that_is_still_down_after_a_restart_is_not_published_again(drive):
    """A camera begins as `starting`, and is found down only after a while."""
    box = drive(DOWN)
    box.go(20, 1, ("camera.down", 1))
    twin = restarted(box, away=5)
    assert twin.go(12, 1, ("camera.down", 0)) == []
    assert twin.go(600, 1, ("camera.down", 1)) == []
    (over,) = twin.go(2, 1, ("camera.down", 0))
    assert (over.id, over.state) == (box.published[0].id, AlertState.RESOLVED)


def test_a_camera_that_came_back_while_the_agent_was_off_resolves(drive):
    box = drive(DOWN)
    box.go(20, 1, ("camera.down", 1))
    twin = restarted(box, away=5)
    (over,) = twin.go(SETTLE_SECONDS, 1, ("camera.down", 0))
    assert (over.state, over.changed_at) == (AlertState.RESOLVED, twin.now)


def test_what_was_asked_for_just_before_the_end_is_published_after_it(drive):
    box = drive(HOT)
    (fired,) = box.observe("host.temperature_celsius", 90, {})
    control(box, ControlKind.ACKNOWLEDGE, alert=fired.id)
    twin = restarted(box)
    assert [(alert.id, alert.event.value) for alert in twin.go(1)] == [(fired.id, "acknowledged")]


def test_a_short_restart_does_not_restart_a_hold(drive):
    box = drive(SLOW)
    box.go(250, 10, (LATENCY, 1))
    twin = restarted(box, away=20)
    assert len(twin.go(60, 10, (LATENCY, 1))) == 1
    twin = restarted(box, away=4000)
    assert twin.go(60, 10, (LATENCY, 1)) == []


def test_controls_limits_and_silence_survive_a_restart(drive):
    box = drive(HOT, RuleSettings(name="silent", when="absent(camera.fps_in) for 3m"))
    box.observe("camera.fps_in", 5)
    control(box, ControlKind.LIMIT, rule="hot", value=95.0)
    twin = restarted(box, away=7200)
    assert twin.observe("host.temperature_celsius", 90, {}) == []
    assert len(twin.go(181)) == 1  # the time off does not count, but the camera is expected
    assert twin.engine.undo("c1", twin.now, who="ada").value == 95.0


def test_a_rule_that_was_removed_resolves_its_alert(drive):
    box = drive(HOT)
    box.observe("host.temperature_celsius", 90, {})
    box.engine.set_rules(compile_rules([SLOW], AlertSettings(default_rules=False)))
    (over,) = box.go(1)
    assert "the rule was removed" in over.what
    twin = restarted(box)
    assert twin.go(400) == []


def test_a_reload_keeps_what_fires(drive):
    box = drive(HOT)
    box.observe("host.temperature_celsius", 90, {})
    box.engine.set_rules(
        compile_rules([dataclasses.replace(HOT, advice="other")], AlertSettings(default_rules=False))
    )
    assert box.go(10) == []
    (over,) = box.observe("host.temperature_celsius", 10, {})
    assert over.state is AlertState.RESOLVED


@pytest.mark.parametrize("jump", [1e7, -1e7])
def test_a_clock_that_is_set_neither_fires_nor_freezes(drive, jump):
    box = drive(SLOW)
    for _ in range(28):
        box.now += 10
        box.step(Observation(metric=LATENCY, value=1.0, at=box.now, labels={"camera": "front"}))
    fired_after = 0
    while not box.published:
        box.now, fired_after = box.now + 10, fired_after + 10
        box.step(
            Observation(metric=LATENCY, value=1.0, at=box.now, labels={"camera": "front"}), unix_offset=jump
        )
        assert fired_after <= 40
    assert fired_after == 30
    assert box.published[0].first_seen == START + 10 + jump


def test_a_snapshot_from_the_future_is_moved_to_now(drive):
    box = drive(HOT)
    box.observe("host.temperature_celsius", 90, {})
    twin = restarted(box, away=-1e8)
    (over,) = twin.observe("host.temperature_celsius", 10, {})
    assert over.first_seen == START - 1e8
    assert over.window.endswith("lasted 0 s")


@pytest.mark.parametrize(
    "broken", [{}, {"tracks": 5}, {"tracks": [{}], "controls": {}, "series": {}, "saved_at": 0}]
)
def test_a_snapshot_that_is_none_is_refused_whole(broken):
    with pytest.raises((KeyError, TypeError, ValueError)):
        AlertEngine(compile_rules()).restore(broken, 0.0)


# -- many ------------------------------------------------------------------------------------------------


def test_ten_thousand_alerts_at_once(drive):
    box = drive(HOT)
    burst = [
        Observation(metric="host.temperature_celsius", value=90.0, at=box.now, labels={"sensor": str(number)})
        for number in range(10_000)
    ]
    assert len(box.step(*burst)) == MOST_PUBLISHED
    assert box.engine.waiting == 10_000 - MOST_PUBLISHED
    assert len({alert.id for alert in box.published}) == MOST_PUBLISHED
    assert box.go(1) == []


def test_who_waits_has_its_turn_and_the_worst_wait_for_nobody(drive, monkeypatch):
    monkeypatch.setattr("agent.alerts.engine.MOST_PUBLISHED", 2)
    fire = RuleSettings(name="fire", when="host.temperature_celsius > 200", severity="critical", group="fire")
    box = drive(HOT, fire)
    for sensor in "abcd":
        box.observe("host.temperature_celsius", 90, {"sensor": sensor})
    assert [alert.labels["sensor"] for alert in box.published] == ["a", "b"]
    held = {item.alert.labels["sensor"]: item.suppressed_by for item in box.engine.active_alerts(box.now)}
    assert held == {"a": "", "b": "", "c": TOO_MANY, "d": TOO_MANY}
    assert [alert.rule for alert in box.observe("host.temperature_celsius", 250, {"sensor": "d"})] == ["fire"]
    alerts = box.observe("host.temperature_celsius", 20, {"sensor": "a"})
    assert [(alert.labels["sensor"], alert.state.value) for alert in alerts] == [
        ("a", "resolved"), ("c", "firing"),
    ]  # fmt: skip


# -- published again ------------------------------------------------------------------------------------------


def test_what_goes_on_is_published_again_until_acknowledged(drive):
    box = drive(RuleSettings(name="fire", when="host.temperature_celsius > 200", severity="critical"))
    hours = AlertSettings().repeat_critical / 3600
    for minute in range(1, round(2 * hours * 60) + 2):
        box.now = START + 60 * minute
        box.observe("host.temperature_celsius", 250, {})
    assert box.events() == [("fire", "fired"), ("fire", "reminder"), ("fire", "reminder")]
    assert box.published[1].changed_at - box.published[0].changed_at == 3600 * hours
    assert box.published[2].first_seen == box.published[0].first_seen
    control(box, ControlKind.ACKNOWLEDGE, alert=box.published[0].id)
    for _ in range(round(3 * hours * 60)):
        box.now += 60
        box.observe("host.temperature_celsius", 250, {})
    assert box.events()[3:] == [("fire", "acknowledged")]


def test_an_info_is_published_once(drive):
    box = drive(RuleSettings(name="warm", when="host.temperature_celsius > 30", severity="info"))
    for _ in range(48):
        box.now += 3600
        box.step(*(Observation(metric="host.temperature_celsius", value=40.0, at=box.now),))
    assert box.events().count(("warm", "reminder")) == 0


def test_what_is_kept_firing_is_shown_as_it_was_published(drive):
    box = drive(RuleSettings(name="frozen", when="camera.frozen", keep_firing=60.0))
    box.observe("camera.frozen", 1, text="the same picture for 15 s")
    box.go(10, 1, ("camera.frozen", 0))
    (standing,) = box.engine.active_alerts(box.now)
    assert standing.alert.what == "camera front is frozen: the same picture for 15 s"


def test_between_limit_and_clear_value_it_states_what_ends_it(drive):
    box = drive(RuleSettings(name="slow", when="camera.latency_p99_seconds > 0.5", clear="0.4"))
    box.observe(LATENCY, 0.6)
    box.observe(LATENCY, 0.45)
    (standing,) = box.engine.active_alerts(box.now)
    assert standing.alert.expected == "at most 0.5 s; it is over at 0.4 s"


def test_memory_is_bounded(drive, monkeypatch):
    monkeypatch.setattr("agent.alerts.rule_monitor.MOST_INSTANCES", 100)
    box = drive(HOT)
    box.step(
        *(
            Observation(
                metric="host.temperature_celsius", value=90.0, at=box.now, labels={"sensor": str(number)}
            )
            for number in range(300)
        )
    )
    assert (len(box.published), box.engine.refused) == (100, 200)


values = st.lists(st.tuples(st.integers(1, 200), st.sampled_from([0.1, 0.45, 0.6])), min_size=1, max_size=40)


@settings(max_examples=200)
@given(values, st.sampled_from([0, 100]), st.sampled_from([0, 150]))
def test_hysteresis_agrees_with_a_model(drive, steps, hold, keep):
    """Over 0.5 it fires once that has held; below 0.4 it ends once that has lasted; in between it stays as it is."""
    box = drive(RuleSettings(name="slow", when=f"{LATENCY} > 0.5", clear="0.4", hold=hold, keep_firing=keep))
    changes, since, last, firing, fires = [], None, 0.0, False, []
    for gap, value in steps:
        box.now += gap
        box.observe(LATENCY, value)
        true = value > (0.4 if firing else 0.5)
        fires = [fired for fired in fires if box.now - fired < FLAP_SECONDS]
        since = (box.now if since is None else since) if true else None
        last = box.now if true else last
        patience = max(keep, FLAP_HOLD_SECONDS) if len(fires) >= FLAP_FIRES else keep
        if firing and not true and box.now - last >= patience:
            firing, changes = False, [*changes, (box.now, "resolved")]
        elif not firing and true and box.now - since >= hold:
            firing, changes, fires = True, [*changes, (box.now, "fired")], [*fires, box.now]
    assert [(alert.changed_at, alert.event.value) for alert in box.published] == changes


@settings(max_examples=60, deadline=None)
@given(values, st.integers(0, 39))
def test_a_restart_at_any_moment_publishes_the_same(drive, steps, cut):
    """With and without a restart in between, the same is published (law 4)."""
    one, two = drive(SLOW, HOT), drive(SLOW, HOT)
    for number, (gap, value) in enumerate(steps):
        for box in (one, two):
            box.now += gap
        if number == cut:
            before, two = two.published, restarted(two)
            two.published = before
        for box in (one, two):
            box.observe(LATENCY, value)
    assert [(alert.id, alert.event, alert.what) for alert in one.published] == [
        (alert.id, alert.event, alert.what) for alert in two.published
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["one", "two", "worst"]), st.booleans()), max_size=40))
def test_never_two_equals_of_a_group_and_every_end_is_published(drive, steps):
    rules = [
        RuleSettings(name=name, when=f"camera.{metric} > 0", severity=severity, group="g")
        for name, metric, severity in (
            ("one", "fps_in", "warning"), ("two", "detections", "warning"), ("worst", "batch_mean", "critical"))
    ]  # fmt: skip
    metrics = {"one": "camera.fps_in", "two": "camera.detections", "worst": "camera.batch_mean"}
    box, live = drive(*rules), {}
    for rule, true in steps:
        box.now += 1
        for alert in box.observe(metrics[rule], true):
            if alert.state is AlertState.RESOLVED:
                del live[alert.id]
            else:
                assert alert.id not in live
                assert all(other is Severity.WARNING for other in live.values())
                assert not live or alert.severity is Severity.CRITICAL
                live[alert.id] = alert.severity
    box.now += 3600
    ended = [alert.id for alert in box.step() if alert.state is AlertState.RESOLVED]
    box.now += 3600
    ended += [alert.id for alert in box.step() if alert.state is AlertState.RESOLVED]
    assert sorted(ended) == sorted(live)


def test_what_a_removed_camera_still_waits_for_does_not_fire(drive):
    box = drive(RuleSettings(name="no_frames", when="camera.fps_in <= 0 for 3m"))
    box.observe("camera.fps_in", 0)
    box.engine.remove_targets({"camera": "front"}, box.now)
    assert box.observe("camera.fps_in", 0) == [], "a hold begins anew"
    assert box.go(120, 60, ("camera.fps_in", 0)) == []
    assert len(box.go(120, 60, ("camera.fps_in", 0))) == 1


def test_no_storm_of_reloads_makes_an_alert_fire_before_its_time(drive):
    rule = RuleSettings(name="no_frames", when="camera.fps_in <= 0 for 3m")
    other = RuleSettings(name="no_frames", when="camera.fps_in <= 1 for 3m")
    for seed in range(200):
        box, chance, zero_since = drive(rule), random.Random(seed), None
        for _ in range(60):
            box.now += chance.choice((1, 5, 30, 60))
            act = chance.random()
            if act < 0.2:
                box.engine.remove_targets({"camera": "front"}, box.now)
                zero_since = None
            elif act < 0.3:
                box.engine.set_rules(
                    compile_rules((chance.choice((rule, other)),), AlertSettings(default_rules=False))
                )
            value = chance.choice((0, 0, 0, 0, 10))
            zero_since = None if value else (box.now if zero_since is None else zero_since)
            for alert in box.observe("camera.fps_in", value):
                if alert.event is AlertEvent.FIRED:
                    assert zero_since is not None, seed
                    assert box.now - zero_since >= 180, (seed, alert.window)
