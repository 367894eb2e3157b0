"""What a subscriber knows: the newest of everything within limits, rubbish counted for whoever sent it."""

import json
import tracemalloc

import pytest

from agent.core.untrusted import BadInput
from agent.dashboard.fleet import Fleet
from agent.dashboard.readings import moment
from agent.dashboard.web.rows import row_of
from agent.delivery.verify.stream import Verifier, describe
from agent.references.offline.fleet_merge import Merger, rows
from tests.dashboard.conftest import fuzzed, receive, shown


def test_an_alert_is_removed_when_it_is_resolved_and_is_reported_once():
    fleet = Fleet()
    for state in ("firing", "firing", "resolved"):
        receive(fleet, "alert/a", id="a", state=state)
    fleet.process("vedette/north/box/alert/a", b"", 0.0)  # the retained message is cleared
    (device,) = fleet.devices.values()
    assert device.alerts == {}
    assert [event.alert.state for event in fleet.events] == ["firing", "resolved"]


@pytest.mark.parametrize("topic", ["other/north/box/status", "vedette/north/box", "vedette"])
def test_what_is_not_ours_is_passed_over(topic):
    fleet = Fleet()
    fleet.process(topic, b"{}", 0.0)
    assert fleet.devices == {}


def test_another_prefix_is_subscribed_when_asked_for():
    fleet = Fleet("acme/edge")
    fleet.process("acme/edge/n/b/status", b'{"state": "online"}', 0.0)
    assert ("n", "b") in fleet.devices


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("camera/front", b'{"fps_inferred": "many"}', "`fps_inferred` is a string; expected a number"),
        ("camera/front", b'{"fps_inferred": NaN}', "NaN is not a JSON number"),
        ("camera/front", b"[" * 5000, "nested more than"),
        ("camera/front", b'{"detections_car": 1e400}', "out of range"),
        ("host", b'{"cpu_ratio": {}}', "an object; expected a number"),
        ("alert/a", b'{"id": 1, "state": "firing"}', "`id` is a number"),
        ("alert/a", b'{"id": "a", "state": "firing", "changed_at": "soon"}', "expected a time"),
        ("status", b'{"state": []}', "`state` is a list"),
    ],
)
def test_a_payload_that_is_no_reading_is_counted_for_its_device_and_shown(topic, payload, reason):
    fleet = Fleet()
    receive(fleet, "status", state="online")
    fleet.process(f"vedette/north/box/{topic}", payload, 0.0)
    (device,) = fleet.devices.values()
    assert device.bad == 1
    assert reason in device.bad_reason
    assert "1 message not understood, the last:" in shown(fleet, width=200)


def test_one_devices_rubbish_does_not_hide_the_others():
    fleet = Fleet()
    receive(fleet, "camera/front", device="good", state="online", fps_inferred=12.5)
    for _, payload in fuzzed(1, 300):
        fleet.process("vedette/north/bad/camera/front", payload, 0.0)
    text = shown(fleet)
    assert "north/good" in text
    assert "12.5" in text
    assert "not understood" in text


def test_a_million_topics_fill_no_memory():
    fleet = Fleet(most_devices=20)
    payload = json.dumps({"state": "online", "id": "x", "detections_car": 3}).encode()
    tracemalloc.start()
    sizes = []
    for turn in range(4):
        for number in range(800):
            at = f"{turn}-{number}"
            fleet.process(f"vedette/north/{at}/status", payload, 0.0)
            for family in ("camera", "gpu", "alert"):
                fleet.process(
                    f"vedette/north/0-0/{family}/{at}", payload.replace(b'"x"', b'"%s"' % at.encode()), 0.0
                )
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[-1] < sizes[0] + 200_000
    assert len(fleet.devices) == 20
    device = fleet.devices["north", "0-0"]
    assert (len(device.cameras), len(device.gpus), len(device.alerts)) == (128, 16, 200)
    text = shown(fleet, width=160)
    assert "messages of further devices left out: 20 are shown at most" in text
    assert "more cameras, GPUs or alerts than are kept" in text


