"""Brokers that refuse a topic, hang up on a message, or lack retain or QoS 1: everything else is delivered."""

import json
import time

import pytest

from agent.config.delivery_settings import BrokerSettings
from agent.core.types import Priority
from agent.delivery.mqtt.direct import DirectPublish
from agent.delivery.mqtt.events import Acked, Closed, Opened
from agent.delivery.mqtt.failures import ConnectionFailure
from agent.delivery.mqtt.inflight import InflightWindow
from agent.delivery.mqtt.ledger import RetainedLedger
from agent.delivery.mqtt.ping import ping
from agent.delivery.mqtt.refusals import LONGEST_SECONDS, Refusals
from agent.delivery.mqtt.suspects import DEATHS, Suspects, Verdict
from tests.delivery.mqtt.test_inflight import strict_broker
from tests.servers.scripted_broker import ScriptedBroker

REFUSED = "vedette/dock/box/camera/front"
BROKE = Closed(failure=ConnectionFailure.LOST, reason="")


@pytest.fixture
def broker():
    made = []

    def make(**behaviour):
        made.append(strict_broker.StrictBroker(**behaviour))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_one_refused_topic_keeps_no_other_of_its_lane_back(broker, publish, drafts):
    strict = broker(pause=0.0, refuses={REFUSED})
    running = publish(strict.url)
    for _ in range(60):
        running.publisher.publish(drafts.host())
        running.publisher.publish(drafts.camera("front"))
    running.until(lambda p: p.statistics().get("delivered_total") == 60, 30)
    running.until(lambda p: p.statistics()["broker_refused_topics"] == 1)
    assert REFUSED in running.publisher.report()["outbox"]["refused"]
    assert running.publisher.statistics()["outbox_messages"] == 60
    tries = sum(topic == REFUSED for topic, _, _ in strict.published)
    assert tries <= 20, "no more than one window of it"


def one_of_the_camera_and_thirty_of_the_host(running, drafts):
    """Returns once those of the host are delivered."""
    running.publisher.publish(drafts.camera("front"))
    for _ in range(30):
        running.publisher.publish(drafts.host())
    running.until(lambda p: p.statistics().get("delivered_total") == 30, 60)


def test_the_message_that_makes_the_broker_hang_up_is_given_up_and_named(broker, publish, drafts, capsys):
    strict = broker(pause=0.0, ends_on="/camera/front")
    running = publish(strict.url)
    one_of_the_camera_and_thirty_of_the_host(running, drafts)
    running.until(lambda p: p.statistics()["outbox_lost_total"] == 1, 60)
    said = capsys.readouterr().out
    assert "the broker disconnects whenever it is sent alone to vedette/dock/box/" in said
    assert "another client uses the same client id; was" not in said


def test_a_topic_that_ends_the_connection_by_a_rule_is_held_and_kept(broker, publish, drafts, capsys):
    strict = broker(pause=0.0, ends_on="/camera/front", ends_with=0x87)  # as AWS answers a publish it denies
    running = publish(strict.url)
    one_of_the_camera_and_thirty_of_the_host(running, drafts)
    outbox = running.publisher.report()["outbox"]
    assert outbox["lost"] == 0 and outbox["messages"] == 1
    assert f"{REFUSED}: the broker ends the connection over it: not authorized" in outbox["refused"]
    assert len(strict.broken) == 2, "once with others on the way, once alone"
    said = capsys.readouterr().out
    assert "check user name and password" not in said and "same client id" not in said


@pytest.mark.parametrize("announces", [True, False])
def test_a_broker_of_small_packets_gets_what_fits(broker, publish, drafts, announces):
    strict = broker(pause=0.0, largest=700, announces=announces)
    running = publish(strict.url)
    one_of_the_camera_and_thirty_of_the_host(running, drafts)
    running.until(lambda p: p.statistics()["outbox_lost_total"] == 1, 60)
    assert bool(strict.broken) != announces
    text = next(o.text for o in running.publisher.observations(0.0) if o.metric == "host.outbox_lost_total")
    assert text.startswith("given up last: camera/front (")
    assert ("packets of 700" in text) if announces else ("packet too large" in text)


