"""Connections as brokers make them: logins, access rules, certificates, transports, versions, several brokers."""

import json
import re
import socket
import subprocess
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from types import SimpleNamespace

import paho.mqtt.client as paho
import pytest

from agent.alerts.engine import AlertEngine
from agent.alerts.rules import compile_rules
from agent.cli.status import broker_line, outbox_line
from agent.config.delivery_settings import BrokerSettings, DeviceSettings
from agent.core.errors import ConfigError
from agent.delivery.identity import Identity, identify
from agent.delivery.mqtt.address import broker_addresses
from agent.delivery.mqtt.backoff import BACKOFF
from agent.delivery.mqtt.beside import drive, open_connection, wake_pipe
from agent.delivery.mqtt.broker_client import KEPT_OF_LARGER
from agent.delivery.mqtt.connection import BYTES_AT_ONCE, ConnectionOptions
from agent.delivery.mqtt.events import Received, Subscribed
from agent.delivery.mqtt.failures import ConnectionFailure, why_ended
from agent.delivery.mqtt.listener import Listener
from agent.delivery.mqtt.ping import ping
from tests.certificates import Authority
from tests.conftest import free_port
from tests.delivery.conftest import NOW, QUICK
from tests.servers.addresses import dead_addresses, resolving
from tests.servers.hostile_broker import HostileBroker, connack
from tests.servers.tcp import TcpServer
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

PLACE = "vedette/check"
"""Where `ping` tries to publish."""

# -- logging in ------------------------------------------------------------------------------------------


@pytest.fixture
def locked(mosquitto, tmp_path):
    """A broker that knows one user, and an access list."""
    passwords, rules = tmp_path / "passwords", tmp_path / "rules"
    subprocess.run(
        ["mosquitto_passwd", "-c", "-b", passwords, "agent", "right"], check=True, capture_output=True
    )
    subprocess.run(["mosquitto_passwd", "-b", passwords, "reader", "reads"], check=True, capture_output=True)
    rules.write_text(
        "user reader\ntopic read #\nuser agent\ntopic readwrite vedette/#\ntopic deny vedette/+/+/camera/+\n"
    )
    return mosquitto("allow_anonymous false", f"password_file {passwords}", f"acl_file {rules}")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_refused_login_is_told_apart_and_never_called_connected(locked, publish, drafts, capsys, protocol):
    running = publish(f"mqtt://agent:wrong-secret@127.0.0.1:{locked.port}", protocol=protocol)
    running.until(lambda p: p.connection.failure == ConnectionFailure.LOGIN.value)
    wait_until(lambda: "not authori" in locked.log.read_text(), 30)  # nothing more comes of that connection
    running.publisher.publish(drafts.host())
    running.until(
        lambda p: p.statistics().get("outbox_messages") == 1
    )  # the delivery has gone on for some rounds
    assert running.publisher.connection.state != "connected"
    assert running.publisher.statistics()["broker_connected"] == 0
    shown = capsys.readouterr().out + repr(running.publisher.connection)
    assert shown.count("the broker refused us") == 1
    assert "check user name and password" in shown
    assert "wrong-secret" not in shown
    assert "mqtt://***@127.0.0.1" in shown
    assert "agent" not in shown.replace("vedette agent", "")


def test_a_flood_of_large_messages_waits_in_the_line_and_not_in_memory(mosquitto):
    broker = mosquitto("allow_anonymous true", "max_queued_messages 0", "max_queued_bytes 0")
    settings, sent, piece = BrokerSettings(url=broker.url), 60, bytes(900_000)
    options = ConnectionOptions(client_id="flooded", session_expiry=0, broker=settings)
    sender = paho.Client(paho.CallbackAPIVersion.VERSION2)
    sender.connect("127.0.0.1", broker.port)
    with wake_pipe() as pipe, closing(open_connection(broker_addresses(settings)[0], options, pipe)) as ours:
        ours.subscribe("t")
        while not any(isinstance(event, Subscribed) for event in drive(ours, pipe, 1.0)):
            pass
        sender.loop_start()
        for _ in range(sent):
            sender.publish("t", piece, qos=0)
        sender.publish("t", b"last", qos=1).wait_for_publish(30.0)  # all of it has reached the broker
        sender.loop_stop()
        most, last = 0, b""
        while last != b"last":
            found = [event.payload for event in drive(ours, pipe, 5.0) if isinstance(event, Received)]
            most, last = max(most, sum(map(len, found))), found[-1] if found else last
    assert 0 < most < BYTES_AT_ONCE + len(piece) + len(b"last")


