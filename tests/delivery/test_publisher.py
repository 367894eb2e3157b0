import json
import socket
import subprocess
import time
from types import SimpleNamespace

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.config.schema import BrokerSettings, CommandSettings
from agent.delivery.commands import CommandDesk
from agent.delivery.mqtt import Failure
from agent.delivery.ping import ping
from agent.delivery.verify import Verifier
from agent.errors import ConfigError
from agent.identity import Identity
from agent.types import AlertState, Draft, Priority

from ..conftest import free_port  # noqa: TID252
from .conftest import IDENTITY, NOW, QUICK, Drafts

pytestmark = pytest.mark.broker
STATUS = "vedette/dock/box/status"


def test_messages_arrive_in_order_valid_and_once(mosquitto, listen, publish, drafts):
    broker = mosquitto()
    listener, running = listen(broker.port), publish(broker.url)
    now = time.time()
    for _ in range(50):
        running.publisher.publish(drafts.camera(start=now))
        running.publisher.publish(drafts.host(start=now))
        running.publisher.publish(drafts.feature_sketches(start=now))
    running.publisher.publish(drafts.alert())
    assert running.publisher.drain(10)
    listener.wait(lambda heard: len(heard) >= 152)
    verifier = Verifier()
    for heard in listener.messages:
        verifier.hear(heard.topic, heard.payload, retained=heard.retain, now=heard.at)
    report = verifier.report()
    assert report["ok"], report
    counts = {
        s["family"]: (s["received"], s["gaps"], s["disorder"])
        for s in report["devices"]["dock/box"]["streams"]
    }
    assert counts == {"camera": (50, 0, 0), "host": (50, 0, 0), "sketch": (50, 0, 0), "alert": (1, 0, 0)}
    assert running.publisher.statistics()["outbox_messages"] == 0
    assert running.publisher.statistics()["delivered_total"] == 151


def test_status_is_online_then_offline_after_a_clean_stop(mosquitto, listen, publish):
    broker = mosquitto()
    listener, running = listen(broker.port), publish(broker.url)
    listener.wait(lambda heard: [m.body["state"] for m in heard if m.topic == STATUS] == ["online"])
    running.stop()
    heard = listener.wait(lambda heard: len(heard) == 2 and heard)
    assert (heard[1].body["state"], heard[1].body["reason"]) == ("offline", "stopped")
    late = listen(broker.port)
    assert late.wait(lambda heard: heard and heard[0]).retain


def test_status_and_info_are_said_again_on_a_broker_that_forgot(mosquitto, listen, publish, drafts):
    broker = mosquitto()
    running = publish(broker.url)
    from agent.delivery.messages import info_draft, status_draft

    running.publisher.publish(status_draft("degraded", since=NOW, version="1", reason="front down"))
    running.publisher.publish(info_draft({"cameras": 2}))
    running.publisher.publish(drafts.alert("standing"))
    running.publisher.publish(drafts.alert("over"))
    running.publisher.publish(drafts.alert("over", AlertState.RESOLVED))
    assert running.publisher.drain(10)
    broker.stop(kill=True)
    running.until(lambda p: p.connection.state != "connected")
    broker.start()
    listener = listen(broker.port)
    wanted = {STATUS, "vedette/dock/box/info", "vedette/dock/box/alert/standing"}
    listener.wait(lambda heard: wanted <= {m.topic for m in heard if m.payload})
    assert {m.body["state"] for m in listener.messages if m.topic == STATUS} == {"degraded"}
    assert not listener.bodies("alert/over")


def test_a_resolved_alert_leaves_nothing_retained(mosquitto, listen, publish, drafts):
    broker = mosquitto()
    before, running = listen(broker.port), publish(broker.url)
    running.publisher.publish(drafts.alert("a"))
    running.publisher.publish(drafts.alert("a", AlertState.RESOLVED))
    running.publisher.publish(drafts.alert("b"))
    assert running.publisher.drain(10)
    states = before.wait(
        lambda heard: len(found := [m for m in heard if m.topic.endswith("alert/a")]) == 3 and found
    )
    assert [json.loads(m.payload)["state"] if m.payload else "" for m in states] == ["firing", "resolved", ""]
    before.close()
    after = listen(broker.port, "vedette/+/+/alert/+")
    after.wait(lambda heard: heard)
    time.sleep(0.2)
    assert [m.topic for m in after.messages] == ["vedette/dock/box/alert/b"]


