"""Hearing a broker from outside: what had arrived when the line broke is heard."""

import socket
import struct
import threading
import time

from agent.config.delivery_settings import BrokerSettings
from agent.delivery.mqtt.listener import Listener
from agent.delivery.mqtt.ping import ping


def packet(kind, body):
    length, left = b"", len(body)
    while not length or left:
        length += bytes([left % 128 | (0x80 if left >= 128 else 0)])
        left //= 128
    return bytes([kind]) + length + body


def publish(number):
    topic = b"vedette/s/d/host"
    return packet(
        0x32, struct.pack("!H", len(topic)) + topic + struct.pack("!H", number) + b"\0" + b"%d" % number
    )


def test_all_that_arrived_before_the_broker_died_is_heard():
    """Acknowledging the first message meets a dead connection; the others have been delivered all the same."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            channel, _ = server.accept()
            server.close()
            channel.recv(4096)
            channel.sendall(packet(0x20, b"\0\0\0"))
            asked = channel.recv(4096)
            channel.sendall(packet(0x90, asked[2:4] + b"\0\x01"))
            time.sleep(0.3)
            channel.sendall(b"".join(publish(number) for number in range(1, 101)))
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            channel.close()  # a reset, as when a process with unread data is killed

        threading.Thread(target=serve, daemon=True).start()
        listener = Listener(BrokerSettings(url=f"mqtt://127.0.0.1:{server.getsockname()[1]}"))
        heard = [found[0].payload for found in listener.hear(1.5) if found is not None]
    assert heard == [b"%d" % number for number in range(1, 101)]


def test_a_broker_that_does_not_answer_mqtt_5_is_asked_with_3_1_1():
    """amqtt ignores a login of MQTT 5: the agent falls back, so `vedette check` and `verify` have to."""
    levels = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            for _ in range(2):
                channel, _ = server.accept()
                levels.append(channel.recv(4096)[8])
                if levels[-1] == 4:
                    channel.sendall(packet(0x20, b"\0\0"))
                while channel.recv(4096):
                    pass

        threading.Thread(target=serve, daemon=True).start()
        settings = BrokerSettings(url=f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        found = ping(settings, "vedette/s/d/check", timeout=1.0)
    assert levels == [5, 4]
    assert [(one.ok, one.version) for one in found] == [(True, "3.1.1")]
