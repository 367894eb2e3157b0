"""A broker is asked for each topic, and never for ever."""

from agent.config.schema import BrokerSettings
from agent.delivery.mqtt.ping import PublishRight, ping
from tests.servers.hostile_broker import connack
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