def test_a_status_that_is_larger_than_announced_is_not_sent_again_and_again(broker, publish, drafts):
    strict = broker(pause=0.0, largest=150)
    running = publish(strict.url)
    running.until(lambda p: p.discarded > 0)
    running.publisher.publish(drafts.host())
    running.until(lambda p: p.statistics()["outbox_lost_total"] == 1)
    assert not strict.broken and running.publisher.connection.state == "connected"


@pytest.mark.parametrize("lacks", [("retain",), ("qos",), ("retain", "qos")])
def test_brokers_without_retain_or_qos_are_asked_for_less(broker, publish, drafts, lacks, capsys):
    strict = broker(pause=0.0, lacks=lacks)
    running = publish(strict.url)
    running.publisher.publish(drafts.host())
    running.until(lambda p: p.statistics().get("delivered_total") == 1, 30)
    assert bool(strict.logins[-1] & 0x20) == ("retain" not in lacks)
    assert bool(strict.logins[-1] & 0x18) == ("qos" not in lacks)
    assert strict.logins[-1] & 0x04, "there is a will all the same"
    assert capsys.readouterr().out.count("the broker lacks features that delivery relies on") == 1
    assert ping(BrokerSettings(url=strict.url), "vedette/check")[0].ok


def test_a_refused_topic_waits_longer_each_time_and_keeps_its_order():
    refusals, now, waits = Refusals(), 0.0, []
    refusals.refused("t", "no", now)
    for number in (3, 1, 2):
        refusals.park("t", (Priority.SUMMARY, number))
    for _ in range(10):
        began = now
        while not (due := list(refusals.due(now))):
            now += 1.0
        assert due == [("t", (Priority.SUMMARY, 1))]
        waits.append(now - began)
        refusals.taken("t", trying=True)
        refusals.refused("t", "no", now)
        refusals.park("t", (Priority.SUMMARY, 1))
    assert waits == sorted(waits) and waits[-1] == LONGEST_SECONDS
    assert refusals.remove("t")[0] == [(Priority.SUMMARY, n) for n in (1, 2, 3)]


class Quota:
    """Takes `rate` messages a second, `burst` at once, and answers 0x97 to the others."""

    def __init__(self, rate, burst):
        self.rate, self.burst, self.left, self.at, self.refused = rate, burst, burst, 0.0, set()

    def __call__(self, _broker, topic, payload, _retain):
        now = time.monotonic()
        self.left, self.at = min(self.burst, self.left + (now - self.at) * self.rate), now
        if self.left < 1:
            self.refused.add((topic, json.loads(payload).get("seq")))
            return 0x97
        self.left -= 1
        return 0


def test_a_quota_slows_delivery_down_and_holds_no_topic_back(publish, drafts, capsys):
    quota = Quota(60, 15)
    broker = ScriptedBroker(publish=quota)
    running = publish(broker.url)
    for _ in range(60):
        for camera in ("front", "back", "dock"):
            running.publisher.publish(drafts.camera(camera))
    assert running.publisher.drain(
        60
    )  # by topics held for half a minute and longer it was twenty in a minute
    assert (
        running.publisher.report()["outbox"] | {"lost": 0, "refused": ""}
        == running.publisher.report()["outbox"]
    )
    for camera in ("front", "back", "dock"):
        sent = [(t, json.loads(p)["seq"]) for t, p, _ in broker.received if t.endswith(f"camera/{camera}")]
        assert len(sent) == len(set(sent)) == 60
        never_refused = [one for one in sent if one not in quota.refused]
        assert never_refused == sorted(never_refused), (
            "what was on its way may overtake what was refused alone"
        )
    assert 0 < len(quota.refused) < 60
    said = capsys.readouterr().out
    assert said.count("the broker's quota is exceeded, sending slower") == 1
    assert "holding them back" not in said
    broker.close()


