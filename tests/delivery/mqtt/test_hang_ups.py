"""Subscriptions that end the connection: found, held, and asked for again when it was perhaps chance."""

from dataclasses import replace

import pytest

from agent.config.delivery_settings import CommandSettings
from agent.delivery.commands import CommandWorker
from agent.delivery.mqtt.hang_ups import FIRST_SECONDS, LONGEST_SECONDS, HangUps
from tests.delivery.conftest import IDENTITY
from tests.servers.scripted_broker import HangUp, ScriptedBroker, connack, disconnect

NO_WILDCARDS = b"\x28\x00"
COMMANDS = "vedette/dock/box/command/+"


def ended(hang_ups, *asked, answered=(), now=0.0):
    for topic in asked:
        hang_ups.asked(topic)
    for topic in answered:
        hang_ups.answered(topic)
    return hang_ups.connection_ended(now)


def test_the_first_without_an_answer_is_suspected_and_held_after_the_second_time():
    hang_ups = HangUps()
    assert ended(hang_ups, "a", "b", "c", answered=["a"]) == ("b", False)
    assert ended(hang_ups, "a", "b", "c", answered=["a"]) == ("b", True)
    assert [hang_ups.may_ask(topic, 1.0) for topic in "abc"] == [True, False, True]
    assert hang_ups.due(FIRST_SECONDS - 1) == [] and hang_ups.due(FIRST_SECONDS) == ["b"]


def test_a_connection_that_ends_with_all_answered_suspects_none():
    hang_ups = HangUps()
    for _ in range(9):
        assert ended(hang_ups, "a", answered=["a"]) == ("", False)
    assert hang_ups.may_ask("a", 0.0)


def test_a_line_that_broke_by_chance_costs_a_pause_and_a_broker_that_goes_on_longer_ones():
    hang_ups, now, pauses = HangUps(), 0.0, []
    ended(hang_ups, "a", now=now)
    for _ in range(12):
        ended(hang_ups, "a", now=now)
        pauses.append(
            next(s for s in (600.0 * 2**n for n in range(20)) if hang_ups.due(now + min(s, LONGEST_SECONDS)))
        )
        now += LONGEST_SECONDS
    assert pauses == sorted(pauses) and pauses[0] == FIRST_SECONDS and pauses[-1] >= LONGEST_SECONDS
    hang_ups.asked("a")
    hang_ups.answered("a")
    assert ended(hang_ups, "a", now=now) == ("a", False), "an answer acquits"


@pytest.mark.parametrize("last", [disconnect(0xA2), disconnect(0x87), b""], ids=["named", "denied", "silent"])
@pytest.mark.parametrize("forbidden", [COMMANDS, "vedette/dock/box/status"])
def test_a_broker_that_hangs_up_on_a_subscription_gets_every_message_and_the_others(
    publish, drafts, capsys, last, forbidden
):
    def subscribe(_broker, topic):
        if topic == forbidden:
            raise HangUp(last)
        return 1

    broker = ScriptedBroker(connack(NO_WILDCARDS), subscribe=subscribe)
    commands = CommandWorker(CommandSettings(enabled=True, allow=("status",)), {"status": lambda _: {}})
    running = publish(broker.url, commands=commands, protocol="5", identity=replace(IDENTITY, machine="m"))
    for _ in range(20):
        running.publisher.publish(drafts.host())
    running.until(lambda p: p.statistics().get("delivered_total") == 20, 20)
    running.until(lambda p: p.connection.state == "connected" and not p.statistics()["broker_refused_topics"])
    broker.close()
    assert len(broker.logins) == 3 and broker.subscriptions.count(forbidden) == 2
    assert len({topic for topic in broker.subscriptions if topic != forbidden}) == 1
    said = capsys.readouterr().out
    assert "the connection ends whenever we ask to listen for" in said and forbidden in said
    assert "holding its topic back" not in said and "cloned" not in said
