import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import PermanentDelivery
from agent.core.types import AlertEvent, AlertState, CameraState, Draft, Priority, Severity
from agent.delivery.messages import (
    FAMILIES,
    Stamp,
    accuracy_draft,
    advice_draft,
    clears_retained,
    encode,
    gpu_draft,
    info_draft,
    reply_draft,
    rfc3339,
    status_draft,
    unix_time,
)
from agent.delivery.verify.schemas import schema, violations

STAMP = Stamp(prefix="vedette/dock/box", device="box", boot="b00t-e0", seq=7, at=1_790_000_000.25)


def decoded(draft, stamp=STAMP):
    return json.loads(encode(draft, stamp).payload)


def every_draft(drafts):
    return [
        status_draft("online", since=1.0, version="1.2", reason="", started_at=2.0),
        info_draft({"model_name": "yolo11n", "cameras": "front,back", "config_hash": "abc"}),
        drafts.host(
            outbox_messages=3, outbox_durable=1.0, broker_connected=1.0, cpu_temperature_celsius=None
        ),
        gpu_draft(
            0, {"gpu_utilization_ratio": 0.4, "gpu_power_watts": 9.0, "name": "Orin"}, start=1.0, end=2.0
        ),
        drafts.camera(),
        drafts.feature_sketches(),
        accuracy_draft(
            "front",
            {
                "model_name": "yard",
                "model_sha256": "ab",
                "evaluated_at": 1.0,
                "frames_labelled": 3,
                "boxes_labelled": 4,
                "precision_ratio": 0.5,
                "recall_ratio": None,
                "f1_ratio": None,
            },
        ),
        advice_draft(
            "front",
            {
                "action": "mend",
                "words": "clean the lens or the dome",
                "command": "vedette snapshot --camera front",
                "for_it": "the alarm has been on for 40 min; cause: dirt (93 % sure)",
                "against": "accepting it would take a fault for normal",
                "cause": "dirt",
                "cause_confidence": 0.93,
                "drift_since": 1.0,
            },
        ),
        drafts.alert(),
        reply_draft("c1", {"command": "status", "id": "c1", "ok": True}),
    ]


def test_every_family_is_valid_by_its_schema_and_by_jsonschema(drafts):
    jsonschema = pytest.importorskip("jsonschema")
    made = every_draft(drafts)
    assert [draft.family for draft in made] == list(FAMILIES)
    for draft in made:
        body = decoded(draft)
        jsonschema.Draft202012Validator.check_schema(dict(schema(draft.family)))
        jsonschema.Draft202012Validator(schema(draft.family)).validate(body)
        assert violations(draft.family, body) == []
        assert body["schema"] == f"{draft.family}/1"


def test_the_schemas_know_every_state_there_is():
    def states(family, name):
        return set(schema(family)["properties"][name]["enum"])

    assert states("camera", "state") == {state.value for state in CameraState}
    assert states("alert", "state") == {state.value for state in AlertState}
    assert states("alert", "event") == {event.value for event in AlertEvent}
    assert states("alert", "severity") == {severity.value for severity in Severity}


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "schema",
                "device",
                "boot",
                "seq",
                "time",
                "start",
                "end",
                "state",
                "frames_seen",
                "bogus",
                "cpu_ratio",
                "lost",
                "Shout",
                "name",
                "what",
                "evidence",
                "fps_in",
            ]
        ),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-2, 2),
            st.floats(allow_nan=False),
            st.text("ab", max_size=3),
            st.just({}),
            st.just([]),
            st.just("2026-01-01T00:00:00.000Z"),
            st.just("online"),
        ),
    ),
    st.sampled_from(FAMILIES),
)
def test_our_checker_agrees_with_jsonschema(body, family):
    jsonschema = pytest.importorskip("jsonschema")
    assert bool(violations(family, body)) != jsonschema.Draft202012Validator(schema(family)).is_valid(body)