def test_a_topic_that_is_over_its_own_quota_is_held_longer_each_time_and_shown_in_the_end():
    refusals, now, shown = Refusals(), 0.0, []
    for _ in range(6):
        shown.append((refusals.refused("t", "quota exceeded", now, brief=True), len(refusals), str(refusals)))
        refusals.park_direct(DirectPublish(topic="t", payload=b"x", retain=True))
        waited = next(s for s in range(1, 1000) if list(refusals.due(now + s)))
        refusals.taken("t", trying=True)
        now += waited
    assert [new for new, _, _ in shown] == [False, False, False, False, True, False]
    assert [count for _, count, _ in shown] == [0, 0, 0, 0, 1, 1]
    assert shown[3][2] == ""
    assert shown[4][2] == "t: quota exceeded"


def test_a_broker_that_acknowledges_nothing_makes_no_message_guilty():
    suspects = Suspects()
    assert {suspects.ended(key % 7, alone=True) for key in range(1000)} == {Verdict.RETRY, Verdict.HOLD}


def test_a_message_is_guilty_only_after_others_passed_and_alone():
    suspects = Suspects()
    for _ in range(DEATHS):
        suspects.ended("bad", alone=False)
    assert suspects.acknowledged("good")
    assert suspects.ended("bad", alone=False) is Verdict.HOLD
    assert suspects.ended("bad", alone=True) is Verdict.GUILTY


def test_a_broker_that_hangs_up_on_what_it_refuses_gets_the_others_on_the_next_connection():
    held = Refusals()
    held.refused("vedette/a", "not authorized", 100.0)
    held.connection_ended(100.5)
    held.reconnected()
    held.refused("vedette/b", "not authorized", 103.0)
    held.connection_ended(103.1)
    held.reconnected()
    assert (held.holds("vedette/a"), held.holds("vedette/b")) == (True, True)
    assert not held.holds("vedette/c")


def test_a_connection_that_ends_for_another_reason_ends_what_was_held():
    held = Refusals()
    held.refused("vedette/a", "not authorized", 100.0)
    held.connection_ended(150.0)
    held.reconnected()
    assert not held.holds("vedette/a")


class Wire:
    """A connection that takes everything and answers nothing."""

    def __init__(self):
        self.mid = 0

    def publish(self, *_args, **_options):
        self.mid += 1
        return self.mid


def test_deaths_belong_to_the_outbox_that_the_message_was_in(make_outbox, drafts, clock):
    first, second = make_outbox("a.db", clock=clock), make_outbox("b.db", clock=clock)
    ledger = RetainedLedger(first, "vedette/dock/box")
    window = InflightWindow(
        first, clock, prefix="vedette/dock/box", ledger=ledger, in_flight=20, discard=lambda *_: None
    )
    opened = Opened(
        receive_maximum=20, maximum_packet=None, maximum_qos=1, retain_available=True, session_present=False
    )
    wire = Wire()

    def connect(now):
        window.begin(opened, now)
        window.fill(wire, now)

    first.put_many([drafts.host()])
    for turn in range(DEATHS):
        connect(100.0 * turn)
        window.died(BROKE, 100.0 * turn + 50.0)
    window.end()
    first.put_many([drafts.camera()])
    connect(260.0)  # the host's topic is still held: the camera's row is what goes
    assert window.refused.startswith("vedette/dock/box/host: ") and window.on_the_way == 1
    window.acked(Acked(mid=wire.mid, code=0, reason=""), 260.0)  # the broker takes others
    window.end()
    second.put_many([drafts.host()])
    window.move_to(second)
    connect(1000.0)
    assert window.on_the_way == 1
    window.died(BROKE, 1050.0)
    window.end()
    assert sum(second.lost_total().values()) == 0
    assert second.waiting(Priority.SUMMARY)


def window_of(outbox, clock):
    return InflightWindow(
        outbox,
        clock,
        prefix="vedette/dock/box",
        ledger=RetainedLedger(outbox, "vedette/dock/box"),
        in_flight=20,
        discard=lambda *_: None,
    )


