"""Commands over MQTT: carried out once, answered where asked, and refused with the reason."""

import json
import time

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.config.schema import CommandSettings
from agent.delivery.commands import CommandDesk
from agent.delivery.mqtt import Received
from agent.delivery.store import StoreUnwritable

pytestmark = pytest.mark.broker


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


def test_a_command_that_cannot_be_remembered_is_refused_since_it_might_run_twice(desk):
    def no_disk(_id):
        raise StoreUnwritable("outbox: disk I/O error")

    answers = []
    desk.reply = answers.append
    message = Received(
        topic="a/command/snooze",
        payload=command()[1].encode(),
        retained=False,
        response_topic=None,
        correlation=None,
    )
    desk.receive(message, wall=time.time(), now=0.0, first_time=no_disk)
    time.sleep(0.2)
    assert "cannot be remembered: outbox: disk I/O error" in answers[0].draft.body["error"]
    assert desk.carried_out == []


def test_too_many_commands_are_refused_until_a_minute_has_passed(desk):
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
