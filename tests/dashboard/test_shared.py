"""A session that the broker keeps: what waits here stays bounded, whatever becomes of connections and of the database."""

import socket

from paho.mqtt import publish

from agent.config.delivery_settings import BrokerSettings
from agent.core.secret import Masked
from agent.dashboard import shared
from agent.dashboard.shared import SharedInbox, SharedSession
from tests.waiting import wait_until


def test_a_line_that_breaks_again_and_again_fills_no_memory_while_nothing_is_written(mosquitto, monkeypatch):
    """The broker sends what is not acknowledged with each connection: a database that is down let that pile up."""
    monkeypatch.setattr(shared, "MOST_WAITING", 30)
    broker = mosquitto("allow_anonymous true")
    inbox = SharedInbox()
    session = SharedSession(
        BrokerSettings(url=Masked(broker.url)), "vedette-collect-test", ["vedette/+/+/host"], inbox
    )
    session.start()
    wait_until(lambda: session.subscriptions, 60)
    messages = [("vedette/n/b/host", str(number).encode(), 1, False) for number in range(20)]
    publish.multiple(messages, port=broker.port)
    wait_until(lambda: session.received == 20, 60)
    for again in range(2, 5):
        session._client.socket().shutdown(socket.SHUT_RDWR)
        wait_until(lambda count=again: session.received == 20 * count, 60)
    assert len(inbox) <= 30
    taken = [inbox.take(0.0) for _ in range(len(inbox))]
    for delivery in taken:
        session.acknowledge(delivery)
    assert session.held == 0, "all that was not acknowledged is there"
    assert {int(one.payload) for one in taken if session.is_current(one.connection)} == set(range(20))
    session.close(end=True)
