"""Each kind of rule fires and resolves in a scripted run; a real broker hears it, valid against the schema."""

from __future__ import annotations

import threading

import pytest

from agent.alerts.engine import AlertEngine
from agent.alerts.rules import compile_rules
from agent.config.alert_settings import AlertSettings, RuleSettings
from agent.config.delivery_settings import BrokerSettings, OutboxSettings
from agent.core.types import Observation
from agent.delivery.identity import Identity
from agent.delivery.messages import alert_draft
from agent.delivery.publisher import Publisher
from agent.delivery.verify.schemas import violations

pytestmark = pytest.mark.broker

DAY, START = 86400.0, 1_700_006_400.0  # 2023-11-15 00:00 UTC
CAMERA = {"camera": "front"}
BAD = 4 * 1440 + 100  # the minute in which all goes wrong, for 40 minutes
KINDS = {
    "threshold": "camera.latency_p99_seconds > 0.5 for 5m",
    "state": "camera.frozen for 1m",
    "absence": "absent(camera.batch_mean) for 10m",
    "rate": "rate(host.outbox_lost_total, 10m) > 0",
    "anomaly": "anomaly(camera.detections) > 6 for 15m",
    "drift": "drift.ratio > 1",
    "burn": "burn(camera.latency_seconds > 0.5, 99%) > 10",
    "outliers": "drift.outlier_ratio > 5% for 5m",
    "disk": "host.disk_used_ratio > 90% for 5m",
    "outbox": "host.outbox_used_ratio > 80% for 1m",
}
DRIFT_WORDS = (
    "drift of sharpness, 1.5 times the limit: sharpness 31/35/41 instead of 180/210/240 (p10/p50/p90) over 16 min; "
    "compared with 01-02 h UTC"
)
DRIFT_EVIDENCE = {
    "window": "over 01:24:00-01:40:00 UTC, compared with 01-02 h UTC",
    "hour_compared": "01-02 UTC",
    "features": {
        "sharpness": {"ratio": 1.5, "now_p10_p50_p90": [31, 35, 41], "normal_p10_p50_p90": [180, 210, 240]}
    },
}


def minute(number, bad):
    """What is observed in one minute; `bad` in all respects or in none. A day has a busy half."""
    at = START + 60.0 * number
    busy = number % 1440 < 720
    numbers = {
        "camera.latency_p99_seconds": 0.9 if bad else 0.1,
        "camera.detections": 5000.0 if bad else (200.0 if busy else 20.0) + number % 7,
        "drift.ratio": 1.5 if bad else 0.3,
        "drift.outlier_ratio": 0.4 if bad else 0.01,
    }
    # On a camera of its own: what a fault explains is suppressed.
    faulty = {"camera.frozen": ("yard", float(bad))} | ({} if bad else {"camera.batch_mean": ("gate", 1.0)})
    other = [
        Observation(metric=name, value=value, at=at, labels={"camera": camera})
        for name, (camera, value) in faulty.items()
    ]
    drift = {"text": DRIFT_WORDS if bad else "", "evidence": DRIFT_EVIDENCE if bad else {}}
    found = [
        Observation(
            metric=name, value=value, at=at, labels=CAMERA, **(drift if name == "drift.ratio" else {})
        )
        for name, value in numbers.items()
    ]
    share = Observation(
        metric="camera.latency_over_ratio",
        value=0.5 if bad else 0.0,
        at=at,
        labels={**CAMERA, "target": "0.5"},
        evidence={"frames": 600},
    )
    host = {
        "host.outbox_lost_total": float(min(max(0, number - BAD), 40)),
        "host.disk_used_ratio": 0.95 if bad else 0.4,
        "host.outbox_used_ratio": 0.9 if bad else 0.01,
    }
    box = [Observation(metric=name, value=value, at=at) for name, value in host.items()]
    return [*found, *other, share, *box]


def scripted():
    """Four days to learn, 40 bad minutes, an hour of recovery; what the engine tells."""
    rules = [RuleSettings(name=name, when=when, group=name) for name, when in KINDS.items()]
    engine, alerts = AlertEngine(compile_rules(rules, AlertSettings(default_rules=False))), []
    for number in range(4 * 1440 + 200):
        alerts += engine.step(minute(number, BAD <= number < BAD + 40), START + 60.0 * number)
    return alerts


@pytest.fixture
def publisher(mosquitto, tmp_path):
    broker = mosquitto()
    identity = Identity(
        device="box", site="dock", boot="b00t0001", client_id="alerts", topic_prefix="vedette"
    )
    part = Publisher(
        BrokerSettings(url=f"mqtt://127.0.0.1:{broker.port}"), OutboxSettings(), identity, tmp_path
    )
    stop = threading.Event()
    thread = threading.Thread(target=part.run, args=(stop,))
    thread.start()
    part.broker_port = broker.port
    yield part
    stop.set()
    thread.join(10)


def test_every_kind_of_rule_reaches_the_broker_and_leaves_nothing_retained(publisher, listen):
    alerts = scripted()
    by_rule = {name: [alert.event.value for alert in alerts if alert.rule == name] for name in KINDS}
    assert by_rule == {name: ["fired", "resolved"] for name in KINDS}

    listener = listen(publisher.broker_port, "vedette/+/+/alert/#")
    for alert in alerts:
        publisher.publish(alert_draft(alert))
    assert publisher.drain(15)
    heard = listener.wait(
        lambda messages: len([m for m in messages if m.payload]) >= len(alerts) and messages
    )
    bodies = [message.body for message in heard if message.payload]
    assert [violations("alert", body) for body in bodies] == [[]] * len(bodies)
    assert all(body["what"] and body["expected"] and body["window"] for body in bodies)
    late = listen(publisher.broker_port, "vedette/+/+/alert/#")
    assert not [message for message in late.messages if message.retain and message.payload]