@pytest.mark.parametrize("source", ["url", "setting", "file", "environment", "credential"])
def test_the_password_may_come_from_anywhere(locked, source, tmp_path, monkeypatch):
    url, more = f"mqtt://127.0.0.1:{locked.port}", {"username": "agent"}
    if source == "url":
        url = f"mqtt://agent:right@127.0.0.1:{locked.port}"
    elif source == "setting":
        more["password"] = "right"
    elif source == "file":
        (tmp_path / "secret").write_text("right\n")
        more["password_file"] = str(tmp_path / "secret")
    elif source == "environment":
        monkeypatch.setenv("VEDETTE_BROKER_PASSWORD", "right")
    else:
        (tmp_path / "broker_password").write_text("right\n")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert ping(BrokerSettings(url=url, **more), PLACE)[0].ok


def test_ping_says_in_one_line_what_is_wrong(locked):
    refused = ping(BrokerSettings(url=f"mqtt://agent:wrong@127.0.0.1:{locked.port}"), PLACE)[0]
    assert not refused.ok
    assert "not authorized" in refused.reason
    gone = ping(BrokerSettings(url=f"mqtt://127.0.0.1:{free_port()}"), PLACE)[0]
    assert "connection refused" in gone.reason
    unknown = ping(BrokerSettings(url="mqtt://no-such-host.invalid"), PLACE)[0]
    assert "unknown host" in unknown.reason
    with pytest.raises(ConfigError, match="url: is not a broker address"):
        ping(BrokerSettings(url="http://x"), PLACE)
    assert "\n" not in refused.reason + gone.reason + unknown.reason


REFUSALS = {
    "no such user S3cretUser": "not authorized",
    "password 's3CRETpw' is wrong for you": "not authorized",
    "S3cre... is too short": "not authorized",
    "ask the night shift": "ask the night shift",
    "see https://h/x?token=abc": "see https://h/x?token=***",
    "\x1b]0;owned\x07 ask\nme": "\\x1b]0;owned\\x07 ask me",
    "": "not authorized",
}


@pytest.mark.parametrize("said", REFUSALS)
def test_what_a_broker_says_is_one_printable_line_without_what_we_sent(said):
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_refuse, args=(server, said.encode()))
        thread.start()
        place = f"127.0.0.1:{server.getsockname()[1]}"
        url = f"mqtt://S3cretUser:S3cretPw@{place}"
        refused = ping(BrokerSettings(url=url, protocol="5"), PLACE)[0]
        thread.join(10)
    assert not refused.ok
    assert REFUSALS[said] in refused.reason
    assert "s3cre" not in refused.reason.lower()
    assert refused.reason.isprintable()


def _refuse(server, said):
    """A broker that refuses one login with a reason string of MQTT 5."""
    channel, _ = server.accept()
    with channel:
        channel.recv(65536)
        reason = b"\x1f" + len(said).to_bytes(2, "big") + said
        channel.sendall(bytes([0x20, 3 + len(reason), 0, 0x87, len(reason)]) + reason)
        channel.recv(65536)


def test_why_there_is_no_connection_reaches_status_rules_and_alerts(locked, publish):
    running = publish(f"mqtt://agent:wrong-secret@127.0.0.1:{locked.port}")
    running.until(lambda p: p.connection.failure == ConnectionFailure.LOGIN.value)
    running.until(lambda p: p.statistics().get("broker_connected") == 0)
    report = running.publisher.report()
    shown = broker_line(report["broker"]).plain + outbox_line(report["outbox"]).plain
    for words in (
        "mqtt://***@127.0.0.1",
        "not connected",
        "not authorized (login)",
        "check user name and password",
        "0 messages wait on disk",
    ):
        assert words in shown
    assert "wrong-secret" not in json.dumps(report)
    seen = {o.metric: o for o in running.publisher.observations(NOW)}
    assert "not authorized" in seen["host.broker_connected"].text
    (rule,) = [rule for rule in compile_rules((), window_seconds=60) if rule.name == "broker_down"]
    engine, told = AlertEngine((rule,)), []
    for second in range(0, 180, 5):
        told += engine.step([replace(seen["host.broker_connected"], at=NOW + second)], NOW + second)
    assert "not authorized" in told[-1].what


