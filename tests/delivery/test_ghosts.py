"""What a device retained and wants no more is cleared at a real broker; what is another's is left alone."""

import json
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from paho.mqtt import publish as mqtt_publish
from structlog.testing import capture_logs

from agent.core.types import AlertState
from agent.delivery.messages import accuracy_draft, advice_draft, info_draft
from tests.delivery.conftest import IDENTITY

pytestmark = pytest.mark.broker

RENAMED = replace(IDENTITY, device="hall")
FRONT, BACK = "homeassistant/sensor/vedette_box/front/config", "homeassistant/sensor/vedette_box/back/config"
NEW_FRONT = "homeassistant/sensor/vedette_hall/front/config"
OLD = "vedette/dock/box"


def retained(listen, broker):
    """What the broker retains, by topic: all that arrives before a mark of ours."""
    ears = listen(broker.port)
    mqtt_publish.single("mark", b"x", qos=1, port=broker.port)
    ears.wait(lambda heard: any(message.topic == "mark" for message in heard))
    found = {message.topic: message.payload for message in ears.messages if message.retain}
    ears.close()
    return found


def records(tmp_path):
    """What a copy of the file says: the agent has it for itself."""
    copy = Path(tempfile.mkdtemp(dir=tmp_path))
    for file in (tmp_path / "state").glob("outbox.db*"):
        shutil.copy(file, copy)
    with closing(sqlite3.connect(copy / "outbox.db")) as sql:
        return {topic for (topic,) in sql.execute("SELECT topic FROM retained")}


def fill(running, drafts, *, entities=(FRONT, BACK), alert="a1"):
    running.publisher.publish(info_draft({"version": "1"}))
    running.publisher.publish(drafts.alert(alert))
    running.publisher.announce(dict.fromkeys(entities, b'{"name":"x"}'))
    assert running.publisher.drain(30)


def until(listen, broker, condition):
    """Wait for the broker to retain what it should."""
    end = time.monotonic() + 90
    while not condition(found := retained(listen, broker)):
        assert time.monotonic() < end, found
    return found


def test_entities_of_cameras_that_were_removed_while_the_agent_was_off_are_cleared(
    mosquitto, publish, listen, drafts, tmp_path
):
    broker = mosquitto()
    mqtt_publish.single(
        "homeassistant/sensor/vedette_other/front/config", b"{}", retain=True, port=broker.port
    )
    running = publish(broker.url)
    fill(running, drafts)
    until(listen, broker, lambda found: BACK in found)
    running.stop()
    again = publish(broker.url)
    again.publisher.announce({}, complete=False)
    assert again.publisher.drain(30)
    again.until(lambda p: p.connection.state == "connected")
    assert {FRONT, BACK} <= retained(listen, broker).keys(), "not before it is known what there is"
    again.publisher.announce({FRONT: b'{"name":"x"}'})
    found = until(listen, broker, lambda found: BACK not in found)
    assert FRONT in found
    assert "homeassistant/sensor/vedette_other/front/config" in found
    assert f"{OLD}/alert/a1" in found
    again.stop()
    assert BACK not in records(tmp_path)


def test_a_former_name_leaves_neither_status_nor_alert_nor_entities(
    mosquitto, publish, listen, drafts, tmp_path
):
    broker = mosquitto()
    running = publish(broker.url)
    fill(running, drafts)
    running.stop()
    renamed = publish(broker.url, identity=RENAMED)
    renamed.publisher.announce({NEW_FRONT: b"{}"})
    new = {"vedette/dock/hall/status", "vedette/dock/hall/alert/a1", NEW_FRONT}
    found = until(
        listen,
        broker,
        lambda found: (
            new <= found.keys() and not any(topic.startswith(OLD) or "_box/" in topic for topic in found)
        ),
    )
    assert json.loads(found["vedette/dock/hall/alert/a1"])["device"] == "hall", (
        "it fires on, under the new name"
    )
    renamed.publisher.publish(drafts.alert("a1", AlertState.RESOLVED))
    assert renamed.publisher.drain(30)
    renamed.stop()
    assert not any(OLD in topic or "alert" in topic for topic in records(tmp_path))


def test_a_former_name_that_another_device_took_is_left_alone(mosquitto, publish, listen, drafts, tmp_path):
    broker = mosquitto()
    running = publish(broker.url)
    fill(running, drafts)
    running.stop()
    other = publish(broker.url, directory=tmp_path / "other", client_id="another-box")
    other.publisher.publish(info_draft({"version": "2"}))
    other.publisher.announce({FRONT: b'{"name":"y"}'})
    until(listen, broker, lambda found: found.get(FRONT) == b'{"name":"y"}')
    with capture_logs() as logs:
        renamed = publish(broker.url, identity=RENAMED)
        renamed.until(lambda p: any("another device now" in entry["event"] for entry in logs))
    renamed.until(lambda p: p.drain(0.1))
    found = retained(listen, broker)
    assert json.loads(found[f"{OLD}/info"])["version"] == "2"
    assert {FRONT, f"{OLD}/status"} <= found.keys()
    renamed.stop()
    assert not any(topic.startswith(OLD) for topic in records(tmp_path)), "not asked again"


