"""From MQTT into InfluxDB: summaries of cameras, hosts and GPUs become points, none lost and none double.

    python influxdb_bridge.py --broker mqtts://broker:8883 --certs clients/bridge --db vedette
    python influxdb_bridge.py --broker mqtt://broker --influx http://influx:8086 --bucket B --org O --token-file T

Needs paho-mqtt 2. A message is acknowledged to the broker only once InfluxDB has written it, and the session outlives
the bridge: what arrives meanwhile waits at the broker. A message that comes twice is the same point twice, which
InfluxDB keeps once. Late messages (`replay/...`) land at the time they are about.
"""

import argparse
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

FAMILIES = ("camera", "host", "gpu")
MOST, LONGEST_SECONDS = 500, 1.0
"""A batch is written when it holds so many messages, or is so old."""
KEPT_SECONDS = 7 * 86400
ABOUT = {"schema", "device", "boot", "time", "start", "end", "clock_synced"}
"""Fields of every payload that are no measurements."""


def to_line(topic: str, payload: bytes) -> str | None:
    """One message in line protocol, its window's end as the time; None for what is no summary.

    >>> to_line("v/north/box 1/camera/a", b'{"end": "2026-01-01T00:00:00Z", "fps_in": 5, "state": "online"}')
    'camera,site=north,device=box\\\\ 1,camera=a fps_in=5.0,state="online" 1767225600000000000'
    """
    levels = topic.split("/")
    family = next((at for at, level in enumerate(levels) if at >= 3 and level in FAMILIES), None)
    try:
        body = json.loads(payload)
        ended = datetime.fromisoformat(body["end"].replace("Z", "+00:00"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if family is None:
        return None
    start = family - 1 if levels[family - 1] == "replay" else family
    tags = {"site": levels[start - 2], "device": levels[start - 1]}
    if len(levels) > family + 1:
        tags[levels[family]] = levels[family + 1]
    fields = [
        f"{name}={text}" for name, value in body.items() if name not in ABOUT and (text := to_field(value))
    ]
    if not fields:
        return None
    nanoseconds = int((ended - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds() * 1000) * 10**6
    words = "".join(f",{name}={escaped(value)}" for name, value in tags.items())
    return f"{levels[family]}{words} {','.join(fields)} {nanoseconds}"


def to_field(value: object) -> str:
    """A value as InfluxDB reads it; every number as a float, since a field keeps its first type. "" for none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(float(value))
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return ""


def escaped(tag: str) -> str:
    """A tag's value."""
    return tag.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")


class Influx:
    """Where points are written to: a database of 1.x, or a bucket of 2.x and 3.x."""

    def __init__(self, url: str, query: dict[str, str], token: str) -> None:
        self._url = f"{url.rstrip('/')}?{urllib.parse.urlencode(query)}"
        self._headers = {"Content-Type": "text/plain; charset=utf-8"}
        if token:
            self._headers["Authorization"] = f"Token {token}"

    def write(self, lines: list[str]) -> None:
        """Write a batch; comes back when it is written, however long that takes."""
        wait = 0.5
        while True:
            request = urllib.request.Request(
                self._url, "\n".join(lines).encode(), self._headers, method="POST"
            )
            try:
                with urllib.request.urlopen(request, timeout=30):
                    return
            except urllib.error.HTTPError as error:
                said = error.read().decode("utf-8", "replace")[:300]
                if error.code in (
                    400,
                    413,
                    422,
                ):  # it will never take these; the rest of the batch is written
                    print(f"InfluxDB refuses points of a batch of {len(lines)}: {said}", flush=True)
                    return
                print(f"InfluxDB answers {error.code}: {said}; trying again", flush=True)
            except OSError as error:
                print(f"InfluxDB is not there: {error}; trying again", flush=True)
            time.sleep(wait)
            wait = min(30.0, 2 * wait)


class Bridge:
    """Batches what arrives; runs in one thread, so that nothing is acknowledged before it is written."""

    def __init__(self, client: paho.Client, influx: Influx, topics: list[str]) -> None:
        self._client, self._influx, self._topics = client, influx, topics
        self._lines: list[str] = []
        self._waiting: list[paho.MQTTMessage] = []
        self._since = 0.0
        client.on_connect = self._on_connect
        client.on_message = self._on_message

    def run(self) -> None:
        """Until interrupted."""
        while True:
            if self._client.loop(timeout=0.2) != paho.MQTT_ERR_SUCCESS:
                self._lines, self._waiting = [], []  # not acknowledged: they come again
                time.sleep(1.0)
                try:
                    self._client.reconnect()
                except OSError as error:
                    print(f"the broker is not there: {error}; trying again", flush=True)
            old = self._waiting and time.monotonic() - self._since > LONGEST_SECONDS
            if old or len(self._waiting) >= MOST:
                self._flush()

    def _on_connect(self, client, _data, _flags, reason, _properties) -> None:
        print(f"connected: {reason}", flush=True)
        for topic in self._topics:
            client.subscribe(topic, qos=1)

    def _on_message(self, _client, _data, message) -> None:
        if not self._waiting:
            self._since = time.monotonic()
        line = to_line(message.topic, message.payload)
        if line is not None:
            self._lines.append(line)
        self._waiting.append(message)

    def _flush(self) -> None:
        if self._lines:
            self._influx.write(self._lines)
        for message in self._waiting:
            self._client.ack(message.mid, message.qos)
        self._lines, self._waiting = [], []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--broker", default="mqtt://127.0.0.1:1883", help="mqtt:// or mqtts:// HOST:PORT")
    parser.add_argument(
        "--certs", type=Path, help="folder with ca.crt, client.crt, client.key (broker-setup)"
    )
    parser.add_argument("--prefix", default="vedette")
    parser.add_argument("--client-id", default="vedette-influxdb-bridge")
    parser.add_argument("--influx", default="http://127.0.0.1:8086")
    parser.add_argument("--db", help="database of InfluxDB 1.x")
    parser.add_argument("--org", default="", help="organisation of InfluxDB 2.x")
    parser.add_argument("--bucket", help="bucket of InfluxDB 2.x or 3.x")
    parser.add_argument("--token-file", type=Path, help="file with the token")
    words = parser.parse_args()
    if bool(words.db) == bool(words.bucket):
        parser.error("give --db (InfluxDB 1.x) or --bucket (2.x, 3.x)")
    token = words.token_file.read_text().strip() if words.token_file else ""
    path, query = (
        ("/write", {"db": words.db})
        if words.db
        else ("/api/v2/write", {"org": words.org, "bucket": words.bucket})
    )
    influx = Influx(words.influx.rstrip("/") + path, {**query, "precision": "ns"}, token)
    address = urllib.parse.urlsplit(words.broker)
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=words.client_id, protocol=paho.MQTTv5, manual_ack=True
    )
    if address.scheme == "mqtts":
        context = ssl.create_default_context(cafile=words.certs / "ca.crt" if words.certs else None)
        if words.certs:
            context.load_cert_chain(words.certs / "client.crt", words.certs / "client.key")
        client.tls_set_context(context)
    if address.username:
        client.username_pw_set(
            urllib.parse.unquote(address.username), urllib.parse.unquote(address.password or "")
        )
    session = Properties(PacketTypes.CONNECT)
    session.SessionExpiryInterval = KEPT_SECONDS
    session.ReceiveMaximum = MOST
    port = address.port or (8883 if address.scheme == "mqtts" else 1883)
    topics = [
        f"{words.prefix}/+/+/{late}{family}"
        for late in ("", "replay/")
        for family in ("camera/+", "host", "gpu/+")
    ]
    client.connect(address.hostname, port, keepalive=60, clean_start=False, properties=session)
    try:
        Bridge(client, influx, topics).run()
    except KeyboardInterrupt:
        client.disconnect()


if __name__ == "__main__":
    main()
