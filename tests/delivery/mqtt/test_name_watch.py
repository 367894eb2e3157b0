"""Two boxes with one name notice each other; nothing that a box published itself, in this life or another, alarms."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.delivery.messages import Stamp, encode, status_draft
from agent.delivery.mqtt.name_watch import ANSWER_SECONDS, TAKEN_SECONDS, NameWatch
from agent.delivery.verify.stream import Verifier, describe
from tests.delivery.conftest import IDENTITY, NOW, FakeClock

TOPIC = "vedette/dock/box/status"


def status(machine, seq, state="online", boot="b-1"):
    stamp = Stamp(prefix="vedette/dock/box", device="box", boot=boot, seq=seq, at=NOW)
    more = {"machine": machine} if machine else {}
    return encode(status_draft(state, since=NOW, version="1", **more), stamp).payload


@pytest.fixture
def watch():
    return NameWatch(TOPIC, "mine")


def test_another_box_is_noticed_answered_and_named_until_it_is_silent(watch):
    watch.received(status("other", 1), retained=False, now=10.0)
    assert watch.answer_due(10.0) and not watch.answer_due(11.0)
    assert watch.taken_by(11.0) == "", "one message may be a leftover"
    watch.received(status("other", 2), retained=False, now=70.0)
    assert watch.taken_by(70.0) == "other"
    assert not watch.answer_due(10.0 + ANSWER_SECONDS - 0.1) and watch.answer_due(10.0 + ANSWER_SECONDS)
    assert watch.taken_by(70.0 + TAKEN_SECONDS) == ""
    assert not watch.answer_due(1e6), "nothing was heard since the last answer"


@pytest.mark.parametrize(
    ("payload", "retained"),
    [
        (status("mine", 1), False),
        (status("mine", 1, boot="other-9"), False),  # an earlier life, with another queue and another boot
        (status("other", 1), True),  # what the broker retains of the box that we replace
        (status("other", 1, state="offline"), False),  # its will, which comes late
        (status("", 1), False),  # a version that does not say
        (b"", False),
        (b"{", False),
        (b'{"machine": 1, "state": "online"}', False),
    ],
)
def test_what_may_be_our_own_or_is_of_nobody_there_does_not_alarm(watch, payload, retained):
    for at in range(10):
        watch.received(
            payload.replace(b'"seq":1,', b'"seq":%d,' % (at + 1)), retained=retained, now=float(at)
        )
    assert watch.taken_by(9.0) == "" and not watch.answer_due(9.0)


def test_a_message_that_comes_twice_is_one(watch):
    for at in range(5):
        watch.received(status("other", 1), retained=False, now=float(at))
    assert watch.taken_by(5.0) == ""


@given(st.lists(st.floats(0, 300), max_size=50))
def test_two_boxes_never_answer_faster_than_agreed(pauses):
    boxes = {name: NameWatch(TOPIC, name) for name in "ab"}
    now, seq, answers = 0.0, 0, {"a": [], "b": []}
    boxes["a"].received(status("b", 0), retained=False, now=now)
    for pause in pauses:
        now += pause
        for name, other in (("a", "b"), ("b", "a")):
            if boxes[name].answer_due(now):
                seq += 1
                answers[name].append(now)
                boxes[other].received(status(name, seq), retained=False, now=now)
    for times in answers.values():
        assert all(later - earlier >= ANSWER_SECONDS for earlier, later in pairwise(times))


@pytest.mark.broker
def test_two_agents_with_one_name_report_it_and_one_alone_does_not(
    mosquitto, publish, listen, drafts, tmp_path
):
    broker = mosquitto()
    clocks = FakeClock(), FakeClock()
    one, two = (replace(IDENTITY, machine=name, client_id=f"vedette-{name}") for name in ("first", "second"))
    for _ in range(2):  # it restarts, and its state is lost: it is still itself
        alone = publish(
            broker.url, identity=one, directory=tmp_path / f"alone-{len(list(tmp_path.iterdir()))}"
        )
        alone.until(lambda p: p.connection.state == "connected")
        alone.publisher.publish(status_draft("degraded", since=NOW, version="1"))
        assert alone.publisher.drain(10)
        assert alone.publisher.statistics()["name_taken"] == 0
        alone.stop()
    heard = listen(broker.port, TOPIC)
    both = [publish(broker.url, identity=who, directory=tmp_path / who.machine, clock=clock)
            for who, clock in zip((one, two), clocks, strict=True)]  # fmt: skip
    for running in both:
        running.until(lambda p: p.connection.state == "connected")
    for round_ in range(2):  # as a camera that fails and comes back
        both[1].publisher.publish(status_draft("degraded", since=NOW + round_, version="1"))
        heard.wait(lambda got, least=round_ + 1: sum(b"degraded" in one.payload for one in got) >= least)
    both[0].until(lambda p: p.statistics()["name_taken"] == 1, 30)
    text = {one.metric: one.text for one in both[0].publisher.observations(0.0)}["host.name_taken"]
    assert text == "machine second publishes there"
    assert {json.loads(one.payload)["machine"] for one in heard.messages} == {"first", "second"}


def test_verify_names_a_name_that_two_machines_share_and_not_a_box_that_was_replaced():
    def judged(*machines):
        verifier = Verifier()
        for number, machine in enumerate(machines, 1):
            verifier.process(TOPIC, status(machine, number), retained=False, now=NOW)
        return verifier.report()

    assert "NAME TAKEN" in describe(judged("a", "b", "a"))
    assert not judged("a", "b", "a")["ok"]
    for fine in (("a", "a"), ("a", "b"), ("a", "", "b", "b"), ()):
        assert "NAME TAKEN" not in describe(judged(*fine))
        assert judged(*fine)["ok"]
