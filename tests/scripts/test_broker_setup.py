"""scripts/broker-setup with a real mosquitto: the right device publishes, no one else does, and the agent connects."""

import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "broker-setup"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


def run(*words, check=True):
    told = subprocess.run([SCRIPT, *map(str, words)], capture_output=True, text=True, timeout=60)
    assert not check or told.returncode == 0, told.stderr
    return told


class Client:
    """A paho client with one of the certificates; what it heard, and how its publishes were answered."""

    def __init__(self, port, folder, *, ca=None, name="client"):
        self.heard, self.refused, self._changed = [], [], threading.Condition()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5)
        self._client.tls_set(ca_certs=str(ca or folder / "ca.crt"))
        if folder is not None:
            context = ssl.create_default_context(cafile=str(ca or folder / "ca.crt"))
            context.load_cert_chain(folder / "client.crt", folder / "client.key")
            self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5)
            self._client.tls_set_context(context)
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._answered = {}
        self._client.connect("localhost", port, keepalive=30)
        self._client.loop_start()

    def _on_message(self, _client, _data, message):
        with self._changed:
            self.heard.append((message.topic, message.payload))
            self._changed.notify_all()

    def _on_publish(self, _client, _data, number, reason, _properties):
        with self._changed:
            self._answered[number] = reason.value
            self._changed.notify_all()

    def publish(self, topic, payload=b"{}", seconds=10):
        """The broker's reason code: 0 and 16 (no subscriber) are good, 0x87 is 'not authorized'."""
        number = self._client.publish(topic, payload, qos=1).mid
        with self._changed:
            if not self._changed.wait_for(lambda: number in self._answered, seconds):
                raise TimeoutError
        return self._answered[number]

    def subscribe(self, topic):
        done = threading.Event()
        self._client.on_subscribe = lambda *_: done.set()
        self._client.subscribe(topic, qos=1)
        assert done.wait(10)

    def wait(self, topic, seconds=20):
        with self._changed:
            found = self._changed.wait_for(lambda: any(topic in heard[0] for heard in self.heard), seconds)
        assert found, [heard[0] for heard in self.heard]

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(scope="module")
def port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory, port):
    folder = tmp_path_factory.mktemp("broker") / "made"
    run("init", folder, "--host", "localhost", "--host", "127.0.0.1", "--port", port)
    for words in (
        ("device", folder, "north", "box-1"),
        ("device", folder, "south", "box-2"),
        ("reader", folder, "wall"),
    ):
        run(*words)
    run("operator", folder, "anna")
    return folder


@pytest.fixture(scope="module")
def broker(made, port):
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/opt/homebrew/sbin")
    if program is None:
        pytest.skip("needs mosquitto (Debian package mosquitto)")
    config = (
        made / "test.conf"
    )  # as made, but the broker keeps the rights of the tests: their folder is private
    config.write_text((made / "mosquitto.conf").read_text() + "user root\n")
    with (made / "log").open("w") as log:
        process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
    wait_until(
        lambda: process.poll() is not None or "running" in (made / "log").read_text(),
        found=(made / "log").read_text,
    )
    assert process.poll() is None, (made / "log").read_text()
    yield process
    process.terminate()
    process.wait(10)


@pytest.fixture
def connect(made, port, broker):
    clients = []

    def make(name, **more):
        clients.append(Client(port, made / "clients" / name, name=name, **more))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_a_device_publishes_its_own_topics_and_no_others(connect):
    wall = connect("wall")
    wall.subscribe("vedette/#")
    box = connect("box-1")
    assert box.publish("vedette/north/box-1/host") == 0
    for topic in (
        "vedette/south/box-2/host",
        "vedette/north/box-10/host",
        "vedette/south/box-1/host",
        "other/x",
    ):
        assert box.publish(topic) == 0x87, topic
    wall.wait("vedette/north/box-1/host")
    assert {topic for topic, _ in wall.heard} == {"vedette/north/box-1/host"}


def test_readers_publish_nothing_and_devices_hear_only_their_commands(connect):
    assert connect("wall").publish("vedette/north/box-1/command/mute") == 0x87
    first, second, anna = connect("box-1"), connect("box-2"), connect("anna")
    for box in (first, second):
        box.subscribe("vedette/#")
    assert anna.publish("vedette/north/box-1/command/mute") == 0
    assert anna.publish("vedette/north/box-1/host") == 0x87
    first.wait("box-1/command/mute")
    assert second.publish("vedette/south/box-2/host") in (0, 16)  # all that box-2 was sent has come by now
    assert second.heard == []


