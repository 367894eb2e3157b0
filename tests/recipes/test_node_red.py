"""The Node-RED recipe: the flow run by a real Node-RED, where one is installed (`npm install -g node-red`)."""

import json
import shutil
import subprocess
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.waiting import wait_until

FLOW = Path(__file__).parents[2] / "docs" / "recipes" / "node-red-flow.json"

ALERT = {
    "schema": "alert/1", "device": "box-1", "boot": "b-e", "seq": 7, "state": "firing", "severity": "critical",
    "what": "camera front is down", "expected": "online",
}  # fmt: skip


def test_every_wire_leads_to_a_node():
    nodes = json.loads(FLOW.read_text())
    known = {node["id"] for node in nodes}
    assert len(known) == len(nodes)
    for node in nodes:
        assert {end for wires in node.get("wires", []) for end in wires} <= known
        assert node.get("broker") in (
            {None, "vedette-broker"} if node["type"] != "mqtt-broker" else {"127.0.0.1"}
        )


def test_alerts_become_sentences_once_each(tmp_path, mosquitto, listen):
    program = shutil.which("node-red")
    if program is None:
        pytest.skip("needs node-red (npm)")
    broker = mosquitto()
    flow = FLOW.read_text().replace('"port": "1883"', f'"port": "{broker.port}"')
    (tmp_path / "flow.json").write_text(flow)
    (tmp_path / "settings.js").write_text(
        'module.exports = {uiHost: "127.0.0.1", uiPort: 0, httpAdminRoot: false, flowFile: "flow.json"};'
    )
    subscriber = listen(broker.port, "vedette-alarms")
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()

    def publish(**more):
        payload = json.dumps({**ALERT, **more}) if more.get("seq") != "clear" else ""
        client.publish("vedette/north/box-1/alert/x", payload, qos=1, retain=True).wait_for_publish(10)

    with (tmp_path / "log").open("w") as log:
        words = [program, "--userDir", str(tmp_path), "--settings", str(tmp_path / "settings.js")]
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        said = (tmp_path / "log").read_text
        wait_until(lambda: process.poll() is not None or "Connected to broker" in said(), 90, said)
        assert process.poll() is None, said()
        publish()
        subscriber.wait(lambda heard: len(heard) == 1)
        publish()  # the same again
        publish(seq=8, state="resolved")
        publish(seq="clear")
        publish(seq=9, what="camera back is down")
        subscriber.wait(lambda heard: len(heard) >= 3)
        output = [message.payload.decode() for message in subscriber.messages]
        assert output == [
            "critical: north/box-1: camera front is down (expected: online)",
            "over: north/box-1: camera front is down (expected: online)",
            "critical: north/box-1: camera back is down (expected: online)",
        ]
    finally:
        client.loop_stop()
        process.terminate()
        process.wait(20)
