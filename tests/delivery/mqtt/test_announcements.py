"""Announcements: whatever is asked for and however connections break, the broker ends up with exactly that."""

from hypothesis import given
from hypothesis import strategies as st

from agent.delivery.mqtt.announcements import Announcements

topics = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([b"1", b"2"]))
steps = st.lists(st.one_of(topics, st.just("reconnect"), st.just("send")), max_size=20)


@given(steps, topics, st.integers(1, 3))
def test_the_broker_ends_up_with_what_is_wanted(steps, wanted, most):
    announcements, broker = Announcements(), {}

    def retained():
        return [topic for topic, payload in broker.items() if payload]

    def send():
        due = announcements.due(most, retained())
        assert len(due) <= most
        broker.update(due)

    for step in steps:
        if step == "reconnect":
            announcements.send_again()
        elif step == "send":
            send()
        else:
            announcements.wanted = step
    announcements.wanted = wanted
    for _ in range(20):
        send()
    assert {topic: payload for topic, payload in broker.items() if payload} == wanted
    assert announcements.due(most, retained()) == {}


def test_a_broker_that_forgot_is_told_again():
    announcements = Announcements()
    announcements.wanted = {"a": b"1"}
    assert announcements.due(10) == {"a": b"1"}
    assert announcements.due(10) == {}
    announcements.send_again()
    assert announcements.due(10) == {"a": b"1"}