def test_the_last_will_says_offline(mosquitto, listen, publish, tmp_path):
    broker = mosquitto()
    listener, running = listen(broker.port), publish(broker.url)
    running.until(lambda p: p.connection.state == "connected")
    running.publisher._session.connection.abort()  # the process vanishes: no goodbye
    body = listener.wait(
        lambda heard: [m.body for m in heard if m.topic == STATUS and m.body["state"] == "offline"]
    )
    assert body[0]["reason"] == "connection lost"


def test_a_backlog_goes_to_replay_and_alerts_overtake_it(
    mosquitto, listen, publish, make_outbox, tmp_path, clock
):
    broker, drafts = mosquitto(), Drafts()
    (tmp_path / "state").mkdir()
    outbox = make_outbox("state/outbox.db", clock=clock)
    for i in range(40):
        outbox.put_many([drafts.camera(start=NOW + 60 * i), drafts.host(start=NOW + 60 * i)])
    clock.pass_seconds(3600)
    outbox.put_many([drafts.alert()])
    outbox.put_many([drafts.host(start=NOW + 3600)])
    outbox.close()
    listener = listen(broker.port)
    publish(broker.url, clock=clock)
    listener.wait(lambda heard: len(heard) >= 83)
    topics = [m.topic.removeprefix("vedette/dock/box/") for m in listener.messages]
    assert topics[1] == "alert/a1"  # after the status
    assert topics.count("replay/camera/front") == 40
    assert topics.count("replay/host") == 40
    assert topics[-1] == "host"
    seqs = [body["seq"] for body in listener.bodies("host")]
    assert seqs == sorted(seqs)


def test_a_backlog_is_sent_no_faster_than_asked(mosquitto, listen, publish, make_outbox, tmp_path, clock):
    broker, drafts = mosquitto(), Drafts()
    (tmp_path / "state").mkdir()
    outbox = make_outbox("state/outbox.db", clock=clock)
    outbox.put_many([drafts.host(start=NOW + 60 * i) for i in range(30)])
    outbox.close()
    clock.pass_seconds(3600)
    listener = listen(broker.port)
    started = time.monotonic()
    publish(broker.url, clock=clock, backlog_rate=20.0)
    listener.wait(lambda heard: len(heard) >= 31)
    assert 0.4 < time.monotonic() - started < 8.0


def test_the_brokers_receive_maximum_is_kept(mosquitto, listen, publish, drafts):
    broker = mosquitto("allow_anonymous true", "max_inflight_messages 3")
    listener, running = listen(broker.port), publish(broker.url, in_flight=20)
    running.until(lambda p: p.connection.state == "connected")
    for _ in range(100):
        running.publisher.publish(drafts.host(start=time.time()))
    assert running.publisher.drain(15)
    assert running.publisher._window._limit <= 20
    assert len(listener.wait(lambda heard: len(heard) >= 101 and heard)) == 101


def test_a_message_too_large_for_the_broker_is_given_up_not_looped(mosquitto, listen, publish, drafts):
    broker = mosquitto("allow_anonymous true", "max_packet_size 4000")
    listener, running = listen(broker.port), publish(broker.url)
    running.publisher.publish(Draft(topic="host", body={"x": "y" * 8000}))
    running.publisher.publish(drafts.host(start=time.time()))
    assert running.publisher.drain(10)
    running.publisher.publish(drafts.host(start=time.time()))
    listener.wait(lambda heard: len([m for m in heard if m.topic.endswith("/host")]) == 2)
    assert running.publisher.statistics()["outbox_lost_total"] == 1
    assert running.publisher.connection.state == "connected"


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
def test_a_refused_login_is_told_apart_and_never_called_connected(locked, publish, capsys, protocol):
    running = publish(f"mqtt://agent:wrong-secret@127.0.0.1:{locked.port}", protocol=protocol)
    running.until(lambda p: p.connection.failure == Failure.LOGIN.value)
    time.sleep(0.5)
    assert running.publisher.connection.state != "connected"
    assert running.publisher.statistics()["broker_connected"] == 0
    shown = capsys.readouterr().out + repr(running.publisher.connection)
    assert shown.count("the broker refused us") == 1
    assert "check user name and password" in shown
    assert "wrong-secret" not in shown
    assert "agent:***@" in shown


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
    assert ping(BrokerSettings(url=url, **more))[0].ok