def test_without_a_certificate_of_this_ca_there_is_no_connection(made, port, broker, tmp_path):
    with pytest.raises((ssl.SSLError, ConnectionError, OSError)):
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.tls_set(ca_certs=str(made / "ca.crt"))
        client.connect("localhost", port)
        for _ in range(50):
            if client.loop(0.1) != paho.MQTT_ERR_SUCCESS:
                raise ConnectionError
    run("init", tmp_path / "other", "--host", "localhost")
    run("device", tmp_path / "other", "north", "box-1")
    stranger = tmp_path / "other" / "clients" / "box-1"
    with pytest.raises((ssl.SSLError, ConnectionError, OSError)):
        context = ssl.create_default_context(cafile=str(made / "ca.crt"))
        context.load_cert_chain(stranger / "client.crt", stranger / "client.key")
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.tls_set_context(context)
        client.connect("localhost", port)
        for _ in range(50):
            if client.loop(0.1) != paho.MQTT_ERR_SUCCESS:
                raise ConnectionError


def test_the_agent_connects_with_what_was_made_for_it(made, connect, tmp_path):
    wall = connect("wall")
    wall.subscribe("vedette/south/#")
    home = made / "clients" / "box-2"
    config = tmp_path / "v.toml"
    text = (home / "broker.toml").read_text().replace("/etc/vedette/broker", str(home))
    config.write_text(
        f'state_directory = "{tmp_path}/state"\n{text}\n[windows]\nlength = "2s"\n'
        '[[cameras]]\nname = "front"\nkind = "synthetic"\n'
    )
    started = [sys.executable, "-m", "agent", "run", "--config", str(config)]
    with (tmp_path / "log").open("w") as log:
        agent = subprocess.Popen(started, cwd=ROOT, stdout=log, stderr=log)
    try:
        wall.wait("vedette/south/box-2/status", 40)
        wall.wait("vedette/south/box-2/camera/front")
        told = vedette("check", config)
        assert "the running agent is connected" in told, told
        for words in (
            ("verify", "--for", "1s"),
            ("watch", "--seconds", "1"),
            ("sketch", "merge", "--for", "1s"),
        ):
            assert "give a certificate of this reader's own" in vedette(*words, "--config", config)
        assert not [
            payload for topic, payload in wall.heard if topic.endswith("status") and b"offline" in payload
        ]
    finally:
        agent.terminate()
        agent.wait(20)
    assert "certificate" not in (tmp_path / "log").read_text()
    assert "may publish below vedette/south/box-2" in vedette("check", config), (
        "without the agent it logs in itself"
    )


def vedette(*words):
    """What a command says, on one line."""
    words = [sys.executable, "-m", "agent", *map(str, words)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    return " ".join((done.stdout + done.stderr).split())


def test_who_was_removed_may_do_nothing_after_a_reload(made, connect, broker):
    run("device", made, "north", "box-3")
    broker.send_signal(signal.SIGHUP)
    wait_until(lambda: "Reloading config" in (made / "log").read_text())
    box = connect("box-3")
    assert box.publish("vedette/north/box-3/host") in (0, 16)
    kept = made.parent / "kept"
    shutil.copytree(made / "clients" / "box-3", kept)
    assert "may do nothing" in run("remove", made, "box-3").stdout
    broker.send_signal(signal.SIGHUP)
    wait_until(lambda: box.publish("vedette/north/box-3/host") == 0x87, 10)
    assert not (made / "clients" / "box-3").exists()


def let_in(port, folder, name, topic):
    """Whether the broker takes a client with the certificate in `folder`, and its publish."""
    try:
        client = Client(port, folder, name=name)
    except OSError:
        return False
    try:
        return client.publish(topic, seconds=3) in (0, 16)
    except TimeoutError:
        return False
    finally:
        client.close()


def test_a_removed_devices_old_certificate_stays_refused_when_its_name_is_issued_anew(made, port, broker):
    """Stolen with the device, it must not come back to life with the device's replacement."""
    topic = "vedette/north/box-4/host"
    run("device", made, "north", "box-4")
    broker.send_signal(signal.SIGHUP)
    stolen = made.parent / "stolen"
    shutil.copytree(made / "clients" / "box-4", stolen)
    deadline = time.monotonic() + 20
    while not let_in(port, stolen, "box-4", topic):
        assert time.monotonic() < deadline
    run("remove", made, "box-4")
    run("device", made, "north", "box-4")
    broker.send_signal(signal.SIGHUP)
    while let_in(port, stolen, "box-4", topic):
        assert time.monotonic() < deadline, "the old certificate publishes again"
    assert let_in(port, made / "clients" / "box-4", "box-4", topic)
    assert let_in(port, made / "clients" / "box-1", "box-1", "vedette/north/box-1/host")


def test_again_changes_nothing(made, port):
    def state():
        return {
            path: path.read_bytes()
            for path in sorted(made.rglob("*"))
            if path.suffix in (".key", ".crt", ".list")
        } | {"acl": (made / "acl").read_bytes()}

    before = state()
    run("init", made, "--host", "localhost", "--host", "127.0.0.1", "--port", port)
    run("device", made, "north", "box-1")
    assert state() == before
    assert (made / "ca.key").stat().st_mode & 0o077 == 0
    assert (made / "clients" / "box-1" / "client.key").stat().st_mode & 0o077 == 0
    assert "box-1" in run("list", made).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("init", "DIR"), "--host"),
        (("init", "DIR", "--host", "a b;rm"), "characters"),
        (("init", "DIR", "--host", "x", "--port", "abc"), "whole numbers"),
        (("device", "DIR", "north"), "not one of these"),
        (("device", "DIR", "north", "box/1"), "is not a valid name"),
        (("device", "DIR", "south", "box-1"), "unique"),
        (("remove", "DIR", "nobody"), "there is no nobody"),
        (("list", "/nonexistent"), "was not made by"),
        (("frobnicate", "x"), "not one of these"),
    ],
)
def test_mistakes_are_told(made, tmp_path, words, said):
    words = [
        made if word == "DIR" and words[0] != "init" else tmp_path / "n" if word == "DIR" else word
        for word in words
    ]
    told = run(*words, check=False)
    assert told.returncode != 0
    assert said in told.stderr


