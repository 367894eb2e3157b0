"""Observers at any broker, an agent of its own for each test, and the table of what was found."""

import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.conftest import Heard
from tests.faults.conftest import account, load, meters  # noqa: F401  (fixtures)

ROOT = Path(__file__).parents[2]
TABLE = {}


def pytest_addoption(parser):
    parser.addoption("--brokers-table", type=Path, help="write what each broker did there, as Markdown")


def pytest_terminal_summary(terminalreporter, config):
    for title, rows in TABLE.items():
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        lines = [
            "| " + " | ".join([title, *columns]) + " |",
            "|---" * (len(columns) + 1) + "|",
            *(
                "| " + " | ".join([name, *(str(row.get(column, "-")) for column in columns)]) + " |"
                for name, row in rows.items()
            ),
        ]
        terminalreporter.section(f"brokers: {title}")
        terminalreporter.write_line("\n".join(lines))
        if config.getoption("--brokers-table"):
            with config.getoption("--brokers-table").open("a") as file:
                file.write("\n".join([*lines, "", ""]))


def note(title, row, column, value):
    """Put a value into a table of the summary."""
    TABLE.setdefault(title, {}).setdefault(row, {})[column] = value


class Observer:
    """A subscriber that keeps all it hears. `session`: its name, under which a broker keeps what comes while it is away.

    Comes back by itself, to the next of `addresses` where one does not answer.
    """

    def __init__(self, addresses, topic, *, newest=True, session="", login=None, keepalive=30):
        self.messages, self._changed = [], threading.Condition()
        self._addresses, self._at, self._topic = list(addresses), 0, topic
        self._subscribed, self._leaving, self._keepalive = threading.Event(), threading.Event(), keepalive
        self._newest, self._session = newest, session
        old = {} if newest else {"clean_session": not session}
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=session or f"observer-{uuid.uuid4().hex[:8]}",
            protocol=paho.MQTTv5 if newest else paho.MQTTv311,
            **old,
        )
        if login:
            self._client.username_pw_set(*login)
        self._client.connect_timeout = 3
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        properties = None
        if self._newest:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 3600 if self._session else 0
        start = {"clean_start": not self._session, "properties": properties} if self._newest else {}
        while not self._leaving.is_set():
            host, port = self._addresses[self._at]
            try:
                self._client.connect(host, port, keepalive=self._keepalive, **start)
                while self._client.loop(0.2) == paho.MQTT_ERR_SUCCESS and not self._leaving.is_set():
                    pass
            except OSError:
                pass
            self._subscribed.clear()
            self._at = (self._at + 1) % len(self._addresses)
            self._leaving.wait(0.2)
        self._client.disconnect()
        self._client.loop(0.2)

    def _on_connect(self, client, _data, _flags, reason, _properties):
        if not reason.is_failure:
            client.subscribe(self._topic, qos=1)

    def _on_message(self, _client, _data, message):
        if not paho.topic_matches_sub(self._topic, message.topic):
            return  # amqtt hands out retained messages that were not asked for
        with self._changed:
            self.messages.append(
                Heard(message.topic, bytes(message.payload), bool(message.retain), time.time())
            )
            self._changed.notify_all()

    def publish(self, topic, payload, properties=None, retain=False):
        self._client.publish(topic, payload, qos=1, properties=properties, retain=retain)

    def wait_subscribed(self, timeout=60):
        assert self._subscribed.wait(timeout), f"{self._addresses} does not let us subscribe"
        return self

    def wait(self, wanted, timeout=60.0):
        """Until `wanted(messages)` is true; its value."""
        with self._changed:
            assert self._changed.wait_for(lambda: wanted(self.messages), timeout), [
                (m.topic, m.payload[:80]) for m in self.messages[-20:]
            ]
            return wanted(self.messages)

    def hears(self, wanted, timeout=5.0):
        """Whether `wanted(messages)` becomes true in a while: for what may be or not."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: wanted(self.messages), timeout))

    def close(self):
        """Leave in good order; a broker keeps the session where it has a name."""
        self._leaving.set()
        self._thread.join(10)


@pytest.fixture
def observe():
    """Makes observers; `observe(broker, topic)`."""
    made = []

    def make(broker, topic, **more):
        more.setdefault("newest", "mqtt 5" not in broker.lacks)
        login = ("guest", "guest") if "guest" in broker.url else None
        made.append(Observer([("127.0.0.1", broker.port)], topic, login=login, **more))
        return made[-1].wait_subscribed()

    yield make
    for observer in made:
        observer.close()


class Agent:
    """`vedette run` with one drawn camera, in a process of its own."""

    def __init__(self, folder, device, broker_lines):
        self.folder, self.device = folder, device
        self.config, self.log = folder / "vedette.toml", folder / "journal"
        self.config.write_text(
            f'state_directory = "{folder}/state"\n[device]\nname = "{device}"\nsite = "dock"\n'
            f'[broker]\n{broker_lines}\n[windows]\nlength = "2s"\n'
            '[commands]\nenabled = true\nallow = ["*"]\n[[cameras]]\nname = "front"\nkind = "synthetic"\n'
        )
        with self.log.open("w") as log:
            words = [sys.executable, "-m", "agent", "run", "--config", self.config]
            self.process = subprocess.Popen([str(word) for word in words], cwd=ROOT, stdout=log, stderr=log)

    def command(self, *words, timeout=120):
        """Run another command of vedette; the finished process."""
        words = [sys.executable, "-m", "agent", *map(str, words)]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=timeout)

    def status(self):
        return json.loads(self.command("status", "--json", "--config", self.config).stdout)

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)


@pytest.fixture
def run_agent(tmp_path):
    """Makes agents: `run_agent(device, lines of [broker])`."""
    made = []

    def make(device, broker_lines):
        folder = tmp_path / device
        folder.mkdir()
        made.append(Agent(folder, device, broker_lines))
        return made[-1]

    yield make
    for agent in made:
        if agent.process.poll() is None:
            agent.kill()