def test_ping_says_in_one_line_what_is_wrong(locked):
    refused = ping(BrokerSettings(url=f"mqtt://agent:wrong@127.0.0.1:{locked.port}"))[0]
    assert not refused.ok
    assert "not authorized" in refused.reason
    gone = ping(BrokerSettings(url=f"mqtt://127.0.0.1:{free_port()}"))[0]
    assert "connection refused" in gone.reason
    unknown = ping(BrokerSettings(url="mqtt://no-such-host.invalid"))[0]
    assert "unknown host" in unknown.reason
    with pytest.raises(ConfigError, match=r"broker\.url"):
        ping(BrokerSettings(url="http://x"))
    assert "\n" not in refused.reason + gone.reason + unknown.reason


def test_what_the_access_list_refuses_is_held_back_and_said(locked, listen, publish, drafts, capsys):
    listener = listen(locked.port, username="reader", password="reads")
    running = publish(f"mqtt://agent:right@127.0.0.1:{locked.port}")
    running.publisher.publish(drafts.camera(start=time.time()))
    running.publisher.publish(drafts.alert())
    listener.wait(lambda heard: any("alert/" in m.topic for m in heard))
    running.until(lambda p: p.statistics()["outbox_messages"] == 1)
    assert "the broker refuses messages, holding them back" in capsys.readouterr().out


def test_a_fight_over_a_client_id_is_recognised_though_the_broker_says_nothing(
    mosquitto, publish, tmp_path, capsys
):
    broker = mosquitto()
    both = [publish(broker.url, directory=tmp_path / name) for name in ("one", "two")]
    both[0].until(lambda _: any(r.publisher.connection.failure == Failure.TAKEN_OVER.value for r in both))
    assert "was this machine cloned?" in capsys.readouterr().out


def test_a_taken_over_client_id_is_recognised_where_the_broker_says_so(publish, capsys):
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            channel, _ = server.accept()
            with channel:
                channel.recv(4096)
                channel.sendall(bytes([0x20, 3, 0, 0, 0]))  # CONNACK, success
                channel.sendall(bytes([0xE0, 1, 0x8E]))  # DISCONNECT, session taken over
                time.sleep(0.5)

        threading.Thread(target=serve, daemon=True).start()
        running = publish(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        running.until(lambda p: p.connection.failure == Failure.TAKEN_OVER.value)
    assert "was this machine cloned?" in capsys.readouterr().out


def test_two_machines_never_share_a_client_id(tmp_path):
    from agent.config.schema import DeviceSettings
    from agent.identity import identify

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


# -- transports ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A CA, a server certificate for 127.0.0.1, a client certificate; and a CA nobody knows."""
    at = tmp_path_factory.mktemp("certificates")

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=at)

    def signed(name, subject, *, ca, extension=""):
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            subject,
        )
        (at / "extension").write_text(extension)
        openssl(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            f"{ca}.crt",
            "-CAkey",
            f"{ca}.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-out",
            f"{name}.crt",
            "-extfile",
            "extension",
        )

    for ca in ("ca", "other"):
        openssl(
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            f"{ca}.key",
            "-out",
            f"{ca}.crt",
            "-days",
            "2",
            "-subj",
            f"/CN=vedette test {ca}",
        )
    signed("server", "/CN=broker", ca="ca", extension="subjectAltName=IP:127.0.0.1")
    signed("client", "/CN=agent", ca="ca")
    for key in at.glob("*.key"):
        key.chmod(0o644)
    return at