def test_what_the_access_list_refuses_is_held_back_and_said(locked, listen, publish, drafts, capsys):
    listener = listen(locked.port, username="reader", password="reads")
    running = publish(f"mqtt://agent:right@127.0.0.1:{locked.port}")
    running.publisher.publish(drafts.camera(start=time.time()))
    running.publisher.publish(drafts.alert())
    listener.wait(lambda heard: any("alert/" in m.topic for m in heard))
    running.until(lambda p: p.statistics().get("outbox_messages") == 1)
    assert "the broker refuses messages, holding them back" in capsys.readouterr().out


def test_a_fight_over_a_client_id_is_recognised_though_the_broker_says_nothing(
    mosquitto, publish, tmp_path, capsys
):
    broker = mosquitto()
    both = [publish(broker.url, directory=tmp_path / name) for name in ("one", "two")]
    both[0].until(
        lambda _: any(r.publisher.connection.failure == ConnectionFailure.SHORT_LIVED.value for r in both)
    )
    said = capsys.readouterr().out
    assert "either another client uses the same client id (was this machine cloned?), or" in said
    assert "the broker refused us" not in said, "that is not known"


def test_a_taken_over_client_id_is_recognised_where_the_broker_says_so(publish, capsys):
    import threading

    recognised = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            channel, _ = server.accept()
            with channel:
                channel.recv(4096)
                channel.sendall(bytes([0x20, 3, 0, 0, 0]))  # CONNACK, success
                channel.sendall(bytes([0xE0, 1, 0x8E]))  # DISCONNECT, session taken over
                recognised.wait(10)

        threading.Thread(target=serve, daemon=True).start()
        running = publish(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        running.until(lambda p: p.connection.failure == ConnectionFailure.TAKEN_OVER.value)
        recognised.set()
    assert "was this machine cloned, or" in capsys.readouterr().out


def test_two_machines_never_share_a_client_id(tmp_path):
    seen = []
    for name in ("a", "b"):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / "etc" / "machine-id").write_text(f"{name * 32}\n")
        seen.append(identify(DeviceSettings(), BrokerSettings(), tmp_path / name))
    assert seen[0].client_id != seen[1].client_id
    assert seen[0].device != seen[1].device
    assert "aaaa" not in seen[0].client_id
    assert isinstance(identify(DeviceSettings(name="x y/z", site="a#"), BrokerSettings()), Identity)
    assert (
        identify(DeviceSettings(name="x y/z", site="a#"), BrokerSettings(topic_prefix="p/q/")).prefix
        == "p/q/a/x-y-z"
    )


def test_agents_of_one_machine_with_names_of_their_own_have_client_ids_of_their_own(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "machine-id").write_text("a" * 32)

    def client_id(name="", site="default", **more):
        return identify(DeviceSettings(name=name, site=site), BrokerSettings(**more), tmp_path).client_id

    unnamed = client_id()
    assert unnamed == "vedette-c927e50065a33f8" == client_id(site="north"), "as before there were names"
    ids = [
        unnamed,
        client_id("a"),
        client_id("b"),
        client_id("a", "north"),
        client_id("a", topic_prefix="other"),
    ]
    assert len(set(ids)) == len(ids)
    assert all(len(one) == 23 and re.fullmatch("[0-9a-z-]+", one) for one in ids)
    assert client_id("a") == client_id("a"), "fixed"
    assert client_id("a", client_id="mine") == "mine"


# -- transports ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A CA, a server certificate for 127.0.0.1, a client certificate; and a CA nobody knows."""
    at = tmp_path_factory.mktemp("certificates")
    authority = Authority(at)
    authority.sign("server", names="IP:127.0.0.1")
    authority.sign("client")
    Authority(at, "other")
    return at


def tls_lines(at, *more):
    return [f"cafile {at / 'ca.crt'}", f"certfile {at / 'server.crt'}", f"keyfile {at / 'server.key'}", *more]


def test_tls_with_a_client_certificate(mosquitto, certificates, publish, drafts, capsys):
    broker = mosquitto(listener=tls_lines(certificates, "require_certificate true"))
    url, files = f"mqtts://127.0.0.1:{broker.port}", {"ca_file": str(certificates / "ca.crt")}
    assert not ping(BrokerSettings(url=url, **files), PLACE)[0].ok
    files |= {"cert_file": str(certificates / "client.crt"), "key_file": str(certificates / "client.key")}
    running = publish(url, **files)
    for _ in range(200):
        running.publisher.publish(drafts.camera(start=time.time()))
    assert running.publisher.drain(15)
    (elsewhere,) = ping(BrokerSettings(url=f"mqtts://localhost:{broker.port}", **files), PLACE)
    assert (
        "certificate refused: Hostname mismatch" in elsewhere.reason and "client.crt" not in elsewhere.reason
    )


