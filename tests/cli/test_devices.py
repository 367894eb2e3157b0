"""`vedette devices`, `vedette retire` and the ghosts of `vedette verify`, against a real broker."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from paho.mqtt import publish

from agent.cli.devices import _chosen
from agent.core.errors import VedetteError
from agent.delivery.identity import Identity
from agent.delivery.messages import rfc3339
from agent.delivery.outbox.queue import Outbox
from agent.delivery.outbox.retained import RetainedTopic
from agent.delivery.verify.inventory import inventory

ROOT = Path(__file__).resolve().parents[2]
ENTITY = "homeassistant/sensor/vedette_box/front/config"
POINTS = {"availability_topic": "vedette/dock/box/status", "state_topic": "vedette/dock/box/camera/front"}
OTHERS = {
    "vedette/dock/box2/status": {"state": "online"},
    "vedette/dock/box2/alert/a": {},
    "homeassistant/sensor/vedette_box2/front/config": {"availability_topic": "vedette/dock/box2/status"},
    "homeassistant/sensor/vedette_box/forged/config": {"availability_topic": "zigbee2mqtt/x/status"},
    "other/vedette/dock/box/status": {},
    "vedette/yard/box/status": {"state": "offline"},
}
OURS = {
    "vedette/dock/box/status": {"state": "offline", "since": rfc3339(1e9)},
    "vedette/dock/box/info": {"cameras": "front"},
    "vedette/dock/box/alert/\N{HIRAGANA LETTER A}": {"what": "\x1b]0;owned\x07"},
    ENTITY: POINTS,
}

pytestmark = pytest.mark.broker


@pytest.fixture
def broker(mosquitto):
    made = mosquitto()
    publish.multiple(
        [(topic, json.dumps(body), 1, True) for topic, body in {**OTHERS, **OURS}.items()], port=made.port
    )
    return made


def vedette(*words):
    return subprocess.run(
        [sys.executable, "-m", "agent", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def retained(listen, broker):
    ears = listen(broker.port)
    publish.single("mark", b"x", qos=1, port=broker.port)
    ears.wait(lambda heard: any(message.topic == "mark" for message in heard))
    found = {message.topic for message in ears.messages if message.retain}
    ears.close()
    return found


def test_a_device_is_listed_and_removed_and_nothing_else_is(broker, listen):
    asked = (("list", "--json"), ("remove", "box", "--yes"), ("remove", "dock/box"))
    with ThreadPoolExecutor() as pool:  # each listens for what is retained, for seconds
        listed, several, unasked = pool.map(
            lambda words: vedette("devices", *words, "--broker", broker.url), asked
        )
    rows = {(row["site"], row["device"]): row for row in json.loads(listed.stdout)}
    assert rows["dock", "box"] == {
        "site": "dock", "device": "box", "state": "offline", "since": 1e9, "firing": 1, "retained": 4, "ghosts": 4,
    }  # fmt: skip
    assert rows["dock", "box2"]["retained"] == 3
    assert several.returncode != 0
    assert "there are several: dock/box, yard/box" in several.stderr
    assert unasked.returncode == 1
    assert "give --yes" in unasked.stdout
    assert retained(listen, broker) == {*OTHERS, *OURS}
    done = vedette("devices", "remove", "dock/box", "--broker", broker.url, "--yes")
    assert done.returncode == 0, done.stderr
    assert "4 messages cleared, 0 refused, 0 left" in done.stdout
    assert "\x1b" not in done.stdout
    assert retained(listen, broker) == set(OTHERS)


@pytest.mark.parametrize("wanted", ["bx", "+", "#", "dock/#", "box/status", "", "../box"])
def test_a_name_that_is_none_chooses_nothing(wanted):
    known = inventory(
        "vedette", "homeassistant", {topic: json.dumps(body).encode() for topic, body in OURS.items()}
    )
    with pytest.raises(VedetteError, match="device"):
        _chosen(known, wanted)
    assert _chosen(known, "box").name == _chosen(known, "dock/box").name == "box"


@pytest.mark.parametrize("lines", [("max_queued_messages 1000",), ()])
def test_what_a_user_may_not_clear_is_reported(mosquitto, tmp_path, lines):
    (tmp_path / "acl").write_text("topic read #\npattern write vedette/dock/%c/#\n")
    # (with max_queued_messages 0, as tests have it, this version of mosquitto hangs up instead)
    made = mosquitto("allow_anonymous true", f"acl_file {tmp_path / 'acl'}", *lines)
    own = {topic: body for topic, body in OURS.items() if "/box/" in topic}
    publish.multiple(
        [(topic, json.dumps(body), 1, True) for topic, body in own.items()], port=made.port, client_id="box"
    )
    done = vedette("devices", "remove", "box", "--broker", made.url, "--yes")
    if not lines and "hang up on who may not write" in done.stderr:
        return
    assert done.returncode == 1
    assert f"0 messages cleared, {len(own)} refused, {len(own)} left" in done.stdout
    assert "refused: vedette/dock/box/status: not authorized" in done.stdout


def recorded(state, *topics, broker):
    """An outbox that has these topics on record."""
    identity = Identity(device="box", site="dock", boot="b", client_id="c", topic_prefix="vedette")
    outbox = Outbox(state / "outbox.db", size=8 << 20, identity=identity)
    outbox.open()
    outbox.retained.record(RetainedTopic(broker, topic, identity.prefix, "status") for topic in topics)
    outbox.close()


def test_a_box_is_retired(broker, listen, tmp_path):
    state = tmp_path / "state"
    recorded(state, *OURS, broker=broker.url)
    recorded(state, "vedette/dock/box/status", broker="mqtt://former:1883")
    (tmp_path / "v.toml").write_text(
        f'state_directory = "{state}"\n[broker]\nurl = "{broker.url}"\n[[cameras]]\nname = "a"\nkind = "synthetic"\n'
    )
    words = ("retire", "--config", str(tmp_path / "v.toml"), "--yes")
    done = vedette(*words)
    assert f"{broker.url}: 4 messages retained" in done.stdout, done.stderr
    assert "4 messages cleared, 0 refused, 0 left" in done.stdout
    assert "`vedette retire --broker mqtt://former:1883`" in done.stdout
    assert done.returncode == 1, "something is left"
    assert retained(listen, broker) == set(OTHERS)
    again = vedette(*words)
    assert broker.url not in again.stdout
    assert "mqtt://former:1883: 1 message retained" in again.stdout


def test_verify_lists_the_ghosts(broker):
    done = vedette("verify", "--broker", broker.url, "--for", "1s")
    assert "ghosts: retained, and nobody stands behind it" in done.stdout, done.stderr
    assert f"{ENTITY}: the device has been offline for" in done.stdout
    assert "\x1b" not in done.stdout
