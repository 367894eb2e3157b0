"""A broker is asked for each topic, and never for ever."""

import pytest

from agent.config.delivery_settings import BrokerSettings
from agent.delivery.mqtt.ping import PublishRight, ping
from tests.servers.hostile_broker import HostileBroker, connack
from tests.servers.strict_broker import StrictBroker
from tests.servers.tcp import TcpServer


class HangsUp(TcpServer):
    """Lets a client in, and hangs up."""

    def __init__(self):
        self.logins = 0
        super().__init__()

    def _serve(self, channel):
        self.logins += 1
        with channel:
            channel.recv(65536)
            channel.sendall(connack())


def test_a_broker_that_hangs_up_right_after_the_login_is_not_asked_again_and_again():
    for _ in range(5):  # what comes first, its goodbye or our question, is chance
        server = HangsUp()
        (result,) = ping(BrokerSettings(url=server.url), "vedette/a/check", families=list("abcdef"))
        server.close()
        assert server.logins <= 7
        assert result.right is not PublishRight.GRANTED
        assert result.ok or "hangs up right after the login" in result.reason


@pytest.mark.parametrize(
    ("lacks", "largest", "lost"),
    [
        ((), None, ""),
        (("retain",), None, "it retains nothing: a new subscriber waits for the next message"),
        ((), 2000, "it takes packets of 2000 bytes, what is larger is lost"),
        ((), 1 << 20, ""),
    ],
)
def test_what_an_agent_goes_without_at_a_broker_is_said(lacks, largest, lost):
    broker = StrictBroker(pause=0.0, lacks=lacks, largest=largest)
    try:
        assert [each.lost for each in ping(BrokerSettings(url=broker.url), "vedette/check")] == [lost]
    finally:
        broker.close()


def test_a_login_that_is_refused_comes_with_its_mend():
    broker = HostileBroker(connack(0x8A))
    try:
        (found,) = ping(BrokerSettings(url=broker.url), "vedette/check")
        assert not found.ok and "has banned" in found.reason
    finally:
        broker.close()