def test_an_unknown_ca_is_a_certificate_failure(mosquitto, certificates, publish):
    broker = mosquitto(listener=tls_lines(certificates))
    running = publish(f"mqtts://127.0.0.1:{broker.port}", ca_file=str(certificates / "other.crt"))
    running.until(lambda p: p.connection.failure == ConnectionFailure.CERTIFICATE.value)
    assert "certificate" in running.publisher.connection.reason


def test_tls_older_than_1_2_is_not_spoken(certificates, publish):
    """A server that would speak 1.1 and nothing newer; shown with a client that is willing."""
    port = free_port()
    files = ["-cert", certificates / "server.crt", "-key", certificates / "server.key"]
    old = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
    server = subprocess.Popen(
        ["openssl", "s_server", "-accept", str(port), "-quiet", *files, *old],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        willing = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *old]
        wait_until(lambda: b"TLSv1.1" in subprocess.run(willing, input=b"", capture_output=True).stdout, 10)
        running = publish(f"mqtts://127.0.0.1:{port}", ca_file=str(certificates / "ca.crt"))
        running.until(lambda p: p.connection.failure == ConnectionFailure.TLS.value)
        assert "TLS failed" in running.publisher.connection.reason
    finally:
        server.kill()
        server.wait(5)


def test_websockets(amqtt, publish, drafts):
    running = publish(amqtt.web, protocol="3.1.1")
    for _ in range(100):
        running.publisher.publish(drafts.camera(start=time.time()))
    assert running.publisher.drain(15)


def test_websockets_over_tls(amqtt, certificates, publish, drafts):
    running = publish(amqtt.secure_web, protocol="3.1.1", ca_file=str(certificates / "ca.crt"))
    running.publisher.publish(drafts.camera(start=time.time()))
    assert running.publisher.drain(15)
    stranger = publish(
        amqtt.secure_web, ca_file=str(certificates / "other.crt"), directory=certificates / "stranger"
    )
    stranger.until(lambda p: p.connection.failure == ConnectionFailure.CERTIFICATE.value)


def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1(publish, drafts, amqtt, capsys):
    running = publish(amqtt.url)
    running.publisher.publish(drafts.host(start=time.time()))
    assert running.publisher.drain(15)
    assert running.publisher.connection.version == "3.1.1"
    assert "access rules" in capsys.readouterr().out