def test_a_killed_process_has_recorded_what_it_published(mosquitto, publish, listen, drafts, tmp_path):
    """Law 1: at each message that the broker got, the disk knew its topic already."""
    broker = mosquitto()
    ears = listen(broker.port)
    running = publish(broker.url)
    known = []
    take = ears._client.on_message

    def look(client, data, message):
        if message.payload and "alert" in message.topic:
            known.append((message.topic, message.topic in records(tmp_path)))
        take(client, data, message)

    ears._client.on_message = look
    for number in range(20):
        running.publisher.publish(drafts.alert(f"a{number}"))
    ears.wait(lambda heard: sum("alert" in message.topic for message in heard) >= 20)
    assert known
    assert all(there for _, there in known), known


def test_an_alert_that_was_shed_does_not_fire_at_the_broker_for_ever(
    mosquitto, publish, listen, drafts, tmp_path
):
    broker = mosquitto()
    running = publish(broker.url)
    fill(running, drafts)
    running.stop()
    with (
        closing(sqlite3.connect(tmp_path / "state/outbox.db")) as sql,
        sql,
    ):  # its end was lost to a full disk
        sql.execute("DELETE FROM standing")
    again = publish(broker.url)
    again.publisher.announce({FRONT: b'{"name":"x"}', BACK: b'{"name":"x"}'})
    found = until(listen, broker, lambda found: f"{OLD}/alert/a1" not in found)
    assert {FRONT, BACK, f"{OLD}/info", f"{OLD}/status"} <= found.keys()


def test_another_broker_is_reported_with_what_the_former_one_retains(mosquitto, publish, listen, drafts):
    first, second = mosquitto(), mosquitto()
    running = publish(first.url)
    fill(running, drafts)
    running.stop()
    with capture_logs() as logs:
        moved = publish(second.url)
        moved.until(lambda p: p.connection.state == "connected")
    (said,) = [entry for entry in logs if "no longer in the config" in entry["event"]]
    assert said["broker"] == first.url
    assert said["topics"] == 5
    assert said["mend"] == f"vedette retire --broker {first.url}"
    assert f"{OLD}/alert/a1" in retained(listen, first)
    assert f"{OLD}/alert/a1" in until(listen, second, lambda found: f"{OLD}/alert/a1" in found)


def test_what_is_wanted_again_while_it_is_being_cleared_is_kept_on_record(
    mosquitto, publish, listen, tmp_path
):
    broker = mosquitto()
    running = publish(broker.url)
    for round_ in range(30):
        running.publisher.announce({FRONT: b"1"} if round_ % 2 else {})
        running.publisher._inbox.wake()
    running.publisher.announce({FRONT: b"2"})
    until(listen, broker, lambda found: found.get(FRONT) == b"2")
    running.stop()
    assert FRONT in records(tmp_path)


def test_what_is_said_of_a_camera_stays_while_there_is_that_camera_and_is_cleared_with_it(
    mosquitto, publish, listen, tmp_path
):
    """Also over a restart, before it is said anew."""
    broker = mosquitto()
    running = publish(broker.url)
    said = {f"{OLD}/{family}/{camera}" for family in ("accuracy", "advice") for camera in ("front", "back")}
    running.publisher.publish(info_draft({"cameras": "front,back"}))
    for camera in ("front", "back"):
        running.publisher.publish(accuracy_draft(camera, {"model_name": "yard"}))
        running.publisher.publish(advice_draft(camera, {"action": "nothing"}))
    running.publisher.publish(accuracy_draft("", {"model_name": "yard"}))
    until(listen, broker, lambda found: said <= found.keys())
    running.stop()
    again = publish(broker.url)
    again.publisher.publish(info_draft({"cameras": "front,back"}))
    again.publisher.announce({FRONT: b"{}"})
    again.publisher.publish(advice_draft("front", {"action": "wait"}))
    found = until(listen, broker, lambda found: FRONT in found and b"wait" in found[f"{OLD}/advice/front"])
    assert said <= found.keys()
    again.publisher.publish(info_draft({"cameras": "front"}))
    again.publisher.announce({FRONT: b"{}"})
    again.publisher.publish(advice_draft("back", {"action": "look"}))  # on its way while it was removed
    found = until(listen, broker, lambda found: not any(topic.endswith("/back") for topic in found))
    assert {f"{OLD}/accuracy", f"{OLD}/accuracy/front", f"{OLD}/advice/front"} <= found.keys()
    again.stop()
    assert not {topic for topic in records(tmp_path) if topic.endswith("/back")}