def tls_lines(at, *more):
    return [f"cafile {at / 'ca.crt'}", f"certfile {at / 'server.crt'}", f"keyfile {at / 'server.key'}", *more]


def test_tls_with_a_client_certificate(mosquitto, certificates, publish, drafts, capsys):
    broker = mosquitto(listener=tls_lines(certificates, "require_certificate true"))
    url, files = f"mqtts://127.0.0.1:{broker.port}", {"ca_file": str(certificates / "ca.crt")}
    assert not ping(BrokerSettings(url=url, **files))[0].ok
    files |= {"cert_file": str(certificates / "client.crt"), "key_file": str(certificates / "client.key")}
    running = publish(url, **files)
    for _ in range(200):
        running.publisher.publish(drafts.camera(start=time.time()))
    assert running.publisher.drain(15)
    assert (
        ping(BrokerSettings(url=f"mqtts://localhost:{broker.port}", **files))[0].reason.count("certificate")
        == 2
    )


def test_an_unknown_ca_is_a_certificate_failure(mosquitto, certificates, publish):
    broker = mosquitto(listener=tls_lines(certificates))
    running = publish(f"mqtts://127.0.0.1:{broker.port}", ca_file=str(certificates / "other.crt"))
    running.until(lambda p: p.connection.failure == Failure.CERTIFICATE.value)
    assert "certificate" in running.publisher.connection.reason


def test_tls_older_than_1_2_is_not_spoken(mosquitto, certificates):
    import ssl

    broker = mosquitto(listener=tls_lines(certificates, "tls_version tlsv1.2"))
    assert ping(BrokerSettings(url=f"mqtts://127.0.0.1:{broker.port}", ca_file=str(certificates / "ca.crt")))[
        0
    ].ok
    from agent.delivery import mqtt

    context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    seen = []

    class Client:
        def tls_set_context(self, made):
            seen.append(made.minimum_version)

    from agent.delivery.urls import parse_broker_url

    mqtt._secure(Client(), parse_broker_url("mqtts://x"), mqtt.Options(client_id="x"))
    assert seen == [ssl.TLSVersion.TLSv1_2]
    assert context is not None


def test_websockets(amqtt, publish, drafts):
    running = publish(amqtt.web, protocol="3.1.1")
    for _ in range(100):
        running.publisher.publish(drafts.camera(start=time.time()))
    assert running.publisher.drain(15)


def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1(publish, drafts, amqtt, capsys):
    running = publish(amqtt.url)
    running.publisher.publish(drafts.host(start=time.time()))
    assert running.publisher.drain(15)
    assert running.publisher.connection.version == "3.1.1"
    assert "access rules" in capsys.readouterr().out


