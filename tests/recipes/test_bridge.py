"""The bridge recipe: a site's Mosquitto and a central one, both made by broker-setup, both real."""

import shutil
import ssl
import subprocess
import threading
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/opt/homebrew/sbin")

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None or shutil.which("openssl") is None, reason="needs mosquitto and openssl"
)


def set_up(*words):
    subprocess.run(
        [ROOT / "scripts/broker-setup", *map(str, words)], check=True, capture_output=True, timeout=60
    )


class Broker:
    def __init__(self, folder, port, more=""):
        self.folder, self.port = folder, port
        set_up("init", folder, "--host", "localhost", "--port", port)
        self.config = folder / "test.conf"
        self.config.write_text((folder / "mosquitto.conf").read_text() + "user root\n" + more)

    def start(self):
        log = self.folder / "log"
        log.unlink(missing_ok=True)
        with log.open("w") as stream:
            self._process = subprocess.Popen([MOSQUITTO, "-c", self.config], stdout=stream, stderr=stream)
        wait_until(
            lambda: self._process.poll() is not None or "running" in log.read_text(), found=log.read_text
        )
        assert self._process.poll() is None, log.read_text()

    def stop(self):
        self._process.terminate()
        self._process.wait(10)

    def client(self, name):
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        home = self.folder / "clients" / name
        context.load_cert_chain(home / "client.crt", home / "client.key")
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5)
        client.tls_set_context(context)
        client.reconnect_delay_set(0.1, 0.3)
        return client


class Ears:
    def __init__(self, broker, name, topic):
        self.heard, self._changed, subscribed = [], threading.Condition(), threading.Event()
        self._client = broker.client(name)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("localhost", broker.port)
        self._client.loop_start()
        assert subscribed.wait(10)

    def _on_message(self, _client, _data, message):
        with self._changed:
            self.heard.append((message.topic, message.payload))
            self._changed.notify_all()

    def wait(self, payload, seconds=30):
        with self._changed:
            found = self._changed.wait_for(lambda: any(one[1] == payload for one in self.heard), seconds)
        assert found, self.heard

    def publish(self, topic, payload):
        self._client.publish(topic, payload, qos=1).wait_for_publish(10)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def brokers(tmp_path):
    from socket import socket

    ports = []
    for _ in range(2):
        with socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    centre = Broker(tmp_path / "centre", ports[0])
    set_up("site", centre.folder, "north", "site-north")
    set_up("operator", centre.folder, "anna")
    recipe = (ROOT / "docs/recipes/mosquitto-bridge.conf").read_text()
    recipe = recipe.replace("central.example:8883", f"localhost:{centre.port}")
    recipe = recipe.replace("/etc/mosquitto/central", str(centre.folder / "clients/site-north"))
    recipe = recipe.replace("restart_timeout 5 60", "restart_timeout 1")
    site = Broker(tmp_path / "site", ports[1], recipe)
    set_up("device", site.folder, "north", "box-1")
    centre.start()
    site.start()
    yield centre, site
    for broker in (site, centre):
        broker.stop()


def test_what_a_site_publishes_reaches_the_centre_over_an_outage_and_commands_come_back(brokers):
    centre, site = brokers
    box = Ears(site, "box-1", "vedette/north/box-1/command/#")
    anna = Ears(centre, "anna", "vedette/#")
    try:
        box.publish("vedette/north/box-1/host", b"before")
        anna.wait(b"before")
        anna.publish("vedette/north/box-1/command/mute", b"hush")
        box.wait(b"hush")
        centre.stop()
        for number in range(50):
            box.publish("vedette/north/box-1/host", f"during {number}".encode())
        centre.start()
        anna.wait(b"during 49")
        output = [payload for topic, payload in anna.heard if topic.endswith("/host")]
        assert list(dict.fromkeys(output)) == [
            b"before",
            *(f"during {number}".encode() for number in range(50)),
        ]
    finally:
        box.close()
        anna.close()
