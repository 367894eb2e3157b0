"""Logging in again: what was rotated counts at the next connection, and a token is replaced before it ends."""

import base64
import functools
import json
import shutil
import signal
import subprocess
import time

import pytest
from paho.mqtt import publish

from agent.config.delivery_settings import BrokerSettings
from agent.core.errors import VedetteError
from agent.core.secret import Masked, Secret
from agent.dashboard.shared import SharedInbox, SharedSession
from agent.dashboard.subscriber import Subscriber
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(not shutil.which("mosquitto_passwd"), reason="needs mosquitto's tools"),
]


def token(ends):
    """A JWT that ends at a Unix time; nobody verifies its signature."""
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, {"exp": ends})]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "x"])


@pytest.fixture
def broker(mosquitto, tmp_path):
    """A broker where `reader` logs in, with the password that `broker.rotate` set last."""
    file = tmp_path / "passwords"
    file.touch()
    broker = mosquitto("allow_anonymous false", f"password_file {file}")

    def rotate(password):
        for user, secret in (("reader", password), ("device", "device")):
            subprocess.run(
                ["mosquitto_passwd", "-b", str(file), user, secret], check=True, capture_output=True
            )
        if broker.process is not None:
            broker.process.send_signal(signal.SIGHUP)

    broker.rotate = rotate
    return broker


until = functools.partial(wait_until, seconds=40)


def send(broker, topic):
    login = {"username": "device", "password": "device"}
    publish.single(topic, b'{"state": "online"}', qos=1, port=broker.port, auth=login)


def restarted(broker):
    broker.stop()
    broker.start()


@pytest.mark.parametrize("kind", ["password_file", "token_command"])
def test_a_password_that_was_rotated_counts_once_the_connection_ends(broker, tmp_path, kind):
    secret = tmp_path / "secret"
    secret.write_text("first\n")
    how = {"password_file": str(secret), "token_command": (Secret("cat"), Secret(str(secret)))}
    settings = BrokerSettings(url=Masked(broker.url), username="reader", **{kind: how[kind]})
    broker.rotate("first")
    restarted(broker)
    with Subscriber(settings) as subscriber:
        inbox = SharedInbox()
        session = SharedSession(settings, "vedette-collect-test", ["vedette/+/+/status"], inbox)
        session.start()
        until(lambda: session.subscriptions)
        broker.rotate("second")
        restarted(broker)
        until(lambda: subscriber.refused and session.refused)
        assert "check user, password" in subscriber.refused
        secret.write_text("second\n")
        until(lambda: subscriber.connected and session.subscriptions == 2)
        send(broker, "vedette/n/b/status")
        assert inbox.take(20).topic == "vedette/n/b/status"
        assert subscriber.take(20)[0] == "vedette/n/b/status" and subscriber.refused == ""
        session.close(end=True)


@pytest.mark.slow
def test_a_token_is_replaced_before_it_ends_and_nothing_is_missed(broker, tmp_path, monkeypatch):
    monkeypatch.setattr("agent.dashboard.login.RETRY_SECONDS", 0.1)
    first, second = token(time.time() + 8), token(time.time() + 3600)
    file = tmp_path / "token"
    file.write_text(first)
    settings = BrokerSettings(
        url=Masked(broker.url), username="reader", token_command=(Secret("cat"), Secret(str(file)))
    )
    broker.rotate(first)
    restarted(broker)
    inbox = SharedInbox()
    session = SharedSession(settings, "vedette-collect-test", ["vedette/+/+/host"], inbox)
    with Subscriber(settings) as subscriber:
        session.start()
        until(lambda: session.subscriptions)
        broker.rotate(second)  # the connections that are open stay
        time.sleep(0.2)
        file.write_text(second)
        numbers = iter(range(10_000))
        sent = []

        def renewed():
            sent.append(f"vedette/n/b{next(numbers)}/host")
            send(broker, sent[-1])
            return subscriber.subscriptions == 2 and session.subscriptions == 2

        until(renewed)
        got = [inbox.take(20) for _ in sent]
        for one in got:
            session.acknowledge(one)
        assert {one.topic for one in got} == set(sent)
        assert (subscriber.refused, session.refused) == ("", "")
    session.close(end=True)


def test_a_login_that_cannot_be_read_is_named_and_not_taken_for_a_broker_that_is_away(broker, tmp_path):
    file = tmp_path / "gone"
    settings = BrokerSettings(url=Masked(broker.url), username="reader", password_file=str(file))
    with pytest.raises(VedetteError, match=r"broker\.password_file.*gone") as error:
        Subscriber(settings).open()
    assert "is it running" not in str(error.value)
    waiting = Subscriber(settings)
    waiting.start()
    until(lambda: "gone" in waiting.away)
    broker.rotate("first")
    restarted(broker)
    file.write_text("first")
    until(lambda: waiting.connected)
    assert waiting.away == ""
    waiting.close()
