"""Twin of agent/delivery/verify/inventory.py."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.delivery.home_assistant import DiscoveryTopics, discovery
from agent.delivery.messages import rfc3339
from agent.delivery.verify.inventory import ghosts, inventory

NOW = 1_790_000_000.0


def device(name="box", *, state="online", since=NOW - 60, cameras="front", site="dock", alerts=()):
    base = f"vedette/{site}/{name}"
    return {
        f"{base}/status": {"state": state, "since": rfc3339(since)},
        f"{base}/info": {"cameras": cameras},
        **{f"{base}/alert/{camera}": {"label_camera": camera} for camera in alerts},
    }


def entities(name="box", cameras=("front",), site="dock"):
    place = DiscoveryTopics(
        root="homeassistant", prefix=f"vedette/{site}/{name}", device=name, site=site, summary_seconds=60.0
    )
    return {topic: json.loads(payload) for topic, payload in discovery(place, {}, cameras).items()}


def found(*parts):
    whole = {topic: json.dumps(body).encode() for part in parts for topic, body in part.items()}
    return inventory("vedette", "homeassistant", whole)


def test_a_device_that_runs_has_no_ghosts():
    assert ghosts(found(device(alerts=["front"]), entities()), NOW) == []


def test_entities_and_alerts_of_cameras_that_are_removed_are_ghosts():
    listed = ghosts(
        found(device(cameras="front", alerts=["front", "yard"]), entities(cameras=["front", "yard"])), NOW
    )
    assert len(listed) == 1 + 6
    assert all("yard" in ghost.topic and ghost.reason == "the device has no camera yard" for ghost in listed)


def test_the_accuracy_of_a_camera_that_is_removed_is_a_ghost():
    accuracy = {
        f"vedette/dock/box/{topic}": {"camera": camera} if camera else {}
        for topic, camera in (("accuracy", ""), ("accuracy/front", "front"), ("accuracy/yard", "yard"))
    }
    listed = ghosts(found(device(cameras="front"), accuracy), NOW)
    assert [ghost.topic for ghost in listed] == ["vedette/dock/box/accuracy/yard"]


@pytest.mark.parametrize(("hours", "expected"), [(1, 0), (25, 3)])
def test_a_device_that_is_away_is_one_after_a_day(hours, expected):
    listed = ghosts(found(device(state="offline", since=NOW - hours * 3600, alerts=["front"])), NOW)
    assert len(listed) == expected


def test_what_is_left_of_a_former_name_is_a_ghost():
    left = {"vedette/dock/old/alert/a": {"label_camera": "front"}, **entities("old")}
    listed = ghosts(found(device("new"), left), NOW)
    assert {ghost.device for ghost in listed} == {"dock/old"}
    assert len(listed) == len(left)


def test_devices_of_one_name_at_two_sites_are_two():
    both = found(device(), device(site="yard"), entities(), entities(site="yard"))
    # Home Assistant's topics know no site: the later device has overwritten the entities of the first
    assert {place: len(one.entities) for place, one in both.items()} == {
        ("dock", "box"): 0,
        ("yard", "box"): 13,
    }


def test_an_entity_of_somebody_else_belongs_to_no_device():
    topic, body = next(iter(entities().items()))
    for other in (
        {topic.replace("vedette_box", "vedette_other"): body},  # points to a device that it is not named by
        {topic: {**body, "availability_topic": "zigbee2mqtt/bridge/state"}},
        {topic: {**body, "availability_topic": 7}},
        {"homeassistant/light/kitchen/config": {"availability_topic": "vedette/dock/box/status"}},
        {topic.replace("/config", "/config/x"): body},
        {"vedette/dock/box/command/reload": {}},
        {"vedette/dock/box": {}},
        {"vedettex/dock/box/status": {}},
    ):
        assert found(other) == {}, other


topics = st.lists(
    st.sampled_from(
        [
            "vedette",
            "homeassistant",
            "dock",
            "box",
            "status",
            "alert",
            "vedette_box",
            "config",
            "",
            "é",
            "\x1b",
        ]
    ),
    min_size=1,
    max_size=8,
).map("/".join)


@given(
    st.dictionaries(
        topics, st.one_of(st.binary(max_size=40), st.just(b'{"availability_topic":"vedette/a/b/status"}'))
    )
)
def test_hostile_messages_end_nothing_and_belong_where_they_stand(retained):
    devices = inventory("vedette", "homeassistant", retained)
    ghosts(devices, NOW)
    for (site, name), one in devices.items():
        assert all(topic.startswith(f"vedette/{site}/{name}/") for topic in one.topics)
        assert all(topic.startswith("homeassistant/") for topic in one.entities)
