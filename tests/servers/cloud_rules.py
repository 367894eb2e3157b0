"""What managed brokers allow, by their documentation (docs/recipes/cloud.md); for `StrictBroker(rules=...)`."""

import struct
from dataclasses import dataclass


@dataclass
class CloudRules:
    """`login` and `publish` return what is broken, "" where nothing is."""

    levels: int = 1000
    topic_bytes: int = 65535
    packet_bytes: int = 1 << 28
    retained_bytes: int = 1 << 28
    keepalive: tuple[int, int] = (0, 65535)
    client_id: str = ""  # the only one that is allowed; "": any
    client_id_bytes: int = 65535
    username: bool = False
    prefixes: tuple[str, ...] = ("",)  # of topics that may be published

    def login(self, body):
        name, flags, keepalive = body[:7], body[7], struct.unpack(">H", body[8:10])[0]
        assert name == b"\0\4MQTT\5"
        rest = body[11 + body[10] :]
        length = struct.unpack(">H", rest[:2])[0]
        client_id = rest[2 : 2 + length].decode()
        if not self.keepalive[0] <= keepalive <= self.keepalive[1]:
            return f"keep-alive {keepalive}"
        if (self.client_id and client_id != self.client_id) or not 0 < length <= self.client_id_bytes:
            return f"client id {client_id}"
        return "no user name" if self.username and not flags & 0x80 else ""

    def publish(self, topic, body, *, retain):
        if topic.count("/") + 1 > self.levels:
            return f"{topic.count('/') + 1} levels"
        if len(topic.encode()) > self.topic_bytes:
            return f"a topic of {len(topic.encode())} bytes"
        if len(body) > (self.retained_bytes if retain else self.packet_bytes):
            return f"{len(body)} bytes"
        return "" if topic.startswith(self.prefixes) else "may not be published"


OWN = ("vedette/north/box-7/",)
CLOUDS = {
    "AWS IoT Core": (
        CloudRules(levels=8, topic_bytes=256, packet_bytes=128_000, keepalive=(30, 1200), client_id="box-7",
                   client_id_bytes=128, prefixes=OWN),
        100,
    ),
    "Azure Event Grid": (
        CloudRules(levels=8, packet_bytes=512_000, retained_bytes=64_000, keepalive=(1, 1160), client_id="box-7",
                   username=True, prefixes=OWN),
        10,
    ),
    "EMQX Cloud": (CloudRules(levels=10, packet_bytes=1_000_000, client_id_bytes=1024, username=True), 65535),
    "HiveMQ Cloud": (CloudRules(packet_bytes=5_000_000, username=True), 10),
}  # fmt: skip
"""Rules and Receive Maximum."""
