"""Commands over MQTT: carried out once, answered where asked, and refused with the reason."""

import io
import json
import random
import time

import psutil
import pytest
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.config.delivery_settings import CommandSettings
from agent.delivery.commands import CommandWorker
from agent.delivery.mqtt.events import Received
from agent.delivery.outbox.store import StoreUnwritable
from agent.logging import setup as log
from tests.waiting import wait_until

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

    made = CommandWorker(
        CommandSettings(
            enabled=True,
            allow=("snooze", "broken"),
            rate_per_minute=5,
            max_age=30.0,
            reply_prefixes=("answers",),
        ),
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


def listens_to_commands(broker, listen):
    """The agent subscribes before it says that it is online."""
    listen(broker.port, "vedette/+/+/status").wait(
        lambda heard: any(m.body["state"] == "online" for m in heard)
    )


def carries_nothing_else_out(listener):
    """Commands are judged in order: one that is answered comes behind all that were sent before."""
    last = f"last{len(listener.messages)}"
    listener._client.publish(*command("broken", last), qos=1)
    listener.wait(lambda heard: any(m.body["id"] == last for m in heard))


def test_a_command_is_carried_out_once_and_answered(mosquitto, listen, publish, desk, tmp_path):
    broker = mosquitto()
    listener, running = listen(broker.port, "vedette/+/+/reply/#"), publish(broker.url, commands=desk)
    listens_to_commands(broker, listen)
    topic, payload = command(rule="slow")
    for _ in range(2):
        listener._client.publish(topic, payload, qos=1)
    reply = listener.wait(lambda heard: heard and heard[0])
    assert reply.topic.endswith("reply/c1")
    assert (reply.body["ok"], reply.body["until"], reply.body["command"]) == (True, "later", "snooze")
    carries_nothing_else_out(listener)
    assert desk.carried_out == [{"rule": "slow"}]
    running.stop()
    publish(broker.url, commands=desk)
    listens_to_commands(broker, listen)
    listener._client.publish(topic, payload, qos=1)
    carries_nothing_else_out(listener)
    assert len(desk.carried_out) == 1  # known from before the restart
    assert [m.body["id"] for m in listener.messages] == ["c1", "last1", "last2"]


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
    listener, _ = listen(broker.port, "vedette/+/+/reply/#"), publish(broker.url, commands=desk)
    listens_to_commands(broker, listen)
    listener._client.publish(*sent(), qos=1)
    reply = listener.wait(lambda heard: heard and heard[0].body)
    assert reply["ok"] is False
    assert error.replace("-3599", "-3600") in reply["error"].replace("-3599", "-3600")
    assert desk.carried_out == []


def test_commands_that_no_one_could_answer_are_only_logged(desk):
    answers = []
    desk.reply = answers.append
    nonsense = [b"", b"{", b"[]", b'{"id": 5}', b'{"id": "../x"}', b"x" * 20_000]
    for number, payload in enumerate(nonsense):
        message = Received(
            topic="a/command/snooze", payload=payload, retained=False, response_topic=None, correlation=None
        )
        desk.receive(message, wall=time.time(), now=60.0 * number, first_time=lambda _: True)
    retained = Received(
        topic="a/command/snooze",
        payload=command()[1].encode(),
        retained=True,
        response_topic=None,
        correlation=None,
    )
    desk.receive(retained, wall=time.time(), now=0.0, first_time=lambda _: True)
    assert desk._queue.empty() and (answers, desk.carried_out) == ([], [])


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
    assert "cannot be remembered: outbox: disk I/O error" in answers[0].draft.body["error"]
    assert desk._queue.empty() and desk.carried_out == []


def test_too_many_commands_are_refused_until_a_minute_has_passed(desk):
    answers = []
    desk.reply = answers.append

    def send(i, now):
        message = Received(
            topic="a/command/snooze",
            payload=command(command_id=f"c{i}")[1].encode(),
            retained=False,
            response_topic="a/reply/here",
            correlation=b"x",
        )
        desk.receive(message, wall=time.time(), now=now, first_time=lambda _: True)

    for i in range(6):
        send(i, now=float(i))
    send(7, now=61.0)
    wait_until(lambda: len(answers) == 7)
    said = {answer.draft.body["id"]: answer.draft.body["ok"] for answer in answers}
    assert said == {"c0": True, "c1": True, "c2": True, "c3": True, "c4": True, "c5": False, "c7": True}
    assert {answer.topic for answer in answers} == {"a/reply/here"}


def test_a_broker_that_lets_no_commands_through_is_told(no_subscriptions, publish, desk, capsys):
    running = publish(no_subscriptions.url, commands=desk)
    said = ""

    def refused(_publisher):
        nonlocal said
        said += capsys.readouterr().out
        return "the broker does not let us listen for commands" in said

    running.until(refused)


def test_an_answer_goes_to_the_response_topic_with_the_correlation_data(mosquitto, listen, publish, desk):
    broker = mosquitto()
    listener, _ = listen(broker.port, "answers/#"), publish(broker.url, commands=desk)
    listens_to_commands(broker, listen)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic, properties.CorrelationData = "answers/me", b"42"
    answered = []
    listener._client.on_message = lambda _client, _data, message: answered.append(message)
    listener._client.publish(*command(rule="slow"), qos=1, properties=properties)
    wait_until(lambda: answered)
    assert (answered[0].topic, answered[0].properties.CorrelationData) == ("answers/me", b"42")
    assert json.loads(answered[0].payload)["ok"] is True


def test_commands_are_off_unless_switched_on(mosquitto, listen, publish, drafts):
    broker = mosquitto()
    desk = CommandWorker(CommandSettings(allow=("*",)), {"snooze": lambda _: {}})
    running = publish(broker.url, commands=desk)
    listens_to_commands(broker, listen)
    listener = listen(broker.port, "vedette/#")
    listener._client.publish(*command(), qos=1)
    listener.wait(lambda heard: any("/command/" in m.topic for m in heard))  # whoever listens has it by now
    running.publisher.publish(drafts.host())
    listener.wait(lambda heard: any(m.topic.endswith("/host") for m in heard))
    assert not any("/reply/" in m.topic for m in listener.messages)


def received(
    payload, topic="vedette/dock/box/command/snooze", response_topic=None, correlation=None, retained=False
):
    return Received(
        topic=topic,
        payload=payload,
        retained=retained,
        response_topic=response_topic,
        correlation=correlation,
    )


@pytest.fixture
def refused(desk):
    """Has the desk judge one message; what it answered, with nothing carried out."""
    answers = []
    desk.reply = answers.append

    def judge(message, now=0.0):
        desk.receive(message, wall=time.time(), now=now, first_time=lambda _: True)
        assert desk._queue.empty() and desk.carried_out == []
        return answers

    return judge


@pytest.mark.parametrize(
    "payload",
    [b"[" * 1500, b'{"a":' * 1500, b'{"id": "c1", "time": 1' + b"0" * 400 + b"}", b'{"id": "c1", "n": Infinity}', b"\xff",
     b'"\\ud800"', json.dumps({"id": "x" * 16_000}).encode(), b'{"id": "c1", "time": ["2026"]}'],
)  # fmt: skip
def test_a_hostile_payload_is_refused(refused, payload):
    refused(received(payload))


@pytest.mark.parametrize(
    "topic",
    ["#", "vedette/dock/box/reply/#", "vedette/dock/box/reply/+", "vedette/dock/box/status", "vedette/dock/other/alert/x",
     "vedette/dock/box/reply/", "vedette/dock/box/reply/a\x00b", "vedette/dock/box/reply/" + "x" * 70_000, "$SYS/x",
     "vedette/dock/box/reply/status/\u202e", "answersx/me", "vedette/dock/box/reply/\udcff", "/", "answers"],
)  # fmt: skip
def test_an_answer_goes_nowhere_but_where_answers_are(refused, topic):
    answers = refused(received(command()[1].encode(), response_topic=topic, correlation=b"x"))
    assert [(answer.topic, answer.correlation) for answer in answers] == [(None, None)]
    assert "response topic" in answers[0].draft.body["error"] and answers[0].draft.body["error"].isprintable()


def test_an_answer_may_go_below_the_own_reply_prefix_and_a_configured_one(desk):
    answers = []
    desk.reply = answers.append
    for number, topic in enumerate(("vedette/dock/box/reply/desk/7", "answers/me")):
        payload = command(command_id=f"c{number}")[1].encode()
        desk.receive(
            received(payload, response_topic=topic), wall=time.time(), now=0.0, first_time=lambda _: True
        )
    wait_until(lambda: len(answers) == 2)
    assert [answer.topic for answer in answers] == ["vedette/dock/box/reply/desk/7", "answers/me"]


def test_correlation_data_is_bounded(refused):
    answers = refused(received(command()[1].encode(), response_topic="answers/me", correlation=b"x" * 60_000))
    assert "correlation" in answers[0].draft.body["error"] and answers[0].correlation is None


def test_refused_commands_count_in_the_rate_limit(refused, desk):
    for number in range(100):
        answers = refused(received(json.dumps({"id": f"c{number}", "time": "never"}).encode()))
    assert len(answers) == 10  # five judged, five told that they are too many
    desk.receive(received(command()[1].encode()), wall=time.time(), now=1.0, first_time=lambda _: True)
    assert desk.carried_out == [] and len(answers) == 10


@pytest.mark.parametrize("body", [{"rows": ["x" * 1000] * 110}, {"rows": {1, 2}}, {"text": "\ud800"}])
def test_an_answer_that_cannot_be_sent_becomes_a_short_one(mosquitto, listen, publish, body):
    import threading

    broker = mosquitto()
    desk = CommandWorker(
        CommandSettings(enabled=True, allow=("*",), rate_per_minute=100), {"history": lambda _: body}
    )
    stop = threading.Event()
    thread = threading.Thread(target=desk.run, args=(stop,), daemon=True)
    thread.start()
    listener, running = listen(broker.port, "vedette/+/+/reply/#"), publish(broker.url, commands=desk)
    listens_to_commands(broker, listen)
    for number in range(12):
        listener._client.publish(*command("history", f"c{number}"), qos=1)
    replies = listener.wait(lambda heard: len(heard) == 12 and list(heard))
    assert all(reply.body["ok"] is False and "cannot be sent" in reply.body["error"] for reply in replies)
    assert running.publisher.connection.state == "connected"
    stop.set()
    thread.join(5)


def test_a_command_that_fails_in_any_way_is_answered_and_the_next_carried_out(desk):
    answers = []
    desk.reply = answers.append
    desk._handlers["broken"] = lambda _: 10**400 / 3
    for number, name in enumerate(("broken", "broken", "snooze")):
        message = received(command(name, f"c{number}")[1].encode(), topic=f"vedette/dock/box/command/{name}")
        desk.receive(message, wall=time.time(), now=0.0, first_time=lambda _: True)
    wait_until(lambda: len(answers) == 3)
    assert [answer.draft.body["ok"] for answer in answers] == [False, False, True]
    assert "OverflowError" in answers[0].draft.body["error"] and desk.discarded == 2


PAYLOADS = [b"{", b"}", b"[", b"]", b'"id"', b":", b'"c1"', b'"time"', b'"2026-01-01T00:00:00Z"', b'"9999-99-99"', b",", b"1e999",
            b"NaN", b"\xff", b"\x00", b'"\\ud800"', b"9" * 300, b"[" * 60, b'{"id": "c1", "time": ', b"null", b"true"]  # fmt: skip
TOPICS = [None, "", "#", "+", "vedette/dock/box/reply/x", "vedette/dock/box/reply/#", "\x00", "a" * 70_000, "\udc80", "/", "answers/x",
          "answers//x", "answers/\u202e", "$SYS/x"]  # fmt: skip


def fuzz_commands(desk, count, seed):
    """Judged and answered as the delivery thread does, without a broker: whatever is answered can be sent."""
    from agent.delivery.messages import Stamp
    from agent.delivery.replies import reply_message

    random_ = random.Random(seed)
    stamp = Stamp(prefix="vedette/dock/box", device="box", boot="b", seq=1, at=time.time())

    def check(reply):
        message = reply_message(reply, stamp)
        topic = reply.topic or message.topic
        assert topic.startswith(("vedette/dock/box/reply/", "answers/")) and not set("#+\x00") & set(topic)
        assert len(message.payload) <= 64 * 1024 and len(reply.correlation or b"") <= 1024

    desk.reply = check
    for number in range(count):
        message = received(
            b"".join(random_.choices(PAYLOADS, k=random_.randint(0, 10))),
            topic=f"vedette/dock/box/command/{random_.choice(['snooze', 'rm', '', chr(27), 'x' * 9000])}",
            response_topic=random_.choice(TOPICS),
            correlation=random_.choice([None, b"", b"x", b"\xff" * 1024, b"x" * 60_000]),
            retained=random_.random() < 0.1,
        )
        desk.receive(message, wall=time.time(), now=60.0 * number, first_time=lambda _: True)


def test_random_commands(desk):
    fuzz_commands(desk, 2000, 1)


@pytest.mark.slow
def test_hundred_thousand_random_commands_leave_nothing_behind(desk):
    fuzz_commands(desk, 5000, 2)
    memory = psutil.Process().memory_info().rss
    fuzz_commands(desk, 100_000, 3)
    assert psutil.Process().memory_info().rss - memory < 20 * 1024 * 1024


def test_arguments_with_the_commands_own_names_stand_in_args(desk):
    desk.receive(
        received(command(rule="slow", args={"id": "a7", "why": "on it"})[1].encode()),
        wall=time.time(), now=0.0, first_time=lambda _: True,
    )  # fmt: skip
    wait_until(lambda: desk.carried_out)
    assert desk.carried_out == [{"rule": "slow", "id": "a7", "why": "on it"}]


def test_args_that_are_no_object_are_refused(refused):
    answers = refused(received(command(args=[1])[1].encode()))
    assert "`args` is a list" in answers[0].draft.body["error"]


@pytest.mark.parametrize("retained", [False, True])
def test_a_flood_of_refused_commands_fills_no_journal(desk, retained):
    journal = io.StringIO()
    log.set_up("info", "journal", journal)
    try:
        for number in range(10_000):
            body = json.dumps({"id": f"c{number}", "time": "never", "n": number}).encode()
            message = received(body, response_topic=f"elsewhere/{number}", retained=retained)
            desk.receive(message, wall=time.time(), now=number / 1000, first_time=lambda _: True)
        log.say_repeats(everything=True)
    finally:
        structlog.reset_defaults()
    assert 0 < len(journal.getvalue().splitlines()) < 20
    assert desk.carried_out == []
