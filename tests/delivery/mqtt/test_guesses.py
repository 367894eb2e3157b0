"""A broker that was asked for less by guess: asked for all again while the connection lasts, and back at once if not."""

import select
import socket
import time

import pytest

from agent.delivery.mqtt.connection import ProtocolVersion
from agent.delivery.mqtt.fallback import Demands
from agent.delivery.mqtt.guesses import AGAIN_SECONDS, Asked, Guesses
from tests.servers.tcp import TcpServer
from tests.waiting import wait_until

LESS = Asked(Demands(retain=False), ProtocolVersion.V5)


def test_all_is_asked_for_once_in_a_connection_and_what_worked_is_kept():
    guesses = Guesses()
    guesses.opened(0, 100.0, by_guess=True)
    assert not guesses.due(100.0 + AGAIN_SECONDS - 1)
    assert guesses.due(100.0 + AGAIN_SECONDS)
    guesses.ask_for_all(0, LESS)
    assert (guesses.worked(0), guesses.worked(1)) == (LESS, None)
    guesses.opened(0, 2000.0, by_guess=True)  # the broker has hung up on all: back
    assert not guesses.due(1e9)
    guesses.closed()
    guesses.opened(0, 3000.0, by_guess=True)
    assert guesses.due(3000.0 + AGAIN_SECONDS)
    guesses.opened(0, 4000.0, by_guess=False)
    assert guesses.worked(0) is None


class Line(TcpServer):
    """A line to a broker on which logins break: the first `breaks`, and all that `broken` is true of (of CONNECT's bytes)."""

    def __init__(self, port, breaks=0, broken=lambda connect: False):
        self.breaks, self.broken, self.logins, self._port = breaks, broken, [], port
        super().__init__()

    def _serve(self, channel):
        with channel:
            connect = channel.recv(65536)
            self.logins.append(time.monotonic())
            if len(self.logins) <= self.breaks or self.broken(connect):
                return
            with socket.create_connection(("127.0.0.1", self._port)) as broker:
                broker.sendall(connect)
                ends = {channel: broker, broker: channel}
                while True:
                    for ready in select.select(list(ends), [], [])[0]:
                        try:
                            data = ready.recv(65536)
                        except OSError:
                            return
                        if not data:
                            return
                        ends[ready].sendall(data)


def will_is_retained(connect):
    """By the flags of CONNECT, after its fixed header (two bytes here, or three), the name and the version."""
    return bool(connect[connect.index(b"MQTT") + 5] & 0x20)


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr("agent.delivery.mqtt.guesses.AGAIN_SECONDS", 1.0)


@pytest.mark.broker
def test_a_line_that_broke_at_the_first_logins_costs_no_will_for_the_life_of_a_connection(
    mosquitto, publish, listen, soon, capsys
):
    """Seen in a soak: an agent that was started meanwhile went on without will and retained status."""
    broker = mosquitto()
    line = Line(broker.port, breaks=3)
    running = publish(line.url)
    running.until(lambda p: p.connection.state == "connected")
    assert "it retains nothing" in capsys.readouterr().out
    wait_until(lambda: len(line.logins) == 5, 20)
    running.until(lambda p: p.connection.state == "connected")
    listen(broker.port, "vedette/+/+/status").wait(
        lambda heard: any(m.body["state"] == "online" for m in heard)
    )
    late = listen(broker.port, "vedette/+/+/status")
    late.wait(lambda heard: any(m.retain and m.body["state"] == "online" for m in heard))
    assert running.publisher.connection.version == "5"
    assert "the broker has all features that delivery relies on" in capsys.readouterr().out
    line.close()


@pytest.mark.broker
def test_a_broker_that_does_hang_up_is_left_with_what_worked_within_a_moment(mosquitto, publish, soon):
    broker = mosquitto()
    line = Line(broker.port, broken=will_is_retained)
    running = publish(line.url)
    running.until(lambda p: p.connection.state == "connected", 20)
    before = len(line.logins)
    wait_until(lambda: len(line.logins) >= before + 2, 20)
    running.until(lambda p: p.connection.state == "connected")
    assert line.logins[before + 1] - line.logins[before] < 1.0, "all, and at once what has worked"
    line.close()