def test_a_device_that_was_silent_for_long_makes_way_for_a_new_one():
    fleet = Fleet(most_devices=2)
    receive(fleet, "status", device="old", state="online", now=0.0)
    receive(fleet, "status", device="kept", state="online", now=500.0)
    receive(fleet, "status", device="new", state="online", now=500.0)
    assert fleet.left_out == 1
    receive(fleet, "status", device="new", state="online", now=700.0)
    assert {name for _, name in fleet.devices} == {"kept", "new"}


def test_many_devices_of_many_cameras_share_one_limit_and_what_is_removed_makes_room():
    fleet = Fleet(most_entities=100)
    for device in range(4):
        for camera in range(40):
            receive(fleet, f"camera/c{camera}", device=f"d{device}", state="online")
    held = {name: len(device.cameras) for (_, name), device in fleet.devices.items()}
    assert held == {"d0": 40, "d1": 40, "d2": 20, "d3": 0}
    assert "20 messages left out: more cameras" in str(row_of(fleet.devices["north", "d2"], 1.0))
    fleet.process("vedette/north/d0/status", b"", 0.0)  # removed at the broker
    for camera in range(40):
        receive(fleet, f"camera/c{camera}", device="d3", state="online")
    assert len(fleet.devices["north", "d3"].cameras) == 40


def test_a_camera_that_its_device_no_longer_has_is_no_part_of_it_though_its_last_messages_come_late():
    fleet = Fleet()
    for name in ("front", "yard"):
        receive(fleet, f"camera/{name}", state="online", fps_inferred=10)
    receive(fleet, "info", cameras="front,back")
    receive(fleet, "camera/yard", state="online", fps_inferred=10)
    receive(fleet, "camera/back", state="online", fps_inferred=10)
    assert set(fleet.devices["north", "box"].cameras) == {"front", "back"}


def test_a_device_that_was_cut_off_is_offline_since_its_last_message_not_since_it_connected():
    will = {"state": "offline", "reason": "connection lost", "since": 100.0}
    heard = {("north", "known"): 4000.0}
    fleet = Fleet(last_heard=lambda site, name: heard.get((site, name)))
    receive(fleet, "status", device="seen", state="online", since=100.0, now=5000.0)
    for device in ("seen", "known", "new"):
        receive(fleet, "status", device=device, now=6000.0, **will)
    receive(fleet, "status", device="seen", now=7000.0, **will)  # retained: it comes again
    receive(fleet, "status", device="ended", now=7000.0, **will | {"reason": "stopped"})
    since = {name: device.status.since for (_, name), device in fleet.devices.items()}
    assert since == {"seen": 6000.0, "known": 4000.0, "new": None, "ended": 100.0}


# -- fuzzing -------------------------------------------------------------------------------------------------------


def fuzz(seed, count, every):
    """Feed all that reads payloads; look at what they say every so often: no exception, no control character."""
    fleet, verifier, merger = Fleet(), Verifier(), Merger()
    sizes = []
    tracemalloc.start()
    for number, (topic, payload) in enumerate(fuzzed(seed, count), 1):
        fleet.process(topic, payload, 0.0)
        verifier.process(topic, payload, retained=False, now=1_790_000_000.0)
        merger.process(payload)
        if number % every == 0:
            output = (
                shown(fleet, width=80) + shown(fleet, width=120, height=200) + describe(verifier.report())
            )
            json.dumps(verifier.report(), allow_nan=False)
            for group in merger.groups.values():
                output += "".join(row.feature for row in rows(group))
            assert not [sign for sign in output if not (sign.isprintable() or sign in "\n│╭╮╰╯─")]
            del output
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    return sizes


def test_no_payload_stops_watch_verify_or_merge():
    assert fuzz(seed=12, count=600, every=300)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousand_payloads_stop_nothing_and_fill_no_memory():
    sizes = fuzz(seed=34, count=100_000, every=10_000)
    assert sizes[-1] < 2 * sizes[3] + 1_000_000


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"]
)
def test_a_time_that_no_number_may_be_is_refused_as_text_too(text):
    with pytest.raises(BadInput, match="expected a time"):
        moment({"since": text}, "since")
