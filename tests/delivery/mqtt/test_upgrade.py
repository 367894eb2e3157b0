"""WebSockets that are refused: what the proxy answers is said, with the mend, and the broker behind it is told apart."""

import socket
import threading
from contextlib import suppress

import pytest

from agent.cli.status import broker_line
from agent.config.delivery_settings import BrokerSettings
from agent.delivery.mqtt.failures import ConnectionFailure
from agent.delivery.mqtt.ping import ping
from agent.delivery.mqtt.upgrade import UpgradeRefused, check_answer
from tests.servers.tcp import TcpServer

KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3


class Answering(TcpServer):
    """Answers every request with these bytes, and hangs up."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []
        super().__init__()

    def _serve(self, channel):
        with channel, suppress(OSError):  # a client may hang up before it has read all of it
            self.asked.append(channel.recv(65536))
            channel.sendall(self.answer)
            channel.shutdown(socket.SHUT_WR)
            channel.recv(1)


def http(line, *headers):
    return "\r\n".join([f"HTTP/1.1 {line}", "Connection: close", *headers, "", ""]).encode()


@pytest.mark.parametrize(
    ("answer", "failure", "said"),
    [
        (http("403 Forbidden"), ConnectionFailure.UPGRADE, "the server answers 403 Forbidden"),
        (http("404 Not Found", "Server: nginx"), ConnectionFailure.UPGRADE, "the server answers 404 Not Found"),
        (http("401"), ConnectionFailure.UPGRADE, "the server answers 401"),
        (
            http("302 Found", "Location: https://login.example/?to=s3cret"),
            ConnectionFailure.UPGRADE,
            "the server answers 302 Found, which leads to https://login.example",
        ),
        (http("301 Moved", "Location: /mqtt/"), ConnectionFailure.UPGRADE, "which leads to another path of it"),
        (http("502 Bad Gateway"), ConnectionFailure.UNREACHABLE, "the server answers 502 Bad Gateway"),
        (http("503 Service Unavailable"), ConnectionFailure.UNREACHABLE, "answers 503 Service Unavailable"),
        (http("200 OK") + b"<html>", ConnectionFailure.UPGRADE, "the server answers 200 OK"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", ConnectionFailure.UPGRADE, "what answers is not a web server (SSH-2.0-OpenSSH_9.2)"),
        (b"", ConnectionFailure.UPGRADE, "the server hangs up"),
        (b"\x1b[31m" * 9000, ConnectionFailure.UPGRADE, "what answers is not a web server"),
        (http("101 Switching Protocols", "Sec-WebSocket-Accept: x"), ConnectionFailure.UPGRADE, "does not belong to"),
    ],
    ids=lambda value: value.decode("latin-1").partition("\r")[0][:24] if isinstance(value, bytes) else "",
)  # fmt: skip
def test_what_the_server_answers_is_said_and_what_to_do(publish, answer, failure, said):
    server = Answering(answer)
    running = publish(f"ws://127.0.0.1:{server.port}/mqtt")
    running.until(lambda p: p.connection.failure == failure.value)
    connection = running.publisher.connection
    assert said in connection.reason and connection.reason.isprintable() and "s3cret" not in connection.reason
    assert f"127.0.0.1:{server.port}: no WebSocket: " in connection.reason
    if failure is ConnectionFailure.UPGRADE:
        assert "check the path in broker.url" in broker_line(running.publisher.report()["broker"]).plain
    (found,) = ping(BrokerSettings(url=f"ws://127.0.0.1:{server.port}/mqtt"), "vedette/s/d/check")
    assert not found.ok and said in found.reason
    server.close()


def test_what_is_asked_is_a_websocket_of_mqtt_at_the_path():
    server = Answering(http("403 Forbidden"))
    ping(BrokerSettings(url=f"ws://127.0.0.1:{server.port}/a/path?x=1"), "vedette/s/d/check")
    request = server.asked[0].decode().split("\r\n")
    assert request[0] == "GET /a/path?x=1 HTTP/1.1"
    assert {f"Host: 127.0.0.1:{server.port}", "Upgrade: websocket", "Sec-WebSocket-Protocol: mqtt"} <= {
        *request
    }
    server.close()


def test_an_answer_by_the_standard_opens_it_whatever_its_spelling():
    lines = ("HTTP/1.1 101 Switching Protocols", "upgrade: WebSocket", "CONNECTION: keep-alive, Upgrade")
    check_answer("\r\n".join([*lines, f"sec-websocket-ACCEPT:{ACCEPT}", "", ""]), KEY)
    with pytest.raises(UpgradeRefused):
        check_answer("\r\n".join([*lines, "", ""]), KEY)


def test_no_thread_is_left_of_many_refusals(publish):
    server = Answering(http("403 Forbidden"))
    running = publish(f"ws://127.0.0.1:{server.port}/mqtt")
    running.until(lambda p: len(server.asked) >= 6, 30)
    assert [one.name for one in threading.enumerate()].count("mqtt-connect") <= 1
    server.close()
