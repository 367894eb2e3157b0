"""Commands from the page, carried out by the real agent."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MOSQUITTO
from tests.dashboard.web.conftest import Web

pytestmark = [
    pytest.mark.broker,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not MOSQUITTO, reason="needs mosquitto"),
]
ROOT = Path(__file__).parents[3]
CONFIG = """
state_directory = "{folder}/state"
[device]
name = "box"
site = "north"
[broker]
url = "{url}"
[commands]
enabled = true
allow = ["acknowledge", "snooze", "mute", "controls", "undo", "snapshot", "drift_feature"]
[windows]
length = "1s"
[alerts]
default_rules = false
[[cameras]]
name = "front"
kind = "synthetic"
[[rules]]
name = "dark"
when = "camera.feature_brightness_mean < 250 for 2s"
"""


@pytest.fixture
def agent(mosquitto, tmp_path):
    config = tmp_path / "v.toml"
    config.write_text(CONFIG.format(folder=tmp_path, url=mosquitto.url))
    with (tmp_path / "journal").open("w") as journal:
        words = [sys.executable, "-m", "agent", "run", "--config", str(config)]
        process = subprocess.Popen(words, cwd=ROOT, stdout=journal, stderr=journal)
    yield tmp_path / "journal"
    process.terminate()
    process.wait(30)


def test_alerts_are_acknowledged_snoozed_and_muted_and_images_and_references_asked_for(mosquitto, agent):
    with Web(mosquitto.url) as web:
        (alert,) = web.until(lambda: web.get("/api/alerts"), timeout=200)
        token = {"x-csrf-token": web.get("/api/me")["token"]}

        def command(name, path="/api/command", **args):
            asked = {"site": "north", "device": "box", "command": name, "args": args, **args}
            status, answer, _ = web.post(path, asked, **token)
            assert status == 200, answer
            return answer

        controls = [
            command("acknowledge", id=alert["id"], why="on it"),
            command("snooze", id=alert["id"], **{"for": "2h"}),
            command("mute", camera="front", **{"for": "1h"}),
        ]
        assert all(one["ok"] for one in controls), controls
        assert [one["control"]["kind"] for one in controls] == ["acknowledge", "snooze", "mute"]
        shown = command("controls")["controls"]
        assert {one["who"] for one in shown} == {"local"} and len(shown) == 3
        assert command("undo", id=controls[2]["control"]["id"])["ok"]
        frame = command("snapshot", camera="front")
        assert frame["ok"] and frame["jpeg"].startswith("/9j/") and frame["camera"] == "front", frame
        assert not command("snapshot", camera="frnt")["ok"]
        assert "snapshot published" in agent.read_text()
        refused = command("", "/api/reference", camera="front", feature="contrast")
        assert "no reference" in refused["refused"]
