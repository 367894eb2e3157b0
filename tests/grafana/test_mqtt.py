"""The MQTT dashboards on what a real agent publishes: each topic is heard, each field asked for is in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from paho.mqtt.client import topic_matches_sub

from agent.core.metrics.payloads import field_of
from tests.telemetry.fake_nvml.library import build
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
VARIABLES = {"${prefix}": "vedette", "${site}": "north", "${device}": "box-7", "${camera}": "front"}

NOT_HERE = {"temperature_celsius", "temperature_max_celsius"}
"""What a machine without sensors does not tell."""

CONFIG = """
state_directory = "{folder}/state"
[device]
name = "box-7"
site = "north"
[broker]
url = "{broker}"
[windows]
length = "1s"
[reports]
profile = "full"
[[cameras]]
name = "front"
kind = "synthetic"
[[rules]]
name = "alive"
when = "camera.fps_in > 0"
"""


def asked():
    """(panel, topic, fields) of every query."""
    for path in (ROOT / "agent/grafana").glob("mqtt-*.json"):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                fields = set()
                for step in panel["transformations"]:
                    if step["id"] == "filterFieldsByName":
                        fields |= set(step["options"]["include"]["names"][1:])
                    if step["id"] == "groupBy":
                        fields |= set(step["options"]["fields"])
                topic = target["topic"]
                for variable, value in VARIABLES.items():
                    topic = topic.replace(variable, value)
                yield f"{path.stem}: {panel['title']}", topic, fields


def missing(messages):
    """What no message has of what is asked for: (panel, topic, fields), empty where all is there."""
    found = []
    for panel, topic, fields in asked():
        bodies = [m.body for m in messages if m.payload and topic_matches_sub(topic, m.topic)]
        absent = fields - set().union(*bodies) - NOT_HERE
        if absent or not bodies:
            found.append((panel, topic, absent))
    return found


def test_every_field_asked_for_is_published(tmp_path, mosquitto, listen):
    """On a busy machine a window may hold no frame, and so no latency: every window is complete here, and awaited."""
    build(tmp_path)
    broker = mosquitto()
    subscriber = listen(broker.port, "vedette/#")
    (tmp_path / "v.toml").write_text(CONFIG.format(folder=tmp_path, broker=broker.url))
    with (tmp_path / "log").open("w") as log:
        agent = subprocess.Popen(
            [sys.executable, "-m", "agent", "run", "--config", tmp_path / "v.toml"],
            cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
        )  # fmt: skip
    try:
        wait_until(
            lambda: not missing(list(subscriber.messages)),
            60,
            lambda: missing(list(subscriber.messages)),
            alive=lambda: agent.poll() is None,
            every=0.2,
        )
    finally:
        agent.terminate()
        agent.wait(20)
    unknown = {
        (family, name)
        for m in subscriber.messages
        for family in [m.topic.split("/")[3]]
        for name in (m.body if m.payload else ())
        if field_of(family, name) is None
    }
    assert not unknown, "docs/wire.md names every field that is published"