@pytest.fixture
def amqtt(tmp_path):
    """The pure Python broker, which only speaks 3.1.1."""
    pytest.importorskip("amqtt")
    import asyncio
    import logging
    import threading

    from amqtt.broker import Broker

    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    port, web, loop, ready = free_port(), free_port(), asyncio.new_event_loop(), threading.Event()
    config = {
        "listeners": {
            "default": {"type": "tcp", "bind": f"127.0.0.1:{port}"},
            "web": {"type": "ws", "bind": f"127.0.0.1:{web}"},
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
    yield SimpleNamespace(url=f"mqtt://127.0.0.1:{port}", web=f"ws://127.0.0.1:{web}/")
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


# -- hand-over --------------------------------------------------------------------------------------------


def test_publish_never_blocks_and_lets_go_of_the_least_important(tmp_path, drafts):
    from agent.delivery.inbox import Inbox

    inbox = Inbox(size=10)
    for i in range(8):
        inbox.put(drafts.feature_sketches() if i % 2 else drafts.camera())
    for i in range(8):
        inbox.put(drafts.alert(f"a{i}"))
    assert len(inbox) == 10
    assert inbox.take_dropped() == {"sketch": 4, "camera": 2}
    taken = inbox.take(100)
    assert [draft.priority for draft in taken] == [Priority.ALERT] * 8 + [Priority.SUMMARY] * 2
    inbox.give_back(taken[8:])
    assert [draft.family for draft in inbox.take(10)] == ["camera", "camera"]


def test_handing_over_takes_microseconds(publish, drafts):
    running = publish(f"mqtt://127.0.0.1:{free_port()}")
    made = [drafts.host() for _ in range(2000)]
    worst = 0.0
    for draft in made:
        started = time.perf_counter()
        running.publisher.publish(draft)
        worst = max(worst, time.perf_counter() - started)
    assert worst < 0.25  # a loaded machine's scheduler; the typical call is two microseconds


def test_everything_accepted_is_still_there_after_a_stop_without_a_broker(publish, make_outbox, drafts):
    running = publish(f"mqtt://127.0.0.1:{free_port()}")
    for _ in range(20):
        running.publisher.publish(drafts.host())
    running.stop()
    assert make_outbox("state/outbox.db").depth == 20


def test_ages_and_reasons_of_the_connection_are_published_numbers(publish):
    running = publish(f"mqtt://127.0.0.1:{free_port()}")
    running.until(lambda p: p.connection.failure == "unreachable")
    observed = {o.metric: o.value for o in running.publisher.observations(5.0)}
    assert observed["host.broker_connected"] == 0.0
    assert observed["host.outbox_durable"] == 1.0


# -- commands ---------------------------------------------------------------------------------------------


@pytest.fixture
def desk():
    import threading

    carried_out = []

    def snooze(args):
        carried_out.append(dict(args))
        return {"until": "later"}

    def broken(_args):
        raise ValueError("no such rule")

    made = CommandDesk(
        CommandSettings(enabled=True, allow=("snooze", "broken"), rate_per_minute=5, max_age=30.0),
        {"snooze": snooze, "broken": broken, "reload": snooze},
    )
    stop = threading.Event()
    thread = threading.Thread(target=made.run, args=(stop,), daemon=True)
    thread.start()
    made.carried_out = carried_out
    yield made
    stop.set()
    thread.join(5)


def command(name="snooze", command_id="c1", age=0.0, **more):
    from agent.delivery.messages import rfc3339

    return f"vedette/dock/box/command/{name}", json.dumps(
        {"id": command_id, "time": rfc3339(time.time() - age), **more}
    )


def test_a_command_is_carried_out_once_and_answered(mosquitto, listen, publish, desk, tmp_path):
    broker = mosquitto()
    listener, running = listen(broker.port, "vedette/+/+/reply/#"), publish(broker.url, commands=desk)
    running.until(lambda p: p.connection.state == "connected")
    time.sleep(0.2)
    topic, payload = command(rule="slow")
    for _ in range(3):
        listener._client.publish(topic, payload, qos=1)
    reply = listener.wait(lambda heard: heard and heard[0])
    assert reply.topic.endswith("reply/c1")
    assert (reply.body["ok"], reply.body["until"], reply.body["command"]) == (True, "later", "snooze")
    time.sleep(0.3)
    assert desk.carried_out == [{"rule": "slow"}]
    running.stop()
    again = publish(broker.url, commands=desk)
    again.until(lambda p: p.connection.state == "connected")
    listener._client.publish(topic, payload, qos=1)
    time.sleep(0.5)
    assert len(desk.carried_out) == 1  # known from before the restart
    assert len(listener.messages) == 1


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (lambda: command("reload"), "not allowed"),
        (lambda: command("rm"), "not allowed"),
        (lambda: command(age=3600), "3600 s old"),
        (lambda: command(age=-3600), "-3599 s old"),
        (lambda: ("vedette/dock/box/command/snooze", '{"id": "c1"}'), "RFC 3339"),
        (lambda: command("broken"), "no such rule"),
    ],
)
def test_a_refused_command_is_answered_with_the_reason(mosquitto, listen, publish, desk, sent, error):
    broker = mosquitto()
    listener, running = listen(broker.port, "vedette/+/+/reply/#"), publish(broker.url, commands=desk)
    running.until(lambda p: p.connection.state == "connected")
    time.sleep(0.2)
    listener._client.publish(*sent(), qos=1)
    reply = listener.wait(lambda heard: heard and heard[0].body)
    assert reply["ok"] is False
    assert error.replace("-3599", "-3600") in reply["error"].replace("-3599", "-3600")
    assert desk.carried_out == []


