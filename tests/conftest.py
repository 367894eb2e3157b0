"""What tests of several rooms share: real servers (mosquitto, HTTP, SMTP) for each test, and a listener."""

import contextlib
import json
import random
import shutil
import socket
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import hypothesis
import paho.mqtt.client as paho
import pytest
import structlog
from paho.mqtt import MQTTException, publish
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.certificates import self_signed
from tests.faults.proxy import Proxy
from tests.waiting import accepts, wait_until

# On a busy machine neither the time of one example nor that of making it says anything.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

MOSQUITTO = shutil.which(
    "mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/sbin"
)


def free_port():
    with socket.socket() as probe:
        # Not from the ephemeral range: a client that tries such a port may be given it and talk to itself.
        while True:
            port = random.randrange(12_000, 32_000)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


class Mosquitto:
    """One broker process of its own: config, listener, log. Stopped by its pid."""

    def __init__(self, directory, *lines, port=None, listener=(), address="127.0.0.1"):
        self.directory = Path(directory)
        self.port, self.address = port or free_port(), address
        self.log = self.directory / f"mosquitto-{self.port}.log"
        self.config = self.directory / f"mosquitto-{self.port}.conf"
        self.config.write_text(
            "\n".join(
                [
                    f"listener {self.port} {address}",
                    "max_queued_messages 0",  # a slow listener of ours must not make it drop what it took
                    *listener,
                    *(lines or ["allow_anonymous true"]),
                    "user root",
                    "",
                ]
            )
        )
        self.process = None

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([MOSQUITTO, "-c", str(self.config)], stdout=log, stderr=log)
        wait_until(
            lambda: accepts(self.port, self.address),
            10,
            self.log.read_text,
            alive=lambda: self.process.poll() is None,
        )
        return self

    def stop(self, *, kill=False):
        if self.process is not None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(10)
            self.process = None


@dataclass(frozen=True)
class Heard:
    topic: str
    payload: bytes
    retain: bool
    at: float

    @property
    def body(self):
        return json.loads(self.payload)


class Listener:
    """Hears everything at a broker; comes back by itself when the broker does."""

    def __init__(self, port, topic="#", *, qos=1, username=None, password=None):
        self.messages, self._marks, self._port = [], set(), port
        self._arrived = threading.Condition()
        self._subscribed = threading.Event()
        self._topic, self._qos = topic, qos
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=f"listener-{uuid.uuid4().hex[:8]}", protocol=paho.MQTTv5
        )
        if username:
            self._client.username_pw_set(username, password)
        self._client.on_connect = lambda client, *_: client.subscribe(self._topic, qos=self._qos)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_disconnect = lambda *_: self._subscribed.clear()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(0.05, 0.2)
        # The session outlives a broken connection, so that what arrives meanwhile is kept for us.
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, keepalive=30, clean_start=False, properties=properties)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def _on_message(self, _client, _data, message):
        with self._arrived:
            if message.topic.startswith("mark/"):
                self._marks.add(message.topic)
            else:
                self.messages.append(
                    Heard(message.topic, bytes(message.payload), bool(message.retain), time.time())
                )
            self._arrived.notify_all()

    def wait(self, wanted, timeout=15.0):
        """Until `wanted(messages)` is true; its value."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: wanted(self.messages), timeout), self.topics()
            return wanted(self.messages)

    def catch_up(self, timeout=15.0):
        """Until all has come that the broker has taken for us by now: a mark is sent, and comes after it.

        Sent again and again: a broker that was restarted meanwhile forgets it, and us.
        """
        mark, deadline = f"mark/{uuid.uuid4().hex}", time.monotonic() + timeout
        while mark not in self._marks:
            assert time.monotonic() < deadline, self.topics()
            with contextlib.suppress(OSError, MQTTException):
                publish.single(mark, qos=1, port=self._port)
            with self._arrived:
                self._arrived.wait_for(lambda: mark in self._marks, 0.5)

    def wait_subscribed(self, timeout=10.0):
        assert self._subscribed.wait(timeout)

    def topics(self):
        return [message.topic for message in self.messages][-40:]

    def bodies(self, part=""):
        return [json.loads(m.payload) for m in self.messages if part in m.topic and m.payload]

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(autouse=True)
def plain_journal():
    """Commands set the journal up for the stream they find, which is gone when the test is over."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A folder with key.pem and cert.pem of localhost, self-signed."""
    folder = tmp_path_factory.mktemp("tls")
    self_signed(folder)
    return folder


@pytest.fixture
def mosquitto(tmp_path):
    """Makes brokers: `mosquitto("allow_anonymous true", ...)`, started unless `start=False`."""
    if MOSQUITTO is None:
        pytest.skip("needs mosquitto (Debian package mosquitto)")
    made = []

    def make(*lines, start=True, **more):
        broker = Mosquitto(tmp_path, *lines, **more)
        made.append(broker)
        return broker.start() if start else broker

    yield make
    for broker in made:
        broker.stop()


@pytest.fixture
def proxy():
    """Makes proxies in front of a port, whose `mode` cuts a line, silences or slows it."""
    made = []

    def make(port):
        made.append(Proxy(port))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def listen():
    """Makes listeners: `listen(broker.port)`."""
    made = []

    def make(port, *args, **more):
        made.append(Listener(port, *args, **more))
        return made[-1]

    yield make
    for listener in made:
        listener.close()


@pytest.fixture
def hurried(monkeypatch):
    """Commands in this process listen less long for what a broker retains: here it comes at once."""
    monkeypatch.setattr("agent.delivery.mqtt.retained_client.QUIET_SECONDS", 0.2)


class Receiver:
    """An HTTP server that keeps what it was sent; `answers` are the statuses it gives, the last for good."""

    def __init__(self) -> None:
        self.received, self.answers, self.delay, self.headers, self.dated = [], [200], 0.0, {}, True
        self._arrived = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver._arrived:
                    receiver.received.append((self.path, dict(self.headers), json.loads(body)))
                    receiver._arrived.notify_all()
                time.sleep(receiver.delay)
                status = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
                (self.send_response if receiver.dated else self.send_response_only)(status)
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def wait(self, count=1, timeout=30.0):
        """Until so many requests have arrived."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.received) >= count, timeout)

    def bodies(self):
        return [body for _, _, body in self.received]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver():
    server = Receiver()
    yield server
    server.close()


class Dripper:
    """A server that greets with `greeting` and then sends `drip` again and again, never a whole answer."""

    def __init__(self, greeting, drip):
        self._greeting, self._drip, self._closing = greeting, drip, threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, channel):
        with channel, contextlib.suppress(OSError):
            channel.sendall(self._greeting)
            while not self._closing.wait(0.05):
                channel.sendall(self._drip)

    def close(self):
        self._closing.set()
        self._listener.close()


@pytest.fixture
def dripper():
    """Makes drippers: `dripper(greeting, drip)`; a drip of b"" is a server that hangs."""
    made = []

    def make(greeting=b"", drip=b""):
        made.append(Dripper(greeting, drip))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def mailbox():
    """A real SMTP server; its `messages` are e-mails as parsed by the standard library."""
    controller_module = pytest.importorskip("aiosmtpd.controller")
    from aiosmtpd.handlers import Message

    class Mailbox(Message):
        def __init__(self):
            super().__init__()
            self.messages = []

        def handle_message(self, message):
            self.messages.append(message)

    box = Mailbox()
    box.port = free_port()
    controller = controller_module.Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    yield box
    controller.stop()
