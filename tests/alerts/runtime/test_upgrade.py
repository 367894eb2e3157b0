"""What the version before (commit 845a528) left in a state directory is read: alerts, controls, history, notices.

`tests/data/upgrade/845a528` was written by that version's own code on a clock that began at 2026-11-25: nine rules,
one for each function, an acknowledgement, a snooze, a mute and a changed limit; `expected.json` holds its answers.
"""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest

from agent.alerts.engine import AlertEngine
from agent.alerts.replay import replay
from agent.alerts.rules import compile_rules
from agent.alerts.runtime import observation_log
from agent.alerts.runtime.service import AlertService
from agent.alerts.runtime.store import AlertStore
from agent.config.alert_settings import AlertSettings, NotifierSettings, RuleSettings
from agent.core.types import AlertState, Observation
from agent.notifiers.runner import NotifierWorker
from tests.clocks import Machine

WRITTEN = Path(__file__).parents[2] / "data" / "upgrade" / "845a528"
EXPECTED = json.loads((WRITTEN / "expected.json").read_text())
RESTART = EXPECTED["now"] + 20.0
RULES = compile_rules(
    [RuleSettings(**rule) for rule in EXPECTED["rules"]], AlertSettings(default_rules=False)
)
FIRING = {alert["id"] for alert in EXPECTED["alerts"] if alert["told"]}


@pytest.fixture
def state(tmp_path):
    return Path(shutil.copytree(WRITTEN, tmp_path / "state"))


@pytest.fixture
def service(state, monkeypatch):
    Machine(true=RESTART).install(monkeypatch)
    service = AlertService(AlertEngine(RULES), AlertStore(state))
    service.open()
    yield service
    service.close()


def observations(latency_yard=0.8, temperature=90.0):
    values = [
        ("host.temperature_celsius", temperature, {}, {}),
        ("camera.latency_p99_seconds", 0.9, {"camera": "front"}, {}),
        ("camera.latency_p99_seconds", latency_yard, {"camera": "yard"}, {}),
        ("camera.wait_p99_seconds", 0.9, {"camera": "front"}, {}),
        ("camera.black", 1.0, {"camera": "yard"}, {}),
        ("host.outbox_lost_total", 7.0, {}, {}),
        ("camera.latency_over_ratio", 0.9, {"camera": "gate", "target": "0.5"}, {"frames": 100}),
        ("host.disk_used_ratio", 0.95, {}, {}),
        ("camera.detections", 5000.0, {"camera": "front"}, {}),
    ]
    return [
        Observation(metric=metric, value=value, at=RESTART + 1, labels=labels, evidence=evidence)
        for metric, value, labels, evidence in values
    ]


def ask(service, command, **args):
    return service.handlers()[command](args)


def test_firing_alerts_continue_with_their_ids_and_nothing_is_published_anew(service):
    assert {alert["id"] for alert in ask(service, "alerts")["alerts"]} == FIRING
    step = service.step(observations(), RESTART + 1)
    assert (step.publish, step.notify) == ((), ())
    alerts = {alert["id"]: alert for alert in ask(service, "alerts", all=True)["alerts"]}
    for before in EXPECTED["alerts"]:
        if before["rule"] == "silent":  # the time off does not count: it waits anew
            continue
        after = alerts[before["id"]]
        assert {key: after[key] for key in before if key != "held_back"} == {
            key: value for key, value in before.items() if key != "held_back"
        }
        assert bool(after["held_back"]) is bool(before["held_back"])  # its wording may change


def test_controls_hold(service):
    assert ask(service, "controls")["controls"] == EXPECTED["controls"]
    service.step(observations(), RESTART + 1)
    controls = {alert["rule"]: alert["controls"] for alert in ask(service, "alerts")["alerts"]}
    assert controls["hot"]["acknowledged"]["who"] == "ada"
    assert controls["slow"]["snoozed"]["who"] == "bob"
    (yard,) = [
        alert
        for alert in ask(service, "alerts", all=True)["alerts"]
        if (alert["rule"], alert["labels"]) == ("slow", {"camera": "yard"})
    ]
    assert (yard["evidence"]["limit"], yard["controls"]["limit"]["value"]) == (0.7, 0.7)


def test_an_alert_of_before_resolves_as_itself(service):
    step = service.step(observations(temperature=60.0), RESTART + 1)
    (end,) = step.publish
    assert (end.rule, end.state, end.id in FIRING) == ("hot", AlertState.RESOLVED, True)
    assert "c1" not in {control["id"] for control in ask(service, "controls")["controls"]}


def test_the_history_is_read(service):
    history = ask(service, "history", since="3d")["alerts"]
    assert [[alert["id"], alert["event"]] for alert in history] == EXPECTED["history"]


def test_recorded_observations_are_replayed(state):
    days = observation_log.days(state)
    assert list(days) == ["2026-11-25", "2026-11-26", "2026-11-27"]
    recorded = [item for path in days.values() for item in observation_log.read(path)]
    fired = {alert.rule for alert in replay(RULES, recorded)}
    assert fired == {"hot", "slow", "dark", "lost", "burnt", "odd", "full"}


class Recorder:
    """A notifier that takes everything."""

    refresh_seconds, timeout_seconds = 0.0, 10.0

    def __init__(self):
        self.notices = []

    def send(self, notice):
        self.notices.append(notice)


def test_notices_that_waited_are_sent(state):
    recorder, stopped = Recorder(), threading.Event()
    stopped.set()
    settings = NotifierSettings(name="mail", kind="webhook", group_interval=0.0)
    worker = NotifierWorker([(settings, recorder)], state, device="box", site="site")
    worker.run(stopped)
    for second in range(2):
        worker.work(RESTART + 100 + second, 1000.0 + second)
    queued, gathered = recorder.notices
    (waiting,) = json.loads((WRITTEN / "notices.json").read_text())["mail"]["queue"]
    assert [alert.id for alert in queued.alerts] == [alert["id"] for alert in waiting["alerts"]]
    assert [alert.rule for alert in gathered.alerts] == ["slow"]
