"""Drift from the camera to the alert: the real agent, a drawn camera, a real broker."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.app.control_socket import call
from tests.payloads import check_messages
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """
state_directory = "{state}"
[broker]
url = "{url}"
[commands]
enabled = true
allow = ["drift", "reference_record"]
[windows]
length = "1s"
[reports]
profile = "full"
[drift]
auto_reference = false
feature_fps = 5
[[cameras]]
name = "gate"
kind = "synthetic"
pace = "real"
fps = 10
drift = ["{drift}"]
[[rules]]
name = "drift"
keep_firing = "0s"
"""


@pytest.fixture
def agent(tmp_path):
    """Starts `vedette run` on a config; stopped by its pid."""
    made = []

    def start(config):
        file = tmp_path / "v.toml"
        file.write_text(config)
        log = (tmp_path / "journal.txt").open("a")
        made.append(
            subprocess.Popen(
                [sys.executable, "-m", "agent", "run", "--config", str(file)],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        )
        return made[-1]

    yield start
    for process in made:
        if process.poll() is None:
            process.terminate()
            process.wait(20)


def vedette(*words):
    return subprocess.run(
        [sys.executable, "-m", "agent", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def cameras(ears):
    return ears.bodies("/camera/gate")


def test_a_recorded_reference_finds_fog_and_the_alert_names_it(tmp_path, agent, mosquitto, listen):
    broker = mosquitto()
    ears = listen(broker.port)
    state = tmp_path / "state"
    process = agent(CONFIG.format(state=state, url=broker.url, drift="fog@1000"))
    ears.wait(lambda heard: any("/camera/" in message.topic for message in heard), 30)

    too_short = vedette("reference", "record", "--state", state, "--camera", "gate", "--for", "3s")
    assert too_short.returncode == 1
    assert "too short for a reference; expected at least 10 s" in too_short.stderr
    asked = vedette("reference", "record", "--state", state, "--camera", "gate", "--for", "11s")
    assert asked.returncode == 0, asked.stderr
    assert "of 11 s" in asked.stdout
    wait_until(lambda: call(state, "drift")["cameras"][0]["recording"], 40)
    assert "recording as asked" in vedette("reference", "list", "--state", state).stdout
    ears.wait(lambda _: [body for body in cameras(ears) if body.get("drift_state") == "normal"], 80)
    assert not ears.bodies("/alert/drift"), "it is judged, and nothing has changed yet"

    (tmp_path / "v.toml").write_text(CONFIG.format(state=state, url=broker.url, drift="fog@0:0.7"))
    assert "gate changed" in call(state, "reload")["text"]
    alert = ears.wait(lambda heard: next((m.body for m in heard if "/alert/drift" in m.topic), None), 80)
    assert alert["state"] == "firing"
    assert alert["label_camera"] == "gate"
    named = alert["evidence"]["features"]
    assert set(named) & {"contrast", "entropy", "noise", "sharpness", "brightness", "saturation"}, named
    strongest = next(iter(named.values()))
    assert strongest["now_p10_p50_p90"] != strongest["normal_p10_p50_p90"]
    assert "compared with" in alert["window"]
    assert "provisional" in alert["what"]
    quiet = [body for body in cameras(ears) if body.get("drift_state") == "normal"]
    assert all(body["drift_ratio"] < 1 for body in quiet)
    # The first window in drift may have begun in clear air: one that lies in the fog as a whole is awaited.
    foggy = ears.wait(
        lambda heard: next(
            (
                m.body
                for m in heard
                if "/camera/" in m.topic
                and m.body.get("drift_state") == "drift"
                and m.body["drift_outlier_ratio"] > 0.9
            ),
            None,
        )
    )

    explained = vedette("drift", "explain", "--state", state, "--png", tmp_path / "png")
    assert explained.returncode == 0, explained.stderr
    assert re.search("  drift( of |: )", explained.stdout)
    advised = vedette("advise", "--state", state)
    assert advised.returncode == 0, advised.stderr
    assert "camera gate: look at a snapshot" in advised.stdout  # the cause is not learnt yet
    assert "for it: the alarm has been on for" in advised.stdout
    assert (tmp_path / "png" / "contrast.png").read_bytes().startswith(b"\x89PNG")
    assert "drift" in vedette("drift", "status", "--state", state).stdout

    process.terminate()
    assert process.wait(20) == 0
    before = len(ears.messages)
    agent(CONFIG.format(state=state, url=broker.url, drift="fog@0:0.6"))
    again = ears.wait(
        lambda heard: next(
            (m.body for m in heard[before:] if "/camera/" in m.topic and "drift_since" in m.body), None
        ),
        30,
    )
    assert again["drift_reference"] == foggy["drift_reference"], (
        "the reference and the alarm survive a restart"
    )
    assert again["drift_since"] == foggy["drift_since"]
    check_messages(ears.messages)


def test_commands_over_mqtt_record_a_reference(tmp_path, agent, mosquitto, listen):
    from paho.mqtt import publish

    from agent.delivery.messages import rfc3339

    broker = mosquitto()
    ears = listen(broker.port)
    agent(CONFIG.format(state=tmp_path / "state", url=broker.url, drift="fog@1000"))
    first = ears.wait(lambda heard: next((m for m in heard if "/camera/gate" in m.topic), None), 30)
    prefix = first.topic.removesuffix("/camera/gate")
    words = {"id": "r1", "time": rfc3339(time.time()), "camera": "gate", "for": "1h"}
    publish.single(f"{prefix}/command/reference_record", json.dumps(words), qos=1, port=broker.port)
    reply = ears.wait(lambda heard: next((m.body for m in heard if m.topic.endswith("/reply/r1")), None), 20)
    assert reply["ok"] is True, reply
    summary = ears.wait(
        lambda heard: next(
            (m.body for m in heard if "/camera/" in m.topic and m.body.get("drift_recorded_ratio")), None
        )
    )
    assert summary["drift_state"] == "learning"
