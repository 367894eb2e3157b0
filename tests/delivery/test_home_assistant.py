"""Home Assistant's discovery: what is announced, that every field it reads is published, and a real one where it is."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.delivery.home_assistant import DiscoveryTopics, discovery
from agent.delivery.verify.schemas import schema

ROOT = Path(__file__).parents[2]
PLACE = DiscoveryTopics(
    root="homeassistant", prefix="vedette/dock/box 7", device="box 7", site="dock", summary_seconds=60.0
)
INFO = {"gpu_count": 2, "machine_model": "Orin"}

MESSAGES = {
    topic: json.loads(payload) for topic, payload in discovery(PLACE, INFO, ["front", "gate-2"]).items()
}


def test_every_entity_is_found_under_its_own_topic_and_name():
    assert len(MESSAGES) == 7 + 2 * 6 + 2 * 5
    for topic in MESSAGES:
        assert re.fullmatch(
            r"homeassistant/(sensor|binary_sensor)/vedette_box_7/[A-Za-z0-9_-]+/config", topic
        )
    assert len({body["unique_id"] for body in MESSAGES.values()}) == len(MESSAGES)
    assert len({json.dumps(body["device"]) for body in MESSAGES.values()}) == 1


def test_an_entity_is_called_alike_by_old_and_new_versions():
    """Until 2025.9 by `object_id`, from 2025.10 by `default_entity_id`, which must have the domain of its topic."""
    for topic, body in MESSAGES.items():
        domain = topic.split("/")[1]
        assert re.fullmatch(rf"{domain}\.[a-z0-9_]+", body["default_entity_id"])
        assert body["default_entity_id"] == f"{domain}.{body['object_id']}".lower().replace("-", "_")
    assert len({body["default_entity_id"] for body in MESSAGES.values()}) == len(MESSAGES)


def test_nothing_is_announced_that_is_not_there():
    topics = discovery(PLACE, {}, [])
    assert topics
    assert not [topic for topic in topics if "gpu" in topic or "camera" in topic]


@pytest.mark.parametrize("topic", MESSAGES)
def test_every_field_that_a_template_reads_is_published(topic):
    body = MESSAGES[topic]
    for where, template in (
        ("state_topic", "value_template"),
        ("json_attributes_topic", "json_attributes_template"),
        ("availability_topic", "availability_template"),
    ):
        if where not in body:
            continue
        family = body[where].removeprefix("vedette/dock/box 7/").partition("/")[0]
        rules = schema(family)
        for field in re.findall(r"value_json\.(\w+)", body[template]):
            known = field in rules["properties"] or any(
                re.search(pattern, field) for pattern in rules.get("patternProperties", {})
            )
            assert known, (family, field)


def test_old_values_expire_and_what_stays_true_does_not():
    for body in MESSAGES.values():
        windowed = body["state_topic"].rpartition("/")[2] not in ("status", "+")
        assert body.get("expire_after") == (180 if windowed else None)


def test_units_fit_what_home_assistant_allows():
    allowed = {"temperature": "°C", "power": "W", "duration": "s", "data_size": "B"}
    for body in MESSAGES.values():
        if body.get("device_class") in allowed:
            assert body["unit_of_measurement"] == allowed[body["device_class"]]
        if "state_class" in body:
            assert body["state_class"] == "measurement"


def agent_config(folder, port, *cameras):
    lines = "\n".join(f'[[cameras]]\nname = "{name}"\nkind = "synthetic"' for name in cameras)
    return (
        f'state_directory = "{folder}/state"\n[device]\nname = "box-7"\n[broker]\nurl = "mqtt://127.0.0.1:{port}"\n'
        f'home_assistant = true\n[windows]\nlength = "2s"\n{lines}\n'
    )


@pytest.fixture
def run(tmp_path):
    made = []

    def start(text):
        (tmp_path / "v.toml").write_text(text)
        words = [sys.executable, "-m", "agent", "run", "--config", str(tmp_path / "v.toml")]
        with (tmp_path / "log").open("w") as log:
            made.append(subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log))
        return made[-1]

    yield start
    for process in made:
        process.terminate()
        process.wait(20)


def test_a_camera_that_is_removed_is_taken_back(tmp_path, mosquitto, listen, run):
    broker = mosquitto()
    ears = listen(broker.port, "homeassistant/#")
    run(agent_config(tmp_path, broker.port, "front", "back"))
    ears.wait(
        lambda heard: {"camera_front_state", "camera_back_state"} <= {m.topic.split("/")[3] for m in heard},
        30,
    )
    (tmp_path / "v.toml").write_text(agent_config(tmp_path, broker.port, "front"))
    words = [sys.executable, "-m", "agent", "reload", "--config", str(tmp_path / "v.toml")]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=30)
    ears.wait(lambda heard: any("camera_back_state" in m.topic and not m.payload for m in heard))
    assert not [m for m in ears.messages if "camera_front" in m.topic and not m.payload]
    late = listen(broker.port, "homeassistant/#")
    late.wait(lambda heard: any("camera_front_state" in m.topic for m in heard))
    assert not [m for m in late.messages if "camera_back" in m.topic], "retained no more"


@pytest.mark.timeout(400)
def test_a_real_home_assistant_shows_it(tmp_path, mosquitto, run):
    """Where one is installed (`pip install homeassistant` in an environment of its own, its `hass` in PATH)."""
    hass = shutil.which("hass")
    if hass is None:
        pytest.skip("needs Home Assistant")
    broker = mosquitto()
    run(agent_config(tmp_path, broker.port, "front"))
    (tmp_path / "home").mkdir()
    python = Path(hass).resolve().parent / "python"
    words = [python, ROOT / "tests/servers/home_assistant.py", tmp_path / "home", str(broker.port), "20"]
    told = subprocess.run(words, capture_output=True, text=True, timeout=350)
    assert told.returncode == 0, told.stderr[-2000:]
    shown = json.loads(told.stdout)
    assert shown["complaints"] == []
    assert "box-7" in shown["devices"], "newer ones have devices of their own besides"
    assert all(
        one["entity"].endswith(f".{name}".replace("-", "_")) for name, one in shown["entities"].items()
    )
    states = {name: entity["state"] for name, entity in shown["entities"].items()}
    assert len(states) == 13
    assert states["vedette_box-7_camera_front_state"] == "online"
    assert states["vedette_box-7_camera_front_problem"] == "off"
    assert float(states["vedette_box-7_memory"]) > 0


def test_a_home_assistant_that_starts_gets_the_discovery_messages_again(mosquitto, listen, publish):
    """Not every broker hands retained messages on to a wildcard: RabbitMQ does not."""
    broker = mosquitto()
    running = publish(broker.url, home_assistant=True)
    topic = "homeassistant/sensor/vedette_box/memory/config"
    running.publisher.announce({topic: b'{"name": "memory"}'})
    running.until(lambda p: p.connection.state == "connected")
    ears = listen(broker.port, "homeassistant/#")
    ears.wait(lambda heard: [m for m in heard if m.topic == topic])
    ears._client.publish("homeassistant/status", b"offline", qos=1)
    ears._client.publish("homeassistant/status", b"online", qos=1)
    ears.wait(lambda heard: [m for m in heard[-1:] if m.topic == topic and len(heard) >= 4])