def test_the_envelope(drafts):
    message = encode(drafts.host(), STAMP)
    body = json.loads(message.payload)
    assert message.topic == "vedette/dock/box/host"
    assert (message.qos, message.seq, message.priority) == (1, 7, Priority.SUMMARY)
    assert (body["device"], body["boot"], body["seq"]) == ("box", "b00t-e0", 7)
    assert body["time"] == "2026-09-21T14:13:20.250Z"
    assert body["start"] == rfc3339(1_790_000_000.0)
    assert "lost" not in body


def test_what_json_cannot_carry_becomes_null_or_is_refused():
    body = decoded(
        Draft(topic="host", body={"a": math.nan, "b": -math.inf, "c": np.float32(0.5), "d": np.int64(3)})
    )
    assert (body["a"], body["b"], body["c"], body["d"]) == (None, None, 0.5, 3)
    assert decoded(Draft(topic="alert/x", body={"evidence": {"v": [math.nan, 1.0]}}))["evidence"] == {
        "v": [None, 1]
    }
    with pytest.raises(PermanentDelivery, match="not JSON serializable"):
        encode(Draft(topic="host", body={"a": object()}), STAMP)


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [nested(5000), np.zeros(3), {1, 2}, "\ud800", {"a": nested(5000)}, b"x", 1j],
    ids=["deep", "array", "set", "surrogate", "deep inside", "bytes", "complex"],
)
def test_whatever_cannot_be_a_message_is_one_kind_of_error(value):
    with pytest.raises(PermanentDelivery):
        encode(Draft(topic="host", body={"a": value}), STAMP)


def test_over_64_kilobytes_is_refused():
    with pytest.raises(PermanentDelivery, match="over the limit"):
        encode(Draft(topic="host", body={"a": "x" * 65536}), STAMP)


@pytest.mark.parametrize(
    "topic", ["", "a//b", "camera/#", "camera/+", "/host", "host/", "camera/a b", "camera/\0"]
)
def test_topics_that_mqtt_forbids_are_refused(topic):
    with pytest.raises(PermanentDelivery, match="topic"):
        encode(Draft(topic=topic, body={}), STAMP)


@given(st.floats(0, 4e9))
def test_times_come_back(at):
    assert unix_time(rfc3339(at)) == pytest.approx(at, abs=0.00051)


def test_floats_are_short():
    assert decoded(Draft(topic="host", body={"x_ratio": 1 / 3, "n": 4.0}))["x_ratio"] == 0.3333333
    assert b'"n":4,' in encode(Draft(topic="host", body={"n": 4.0, "m": 1}), STAMP).payload


def test_a_camera_with_20_features_is_compact(drafts):
    summary, sketches = encode(drafts.camera(), STAMP), encode(drafts.feature_sketches(), STAMP)
    assert len(summary.payload) < 2000
    assert len(sketches.payload) < 16_000


def test_alerts_are_retained_until_resolved(drafts):
    firing, resolved = drafts.alert(), drafts.alert(state=AlertState.RESOLVED)
    assert (firing.retain, resolved.retain) == (True, False)
    assert clears_retained("alert", retain=resolved.retain)
    assert not clears_retained("alert", retain=firing.retain)
    assert not clears_retained("camera", retain=False)
    assert firing.priority is Priority.ALERT


def test_moments_inside_of_controls_are_told_as_such():
    """As a short float, 1790000048.5 would be 48 s off."""
    control = {"id": "c1", "who": "ada", "at": 1_790_000_048.5, "until": 1_790_007_200, "value": 0.123456789}
    body = decoded(reply_draft("m1", {"command": "snooze", "id": "m1", "ok": True, "control": control}))
    assert body["control"] == {
        "id": "c1", "who": "ada", "at": rfc3339(1_790_000_048.5), "until": rfc3339(1_790_007_200),
        "value": 0.1234568,
    }  # fmt: skip