OPENED = Opened(
    receive_maximum=20, maximum_packet=None, maximum_qos=1, retain_available=True, session_present=False
)


def test_a_held_row_that_became_late_leaves_its_topic_to_the_others(make_outbox, drafts, clock):
    outbox = make_outbox(clock=clock)
    window, topics = window_of(outbox, clock), []

    class Refusing(Wire):
        def publish(self, topic, *_args, **_options):
            topics.append(topic.removeprefix("vedette/dock/box/"))
            return super().publish()

    wire = Refusing()
    outbox.put_many([drafts.host()])
    window.begin(OPENED, 0.0)
    window.fill(wire, 0.0)
    window.acked(Acked(mid=wire.mid, code=0x87, reason="not authorized"), 0.0)
    clock.pass_seconds(200.0)
    window.fill(wire, 200.0)
    window.acked(Acked(mid=wire.mid, code=0, reason=""), 200.0)
    outbox.put_many([drafts.host()])
    for now in (201.0, 2000.0):  # the pause of a hold is over by then
        window.fill(wire, now)
    assert topics == ["host", "replay/host", "host"]
    assert not window.refused


def test_rows_that_become_late_in_a_hold_come_before_younger_ones(make_outbox, drafts, clock):
    outbox, sent = make_outbox(clock=clock), []
    window = window_of(outbox, clock)

    class Noting(Wire):
        def publish(self, topic, payload, **_options):
            sent.append((topic.removeprefix("vedette/dock/box/"), json.loads(payload)["seq"]))
            return super().publish()

    wire = Noting()
    outbox.put_many([drafts.host() for _ in range(3)])
    window.begin(OPENED, 0.0)
    window.fill(wire, 0.0)
    for mid in (1, 2, 3):
        window.acked(Acked(mid=mid, code=0x87, reason="not authorized"), 0.0)
    clock.pass_seconds(1.0)
    outbox.put_many([drafts.host(), drafts.host()])
    sent.clear()
    clock.pass_seconds(300.0)  # younger rows of the family are leased only now, and are late as well
    window.fill(wire, 10.0)
    window.fill(wire, 40.0)
    window.fill(wire, 41.0)
    assert sent == [("replay/host", seq) for seq in (1, 2, 3, 4, 5)]


def test_what_one_broker_hangs_up_on_is_sent_to_another_at_once(make_outbox, drafts, clock):
    outbox = make_outbox(clock=clock)
    window, wire = window_of(outbox, clock), Wire()
    outbox.put_many([drafts.host()])
    for turn in range(DEATHS):
        window.begin(OPENED, 100.0 * turn, "mqtt://first:1883")
        window.fill(wire, 100.0 * turn)
        window.died(BROKE, 100.0 * turn)
        window.end()
    assert window.refused
    now = 100.0 * DEATHS - 90.0  # the hold is in force still
    window.begin(OPENED, now, "mqtt://second:1883")
    window.fill(wire, now)
    assert window.on_the_way == 1 and not window.refused
    window.died(BROKE, now)
    window.end()
    assert sum(outbox.lost_total().values()) == 0


def test_an_alert_that_waits_for_its_answer_takes_nothing_of_the_brokers_quota(make_outbox, drafts, clock):
    outbox, wire = make_outbox(clock=clock), Wire()
    window = window_of(outbox, clock)
    outbox.put_many([drafts.host(), drafts.alert("a")])
    window.begin(OPENED, 100.0)
    window.fill(wire, 100.0)  # the alert goes first
    window.acked(Acked(mid=2, code=0x97, reason="quota exceeded"), 100.0)  # from now on one a second
    outbox.put_many([drafts.alert("a"), drafts.camera()])
    for turn in range(1, 12):
        window.fill(wire, 100.0 + turn)
    assert (
        wire.mid >= 4
    )  # the host's again and the camera's, while the first state of the alert has no answer yet