def test_commands_that_no_one_could_answer_are_only_logged(desk):
    from agent.delivery.mqtt import Received

    answers = []
    desk.reply = answers.append
    nonsense = [b"", b"{", b"[]", b'{"id": 5}', b'{"id": "../x"}', b"x" * 20_000]
    for payload in nonsense:
        message = Received(
            topic="a/command/snooze", payload=payload, retained=False, response_topic=None, correlation=None
        )
        desk.receive(message, wall=time.time(), now=0.0, first_time=lambda _: True)
    retained = Received(
        topic="a/command/snooze",
        payload=command()[1].encode(),
        retained=True,
        response_topic=None,
        correlation=None,
    )
    desk.receive(retained, wall=time.time(), now=0.0, first_time=lambda _: True)
    time.sleep(0.2)
    assert (answers, desk.carried_out) == ([], [])


def test_too_many_commands_are_refused_until_a_minute_has_passed(desk):
    from agent.delivery.mqtt import Received

    answers = []
    desk.reply = answers.append

    def send(i, now):
        message = Received(
            topic="a/command/snooze",
            payload=command(command_id=f"c{i}")[1].encode(),
            retained=False,
            response_topic="answers/here",
            correlation=b"x",
        )
        desk.receive(message, wall=time.time(), now=now, first_time=lambda _: True)

    for i in range(6):
        send(i, now=float(i))
        time.sleep(0.02)
    send(7, now=61.0)
    deadline = time.monotonic() + 5
    while len(answers) < 7 and time.monotonic() < deadline:
        time.sleep(0.01)
    said = {answer.draft.body["id"]: answer.draft.body["ok"] for answer in answers}
    assert said == {"c0": True, "c1": True, "c2": True, "c3": True, "c4": True, "c5": False, "c7": True}
    assert {answer.topic for answer in answers} == {"answers/here"}


def test_a_broker_that_lets_no_commands_through_is_told(no_subscriptions, publish, desk, capsys):
    running = publish(no_subscriptions.url, commands=desk)
    running.until(lambda p: p.connection.state == "connected")
    time.sleep(0.3)
    assert "the broker does not let us listen for commands" in capsys.readouterr().out


def test_an_answer_goes_to_the_response_topic_with_the_correlation_data(mosquitto, listen, publish, desk):
    broker = mosquitto()
    listener, running = listen(broker.port, "answers/#"), publish(broker.url, commands=desk)
    running.until(lambda p: p.connection.state == "connected")
    time.sleep(0.2)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic, properties.CorrelationData = "answers/me", b"42"
    answered = []
    listener._client.on_message = lambda _client, _data, message: answered.append(message)
    listener._client.publish(*command(rule="slow"), qos=1, properties=properties)
    deadline = time.monotonic() + 10
    while not answered:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert (answered[0].topic, answered[0].properties.CorrelationData) == ("answers/me", b"42")
    assert json.loads(answered[0].payload)["ok"] is True


def test_commands_are_off_unless_switched_on(mosquitto, listen, publish):
    broker = mosquitto()
    desk = CommandDesk(CommandSettings(allow=("*",)), {"snooze": lambda _: {}})
    running = publish(broker.url, commands=desk)
    running.until(lambda p: p.connection.state == "connected")
    listener = listen(broker.port, "vedette/+/+/reply/#")
    listener._client.publish(*command(), qos=1)
    time.sleep(0.4)
    assert listener.messages == []


def test_a_connection_refused_port_is_unreachable(publish):
    with socket.socket() as blocked:
        blocked.bind(("127.0.0.1", 0))
        running = publish(f"mqtt://127.0.0.1:{blocked.getsockname()[1]}", timing=QUICK, identity=IDENTITY)
        running.until(lambda p: p.connection.failure == "unreachable")