@pytest.fixture
def amqtt(certificates):
    """The pure Python broker, which only speaks 3.1.1."""
    pytest.importorskip("amqtt")
    import asyncio
    import logging
    import threading

    from amqtt.broker import Broker

    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    port, web, secure_web = free_port(), free_port(), free_port()
    loop, ready = asyncio.new_event_loop(), threading.Event()
    tls = {
        "ssl": True,
        "certfile": str(certificates / "server.crt"),
        "keyfile": str(certificates / "server.key"),
    }
    config = {
        "listeners": {
            "default": {"type": "tcp", "bind": f"127.0.0.1:{port}"},
            "web": {"type": "ws", "bind": f"127.0.0.1:{web}"},
            "secure web": {"type": "ws", "bind": f"127.0.0.1:{secure_web}", **tls},
        },
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    made = []

    def serve():
        asyncio.set_event_loop(loop)
        made.append(Broker(config, loop=loop))
        loop.run_until_complete(made[0].start())
        ready.set()
        loop.run_forever()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(10)
    yield SimpleNamespace(
        url=f"mqtt://127.0.0.1:{port}",
        web=f"ws://127.0.0.1:{web}/",
        secure_web=f"wss://127.0.0.1:{secure_web}/",
    )
    asyncio.run_coroutine_threadsafe(made[0].shutdown(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


def test_fallback_brokers_in_order_and_back_to_the_first(mosquitto, publish, drafts):
    first, second = mosquitto(start=False), mosquitto()
    running = publish(first.url, fallback_urls=(second.url,))
    running.until(lambda p: p.connection.broker == second.url and p.connection.state == "connected")
    first.start()
    running.until(lambda p: p.connection.broker == first.url and p.connection.state == "connected")
    running.publisher.publish(drafts.host(start=time.time()))
    assert running.publisher.drain(10)


def test_a_connection_refused_port_is_unreachable(publish):
    with socket.socket() as blocked:
        blocked.bind(("127.0.0.1", 0))
        running = publish(f"mqtt://127.0.0.1:{blocked.getsockname()[1]}")
        running.until(lambda p: p.connection.failure == "unreachable")


def test_dead_addresses_of_a_broker_s_name_keep_nobody_from_the_one_that_answers(
    mosquitto, publish, drafts, monkeypatch
):
    broker = mosquitto()
    with dead_addresses(broker.port, 3) as dead:
        resolving(monkeypatch, "several.test", [*dead, "127.0.0.1"])
        running = publish(f"mqtt://several.test:{broker.port}")
        running.publisher.publish(drafts.host(start=time.time()))
        assert running.publisher.drain(30), running.publisher.connection


class Trickle(TcpServer):
    """Answers the beginning of a handshake by a byte now and then, until it is hung up on."""

    def __init__(self, beginning):
        self.beginning, self.over, self.began = beginning, threading.Semaphore(0), 0
        super().__init__()

    def _serve(self, channel):
        self.began += 1
        with channel:
            try:
                channel.recv(65536)
                channel.sendall(self.beginning)
                while channel.send(b"H"):
                    time.sleep(0.05)
            except OSError:
                self.over.release()


@pytest.mark.parametrize(
    ("scheme", "beginning"),
    [("ws", b"HTTP/1.1 "), ("mqtts", b"\x16\x03\x03\x40\x00")],
    ids=["websocket", "tls"],
)
def test_a_handshake_that_trickles_holds_no_thread_longer_than_the_time_out(publish, scheme, beginning):
    server = Trickle(beginning)
    running = publish(f"{scheme}://127.0.0.1:{server.port}", timing=replace(QUICK, connect=0.5))
    assert server.over.acquire(timeout=20)
    assert server.over.acquire(timeout=20)
    running.stop()
    for _ in range(server.began - 2):
        assert server.over.acquire(timeout=20)
    server.close()


# -- a line that is dead for a while ------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["mute", "refuse"], ids=["silent", "hangs up"])
@pytest.mark.parametrize("begun", [False, True], ids=["at the start", "later"])
def test_a_line_that_was_dead_leaves_no_older_version_behind(
    mosquitto, proxy, publish, monkeypatch, fault, begun
):
    monkeypatch.setattr("agent.delivery.mqtt.session.AGAIN_SECONDS", 0.0)
    between = proxy(mosquitto().port)
    between.mode = "pass" if begun else fault
    running = publish(between.url, timing=replace(QUICK, connect=0.3))
    if begun:
        running.until(lambda p: p.connection.state == "connected")
        between.mode = fault
        between.reset()
    for _ in range(12):  # both versions have been tried where they would be
        before = between.accepted
        running.until(lambda _, before=before: between.accepted > before, 30)
    between.mode = "pass"
    between.reset()
    running.until(lambda p: p.connection.state == "connected", 30)
    if running.publisher.connection.version != "5":  # it was just being asked in that when the line came back
        between.reset()
        running.until(lambda p: p.connection.version == "5" and p.connection.state == "connected", 30)


class SlowToAnswer(TcpServer):
    """Before a broker: while it is `slow`, a login in MQTT 5 is not answered."""

    def __init__(self, port):
        self.target, self.slow, self.passed_on = port, True, []
        super().__init__()

    def cut(self):
        for channel in self.passed_on:
            channel.shutdown(socket.SHUT_RDWR)
        self.passed_on.clear()

    def _serve(self, channel):
        with channel, suppress(OSError):
            login = channel.recv(65536)
            begins = next(n for n in range(1, 5) if login[n] < 0x80) + 1  # behind the length
            if self.slow and login[begins + 6] == 5:
                channel.recv(1)
                return
            self.passed_on.append(channel)
            with socket.create_connection(("127.0.0.1", self.target)) as broker:
                broker.sendall(login)
                threading.Thread(target=self._pass, args=(channel, broker), daemon=True).start()
                self._pass(broker, channel)

    @staticmethod
    def _pass(source, sink):
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(("held", "then"), [(0.0, "5"), (3600.0, "3.1.1")], ids=["long", "briefly"])
def test_a_broker_that_was_slow_is_asked_in_the_newer_version_once_the_older_has_held(
    mosquitto, publish, monkeypatch, held, then
):
    monkeypatch.setattr("agent.delivery.mqtt.session.AGAIN_SECONDS", held)
    between = SlowToAnswer(mosquitto().port)
    running = publish(between.url, timing=replace(QUICK, connect=0.5))
    running.until(lambda p: p.connection.version == "3.1.1" and p.connection.state == "connected", 20)
    between.slow = False
    between.cut()
    running.until(lambda p: p.connection.state != "connected")
    running.until(lambda p: p.connection.state == "connected", 20)
    assert running.publisher.connection.version == then
    between.close()


def test_an_address_that_is_silent_is_unreachable_and_no_matter_of_versions(publish, monkeypatch):
    port = free_port()
    with dead_addresses(port, 1) as dead:
        resolving(monkeypatch, "dead.test", dead)
        running = publish(f"mqtt://dead.test:{port}", timing=replace(QUICK, connect=0.5))
        for _ in range(3):
            running.until(lambda p: p.connection.failure)
            assert running.publisher.connection.failure == ConnectionFailure.UNREACHABLE.value
            assert running.publisher.connection.reason == f"dead.test:{port}: no answer in time"
            running.until(lambda p: p.connection.state == "connecting")
            assert running.publisher.connection.version == "5"


@pytest.mark.parametrize("address", ["[::1]", "localhost"])
def test_a_broker_of_ipv6_alone(mosquitto, publish, drafts, address, monkeypatch):
    broker = mosquitto(address="::1")
    resolving(monkeypatch, "localhost", ["::1"])
    running = publish(f"mqtt://{address}:{broker.port}")
    running.publisher.publish(drafts.host(start=time.time()))
    assert running.publisher.drain(15)
    (found,) = ping(BrokerSettings(url=f"mqtt://{address}:{broker.port}"), PLACE)
    assert found.ok and found.broker == f"mqtt://{address}:{broker.port}"


# -- what brokers should not send --------------------------------------------------------------------------


@pytest.fixture
def hostile():
    made = []

    def make(*args):
        made.append(HostileBroker(*args))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


def test_a_packet_that_is_no_message_and_fills_the_memory_is_refused_before_it_is_here(hostile, publish):
    broker = hostile(connack() + b"\x90\xff\xff\xff\x7f", bytes(1 << 20))  # an answer of 256 MiB
    running = publish(broker.url)
    running.until(lambda p: "a packet of 268435455 bytes" in p.connection.reason)
    assert broker.sent < 32 << 20  # what the sockets hold


def test_a_step_of_the_login_that_is_not_spoken_is_named(hostile, publish):
    running = publish(hostile(b"\xf0\x02\x18\x00").url, protocol="5")
    running.until(lambda p: "another step of the login (AUTH)" in p.connection.reason)


def test_a_message_of_any_size_ends_no_connection_and_only_its_beginning_is_kept(hostile):
    size = 9_000_000  # a retained one would come at every connect
    length = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128, size >> 21])
    large = b"\x31" + length + b"\x00\x09vedette/a\x00" + bytes(size - 12)
    broker = hostile(connack() + large + b"\x30\x0e\x00\x09vedette/b\x00hi")
    heard = [each[0] for each in Listener(BrokerSettings(url=broker.url)).hear(5.0) if each][:2]
    assert [(each.topic, len(each.payload) <= 2 * KEPT_OF_LARGER) for each in heard] == [
        ("vedette/a", True),
        ("vedette/b", True),
    ]
    assert heard[1].payload == b"hi"


@pytest.mark.parametrize(
    ("code", "was_open", "failure"),
    [
        (0x87, False, ConnectionFailure.LOGIN),
        (0x87, True, ConnectionFailure.DENIED),  # what was sent, not who we are
        (0x95, True, ConnectionFailure.DENIED),
        (0x8A, False, ConnectionFailure.BANNED),
        (0x9C, True, ConnectionFailure.MOVED),
        (0x98, True, ConnectionFailure.BUSY),
        (0xC8, False, ConnectionFailure.REFUSED),
        (0xC8, True, ConnectionFailure.LOST),
    ],
)
def test_what_a_reason_code_means_depends_on_when_it_comes(code, was_open, failure):
    assert why_ended(code, was_open=was_open) is failure
    assert failure in BACKOFF


def test_what_a_broker_gives_for_a_reason_moves_no_cursor_and_is_short(hostile, publish):
    broker = hostile(connack(0x87, "\x1b]52;c;QUJD\x07" * 4000))
    running = publish(broker.url)
    running.until(lambda p: p.connection.failure == ConnectionFailure.LOGIN.value)
    reason = running.publisher.connection.reason
    assert reason.isprintable()
    assert len(reason) < 1000
