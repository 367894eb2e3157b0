"""Ten thousand alerts at once: time, memory, and what broker, journal and notifiers get of it.

    python benchmarks/alert_flood.py [--alerts 10000]

The real desk, store, outbox, publisher and notifiers; a real mosquitto (it must be installed) and a local HTTP
receiver. Every target fires in the same second, goes on for a while, and ends in the same second.
"""

from __future__ import annotations

import argparse
import io
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from agent.alerts.engine import AlertEngine
from agent.alerts.rules import compile_rules
from agent.alerts.runtime.service import AlertService
from agent.alerts.runtime.store import AlertStore
from agent.config.alert_settings import AlertSettings, NotifierSettings, RuleSettings
from agent.config.delivery_settings import BrokerSettings, OutboxSettings
from agent.core.secret import Masked, Secret
from agent.core.types import Observation
from agent.delivery.identity import Identity
from agent.delivery.messages import alert_draft
from agent.delivery.publisher import Publisher
from agent.logging import setup as log
from agent.notifiers.runner import NotifierWorker
from agent.notifiers.webhook import WebhookNotifier, WebhookOptions

HOT = RuleSettings(name="hot", when="host.temperature_celsius > 80", advice="Check the fan.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def receiver(sizes: list[int]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sizes.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Ears:
    """Counts what arrives at the broker under alert/."""

    def __init__(self, port: int) -> None:
        self.messages = self.bytes = self.cleared = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("vedette/+/+/alert/#", qos=1)
        self._client.on_message = self._count
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        time.sleep(0.5)

    def _count(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self.messages += bool(message.payload)
        self.cleared += not message.payload
        self.bytes += len(message.payload)


def burst(count: int, value: float, at: float) -> list[Observation]:
    return [
        Observation(metric="host.temperature_celsius", value=value, at=at, labels={"sensor": str(number)})
        for number in range(count)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--alerts", type=int, default=10_000)
    count = parser.parse_args().alerts
    journal = io.StringIO()
    log.set_up("info", "plain", journal)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = free_port()
        sizes: list[int] = []
        (folder / "m.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        binary = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "mosquitto"
        broker = subprocess.Popen([binary, "-c", str(folder / "m.conf")], stderr=subprocess.DEVNULL)
        stack.callback(broker.wait)
        stack.callback(broker.terminate)
        time.sleep(1)
        ears = Ears(port)
        web = receiver(sizes)
        settings = NotifierSettings(name="chat", group_interval=2.0)
        url = f"http://127.0.0.1:{web.server_port}"
        webhook: Any = WebhookNotifier(WebhookOptions(url=Secret(url)))
        notifiers = NotifierWorker([(settings, webhook)], folder, device="box", site="s")
        identity = Identity(device="box", site="s", boot="b", client_id="flood", topic_prefix="vedette")
        publisher = Publisher(
            BrokerSettings(url=Masked(f"mqtt://127.0.0.1:{port}")), OutboxSettings(), identity, folder
        )
        stop = threading.Event()
        for part in (notifiers, publisher):
            thread = threading.Thread(target=part.run, args=(stop,))
            thread.start()
            stack.callback(thread.join, 10)
        stack.callback(stop.set)
        rules = compile_rules([HOT], AlertSettings(default_rules=False))
        desk = AlertService(AlertEngine(rules), AlertStore(folder))
        desk.open()
        measure(desk, publisher, notifiers, count, journal)
        time.sleep(5)
        publisher.drain(30)
        time.sleep(1)
        print(f"at the broker: {ears.messages} messages, {ears.bytes / 1e6:.2f} MB, {ears.cleared} cleared")
        print(f"at the webhook: {len(sizes)} posts of {', '.join(map(str, sizes))} bytes")
        print(f"in the journal: {len(journal.getvalue().splitlines())} lines")
        for line in journal.getvalue().splitlines():
            if "more" in line:
                print(f"    {line.partition(' ')[2].strip()}")
        print(f"on disk: {sum(path.stat().st_size for path in folder.glob('alerts*')) / 1e6:.1f} MB")


def measure(
    desk: AlertService, publisher: Publisher, notifiers: NotifierWorker, count: int, journal: io.StringIO
) -> None:
    process, now = psutil.Process(), time.time()

    def step(observations: list[Observation], at: float) -> float:
        began = time.perf_counter()
        told = desk.step(observations, at)
        for alert in told.publish:
            publisher.publish(alert_draft(alert))
        notifiers.offer(told.notify)
        return time.perf_counter() - began

    step(burst(count, 20.0, now), now)
    before = process.memory_info().rss
    print(f"{count} alerts at once")
    print(f"the step in which they fire: {step(burst(count, 90.0, now + 1), now + 1):.2f} s")
    steps = [step(burst(count, 90.0, now + second), now + second) for second in range(2, 12)]
    print(f"a step while they fire (median, worst of 10): {sorted(steps)[5]:.2f} s, {max(steps):.2f} s")
    idle = [step([], now + second) for second in range(12, 22)]
    print(f"a step without new observations: {sorted(idle)[5]:.2f} s")
    print(f"memory: {(process.memory_info().rss - before) / 1e6:.0f} MB more")
    began = time.perf_counter()
    listed = desk.handlers()["alerts"]({"all": True})
    print(f"`alerts --all`: {time.perf_counter() - began:.2f} s, {listed['count']} of which it shows 500")
    time.sleep(3)
    print(f"lines in the journal by then: {len(journal.getvalue().splitlines())}")
    print(f"the step in which they end: {step(burst(count, 20.0, now + 30), now + 30):.2f} s")


if __name__ == "__main__":
    main()
