"""Topic aliases: within what the broker takes, never across connections, and subscribers see nothing of them."""

import pytest

from agent.delivery.mqtt.aliases import AliasedTopic, TopicAliases
from benchmarks.wire import Relay


def sent(aliases, *topics):
    found = []
    for topic in topics:
        found.append(aliases.of(topic))
        aliases.sent(found[-1])
    return [(one.topic, one.alias) for one in found]


def test_a_topic_has_an_alias_from_its_second_message_on():
    assert sent(TopicAliases(10), "a", "a", "a", "b", "a", "b", "b") == [
        ("a", None), ("a", 1), ("", 1), ("b", None), ("", 1), ("b", 2), ("", 2)
    ]  # fmt: skip


def test_no_more_are_given_out_than_the_broker_takes():
    assert sent(TopicAliases(0), "a", "a", "a") == [("a", None)] * 3
    assert sent(TopicAliases(1), *"aabbab") == [
        ("a", None), ("a", 1), ("b", None), ("b", None), ("", 1), ("b", None)
    ]  # fmt: skip


def test_what_was_never_sent_has_no_alias():
    aliases = TopicAliases(10)
    sent(aliases, "a")
    assert aliases.of("a") == AliasedTopic(topic="a", alias=1)
    assert aliases.of("a") == AliasedTopic(topic="a", alias=1), (
        "the first could not be sent: the broker knows none"
    )


def test_topics_of_a_lifetime_take_no_memory():
    aliases = TopicAliases(3)
    sent(aliases, *(f"alert/{n}" for n in range(10_000)))
    assert len(aliases._seen) < 1000


@pytest.mark.broker
@pytest.mark.parametrize("most", [0, 1, 10])
def test_subscribers_have_every_topic_also_after_the_broker_was_gone(
    mosquitto, listen, publish, drafts, most
):
    broker = mosquitto("allow_anonymous true", f"max_topic_alias {most}")
    relay = Relay(broker.port)
    listener, running = listen(broker.port), publish(f"mqtt://127.0.0.1:{relay.port}")
    cameras = ("a", "b", "c")
    for round_number in range(2):
        for _ in range(4):
            for name in cameras:
                running.publisher.publish(drafts.camera(name))
        assert running.publisher.drain(15)
        listener.wait(
            lambda heard, n=round_number: sum("/camera/" in one.topic for one in heard) >= 12 * (n + 1)
        )
        if not round_number:
            broker.stop()
            running.until(lambda publisher: publisher.connection.state != "connected")
            broker.start()
            listener.wait_subscribed()
            running.until(lambda publisher: publisher.connection.state == "connected")
    for name in cameras:
        assert len([one for one in listener.messages if one.topic == f"vedette/dock/box/camera/{name}"]) == 8
    assert relay.tally.packets["camera/a"] == 8
    assert relay.tally.aliased == 2 * 2 * min(most, 3), (
        "the third and fourth message of a topic, in each connection"
    )
