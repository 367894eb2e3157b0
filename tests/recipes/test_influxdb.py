"""The InfluxDB recipe: line protocol, and a real InfluxDB and mosquitto with the real script between them."""

import doctest
import functools
import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from tests.waiting import accepts, wait_until

SCRIPT = Path(__file__).parents[2] / "docs" / "recipes" / "influxdb_bridge.py"
INFLUXD = shutil.which("influxd", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")

spec = importlib.util.spec_from_file_location("influxdb_bridge", SCRIPT)
bridge = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bridge)

END = "2026-11-25T00:00:00.250Z"


def test_its_own_examples():
    assert doctest.testmod(bridge).failed == 0


def test_a_late_message_is_the_same_point():
    payload = json.dumps({"end": END, "frames_seen": 3, "lost": None}).encode()
    now = bridge.to_line("vedette/north/box/camera/front", payload)
    late = bridge.to_line("vedette/north/box/replay/camera/front", payload)
    assert now == late == "camera,site=north,device=box,camera=front frames_seen=3.0 1795564800250000000"


def test_a_device_may_be_called_like_a_family():
    line = bridge.to_line("vedette/host/gpu/host", json.dumps({"end": END, "cpu_ratio": 0.5}).encode())
    assert line.startswith("host,site=host,device=gpu cpu_ratio=0.5 ")


@pytest.mark.parametrize("payload", [b"", b"[]", b"3", b"{}", b"\xff", b'{"end": 5}', b'{"end": "x"}'])
def test_what_is_no_summary_is_passed_over(payload):
    assert bridge.to_line("vedette/a/b/host", payload) is None


@given(st.text(min_size=1).filter(lambda text: "\n" not in text))
def test_any_text_is_quoted(text):
    quoted = bridge.to_field(text)
    assert quoted[0] == quoted[-1] == '"'
    assert quoted[1:-1].replace("\\\\", "").replace('\\"', "").count('"') == 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Influx:
    """A real influxd in a folder of its own."""

    def __init__(self, folder):
        self.port, inner = free_port(), free_port()
        self._folder = folder
        (folder / "influx.conf").write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{inner}"\n'
            f'[meta]\ndir = "{folder}/meta"\n[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
            f'[http]\nbind-address = "127.0.0.1:{self.port}"\nlog-enabled = false\n[monitor]\nstore-enabled = false\n'
        )

    def start(self):
        with (self._folder / "influx.log").open("a") as log:
            words = [INFLUXD, "-config", str(self._folder / "influx.conf")]
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        wait_until(lambda: accepts(self.port), 30, alive=lambda: self._process.poll() is None)
        self.ask("CREATE DATABASE vedette")

    def stop(self):
        self._process.terminate()
        self._process.wait(20)

    def ask(self, query):
        """Rows of the first series."""
        words = urllib.parse.urlencode({"q": query, "db": "vedette"}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/query", words, timeout=10) as answer:
            result = json.loads(answer.read())["results"][0]
        assert "error" not in result, result
        return [
            dict(zip(one["columns"], row, strict=True))
            for one in result.get("series", [])
            for row in one["values"]
        ]


@pytest.fixture
def influx(tmp_path):
    if INFLUXD is None:
        pytest.skip("needs influxd (Debian package influxdb)")
    server = Influx(tmp_path)
    server.start()
    yield server
    server.stop()


until = functools.partial(wait_until, seconds=30)


def test_nothing_is_lost_while_influxdb_is_away_and_nothing_is_double(tmp_path, mosquitto, influx):
    broker = mosquitto()
    words = [
        sys.executable,
        str(SCRIPT),
        "--broker",
        broker.url,
        "--influx",
        f"http://127.0.0.1:{influx.port}",
        "--db",
        "vedette",
    ]
    with (tmp_path / "bridge.log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()

    def publish(second, value):
        body = {
            "end": f"2026-11-25T00:00:{second:02d}Z",
            "fps_in": value,
            "state": "online",
            "detections_car": 3,
        }
        client.publish("vedette/north/box-1/camera/front", json.dumps(body), qos=1).wait_for_publish(10)

    try:
        until(lambda: "connected" in (tmp_path / "bridge.log").read_text())
        publish(0, 5)
        [row] = until(lambda: influx.ask("SELECT fps_in, state, device, site FROM camera"))
        assert (row["fps_in"], row["state"], row["device"], row["site"]) == (5, "online", "box-1", "north")
        influx.stop()
        for second in (1, 2, 2, 3):  # one of them twice, as at-least-once may
            publish(second, 5.5)
        until(lambda: "not there" in (tmp_path / "bridge.log").read_text())
        influx.start()
        until(lambda: len(influx.ask("SELECT fps_in FROM camera")) == 4)
        [total] = influx.ask("SELECT sum(detections_car) FROM camera")
        assert total["sum"] == 12
    finally:
        client.loop_stop()
        process.terminate()
        process.wait(10)
