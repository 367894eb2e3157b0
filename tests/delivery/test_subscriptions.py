"""What a device listens for, and what is done about each message that comes."""

from types import SimpleNamespace

import pytest

from agent.delivery.identity import Identity
from agent.delivery.mqtt.events import Received, Subscribed
from agent.delivery.subscriptions import Arrival, Subscriptions

IDENTITY = Identity(
    device="box", site="dock", boot="b", client_id="c", topic_prefix="vedette", machine="ours"
)
BIRTH = "homeassistant/status"


class Connection:
    """Notes what is subscribed."""

    def __init__(self):
        self.asked = {}

    def subscribe(self, topic, *, retained=False):
        self.asked[topic] = retained


def subscriptions(*, commands=True, birth_topic=BIRTH, former=()):
    ledger = SimpleNamespace(to_check=lambda _now: list(former))
    worker = SimpleNamespace(enabled=commands)
    return Subscriptions(IDENTITY, ledger, commands=worker, birth_topic=birth_topic)


def received(topic, payload=b"{}", *, retained=False):
    return Received(topic=topic, payload=payload, retained=retained, response_topic="", correlation=None)


@pytest.mark.parametrize(
    ("topic", "payload", "retained", "arrival"),
    [
        ("vedette/dock/box/command/mute", b"{}", False, Arrival.COMMAND),
        ("vedette/dock/box2/command/mute", b"{}", False, Arrival.NOTHING),
        (BIRTH, b"online", False, Arrival.BIRTH),
        (BIRTH, b"online", True, Arrival.NOTHING),
        (BIRTH, b"offline", False, Arrival.NOTHING),
        ("vedette/dock/box/status", b'{"state": "online", "machine": "theirs"}', False, Arrival.NOTHING),
        ("vedette/dock/former/status", b"{}", True, Arrival.NOTHING),
    ],
)
def test_each_message_asks_for_one_thing(topic, payload, retained, arrival):
    assert subscriptions().arrived(received(topic, payload, retained=retained), 0.0) is arrival


def test_what_is_listened_for_is_what_the_config_allows():
    connection = Connection()
    subscriptions(former=["vedette/dock/former/status"]).begin(connection, 0.0)
    assert connection.asked == {
        "vedette/dock/former/status": True,
        "vedette/dock/box/command/+": False,
        BIRTH: False,
        "vedette/dock/box/status": False,
    }
    connection = Connection()
    subscriptions(commands=False, birth_topic="").begin(connection, 0.0)
    assert list(connection.asked) == ["vedette/dock/box/status"]


def test_a_refused_subscription_is_logged_with_what_it_was_for(capsys):
    made = subscriptions()
    for topic in ("vedette/dock/box/command/+", BIRTH, "vedette/dock/box/status"):
        made.answered(Subscribed(topic=topic, allowed=False, reason="not authorized"))
    said = capsys.readouterr().out
    assert "does not let us listen for commands" in said
    assert "does not let us listen for the start of Home Assistant" in said
    assert said.count("does not let us listen") == 2