@pytest.fixture
def fresh(tmp_path, port):
    run("init", tmp_path / "made", "--host", "localhost", "--port", port)
    run("device", tmp_path / "made", "north", "box-1")
    return tmp_path / "made"


@pytest.mark.parametrize(
    "place",
    ["acl.new", "server.crt", "data", "clients/box-1/ca.crt", "clients/box-1/broker.toml", "clients/box-2"],
)
def test_nothing_is_written_through_a_link(fresh, tmp_path, place):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    precious.chmod(0o600)
    path = fresh / place
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.symlink_to(precious)
    for words in (
        ("device", fresh, "north", "box-2"),
        ("init", fresh, "--host", "other"),
        ("remove", fresh, "box-1"),
    ):
        told = run(*words, check=False)
        assert told.returncode == 1
        assert f"{path} is a link" in told.stderr
    assert precious.read_text() == "mine"
    assert precious.stat().st_mode & 0o777 == 0o600
    path.unlink()


def test_what_the_broker_keeps_for_itself_is_no_matter(fresh):
    (fresh / "data" / "own").symlink_to("/etc/passwd")
    run("list", fresh)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be warned of another's folder")
def test_root_makes_nothing_in_a_folder_of_somebody_elses(fresh):
    os.chown(fresh, 65534, 65534)
    told = run("device", fresh, "north", "box-2", check=False)
    assert told.returncode == 1
    assert "belongs to nobody, and root does not write there" in told.stderr


def clients(folder):
    return [line.split()[1] for line in (folder / "clients.list").read_text().splitlines()]


def users(folder):
    return [line.split()[1] for line in (folder / "acl").read_text().splitlines() if line.startswith("user ")]


def test_names_that_are_equal_as_numbers_are_other_clients(tmp_path):
    run("init", tmp_path / "made", "--host", "localhost")
    for name in ("1", "01", "1.0"):
        run("device", tmp_path / "made", "north", name)
    assert users(tmp_path / "made") == ["1", "01", "1.0"]
    run("remove", tmp_path / "made", "01")
    assert users(tmp_path / "made") == clients(tmp_path / "made") == ["1", "1.0"]
    revoked = (tmp_path / "made" / "revoked").read_text()
    assert revoked.count("/CN=01") == revoked.count("/CN=") == 1


@pytest.mark.parametrize("name", ["box.1", "box*", "..", "bo", ""])
def test_who_is_not_there_is_not_said_to_be_removed(tmp_path, name):
    run("init", tmp_path / "made", "--host", "localhost")
    run("reader", tmp_path / "made", "box-1")
    done = run("remove", tmp_path / "made", name, check=False)
    assert done.returncode == 1
    assert "is not a valid name" in done.stderr or f"there is no {name} " in done.stderr
    assert users(tmp_path / "made") == ["box-1"]


def test_what_ended_midway_is_made_anew_or_named(tmp_path):
    """An openssl that is killed leaves a key without its certificate, or half of one."""
    whole, bin = shutil.which("openssl"), tmp_path / "bin"
    bin.mkdir()
    for step, when in (("CA", "req"), ("key", "ecparam"), ("certificate", "x509")):
        made, words = tmp_path / step, ("--host", "localhost")
        if step != "CA":
            run("init", made, *words)
        killed = f"""#!/bin/sh
[ "$1" != {when} ] || {{
  while [ $# -gt 0 ]; do case $1 in -keyout | -out) echo half >"$2" ;; esac; shift; done
  exit 137
}}
exec {whole} "$@"
"""
        (bin / "openssl").write_text(killed)
        (bin / "openssl").chmod(0o755)
        path = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"}
        cut = ["init", made, *words] if step == "CA" else ["device", made, "north", "box"]
        done = subprocess.run([SCRIPT, *map(str, cut)], capture_output=True, text=True, env=path, timeout=60)
        assert done.returncode != 0
        assert done.stderr or step == "key"
        run("init", made, *words)
        run("device", made, "north", "box")
        certificate = made / "clients" / "box" / "client.crt"
        verify = [whole, "verify", "-CAfile", str(made / "ca.crt"), str(certificate)]
        assert subprocess.run(verify, capture_output=True).returncode == 0
