"""What a subscriber shows: the newest of everything, alerts until they are resolved, rubbish passed over."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agent.dashboard.fleet import Fleet
from agent.dashboard.view import draw, drift_text, seen_classes, spark


def hear(fleet, topic, now=0.0, **body):
    fleet.hear(f"vedette/north/box/{topic}", json.dumps(body).encode(), now)


def shown(fleet, now=1.0):
    console = Console(width=120, record=True, file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115
    console.print(draw(fleet, now, title="title"))
    return console.export_text()


def test_a_device_is_drawn_with_its_cameras_load_and_alerts():
    fleet = Fleet()
    hear(fleet, "status", state="online")
    hear(fleet, "info", model_name="yolo11n", model_provider="cpu")
    hear(fleet, "host", cpu_ratio=0.5, memory_used_ratio=0.25, process_memory_bytes=3e8)
    hear(fleet, "camera/front", state="frozen", fps_inferred=12.5, latency_p99_seconds=0.05, detections_car=7)
    hear(
        fleet,
        "alert/a",
        id="a",
        state="firing",
        severity="critical",
        what="camera front is frozen",
        expected="motion",
    )
    text = shown(fleet)
    for words in (
        "north/box",
        "online",
        "yolo11n on cpu",
        "cpu 50 %",
        "front",
        "frozen",
        "12.5",
        "car 7",
        "is frozen",
    ):
        assert words in text, words


def test_an_alert_goes_when_it_is_resolved_and_is_told_once():
    fleet = Fleet()
    for state in ("firing", "firing", "resolved"):
        hear(fleet, "alert/a", id="a", state=state)
    fleet.hear("vedette/north/box/alert/a", b"", 0.0)  # the retained message is cleared
    (device,) = fleet.devices.values()
    assert device.alerts == {}
    assert [event["state"] for event in fleet.events] == ["firing", "resolved"]


@pytest.mark.parametrize("topic", ["other/north/box/status", "vedette/north/box", "vedette"])
def test_what_is_not_ours_is_passed_over(topic):
    fleet = Fleet()
    fleet.hear(topic, b"{}", 0.0)
    assert fleet.devices == {}


@given(st.binary(max_size=60))
def test_no_payload_stops_the_view(payload):
    fleet = Fleet()
    fleet.hear("vedette/n/b/camera/front", payload, 0.0)
    assert len(fleet.devices) + fleet.unreadable == 1


def test_another_prefix_is_heard_when_asked_for():
    fleet = Fleet("acme/edge")
    fleet.hear("acme/edge/n/b/status", b'{"state": "online"}', 0.0)
    assert ("n", "b") in fleet.devices


def test_an_empty_fleet_says_so():
    assert "nothing heard yet" in shown(Fleet())


def test_small_pieces():
    assert spark([]) == spark([0, 0]) == ""
    assert spark([1, 2, 4])[-1] == "█"
    assert seen_classes({"detections_car": 3, "detections_person": 9, "detections_per_frame": 2.0}) == [
        "person 9",
        "car 3",
    ]
    assert drift_text({}).plain == "-"
    assert drift_text({"drift_ratio": 1.2}).style == "bold red"
    drifted = drift_text({"drift_ratio": 0.6, "drift_state": "drift", "drift_feature": "noise"})
    assert (drifted.plain, drifted.style) == ("0.60 noise", "bold red"), "the alarm outlasts the score"
    assert drift_text({"drift_state": "unusable"}).plain == "unusable"
