"""What a simulated fleet costs with its history in PostgreSQL: collectors, server, broker; and whether a message is lost.

python benchmarks/collect.py [--devices N] [--collectors N] [--seconds S] [--rate N] [--kill]

A real mosquitto, a PostgreSQL of its own with its usual settings, `vedette collect` in processes of their own, and devices
that publish host, GPU and cameras once a minute with QoS 1, spread over it. `--rate` publishes so many messages a second
instead. `--kill` kills the first collector (-9) at half time and starts it again five seconds later. At the end every
window that was published must be in the database, once. Needs mosquitto, Debian's package postgresql and the extra
dashboard-postgres.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import psutil
import psycopg
from dashboard import WINDOW, moment, windows
from paho.mqtt.enums import CallbackAPIVersion

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/bin"))


class Server:
    """PostgreSQL in a folder, at a socket there; never as root."""

    def __init__(self, folder):
        self.folder = Path(folder)
        as_root = os.geteuid() == 0
        self.owner: dict[str, Any] = (
            {"user": "postgres", "group": "postgres", "extra_groups": []} if as_root else {}
        )
        if self.owner:
            shutil.chown(self.folder, "postgres", "postgres")
        self.url = f"postgresql:///postgres?user=vedette&host={self.folder}"
        command = [str(BINARIES / "initdb"), "-D", "data", "-U", "vedette", "-A", "trust", "-E", "UTF8"]
        subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, **self.owner)
        command = [
            str(BINARIES / "postgres"),
            "-D",
            "data",
            "-k",
            str(self.folder),
            "-c",
            "listen_addresses=",
        ]
        self.process = subprocess.Popen(command, cwd=self.folder, stderr=subprocess.DEVNULL, **self.owner)
        for _ in range(100):
            time.sleep(0.1)
            try:
                self.count("SELECT 1")
                return
            except psycopg.OperationalError:
                continue

    def count(self, statement):
        """The one number that a SELECT gives."""
        with psycopg.connect(self.url, autocommit=True) as db:
            row = db.execute(statement).fetchone()
            return row[0] if row else 0


def publish(port, args, stop, sent):
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(200)
    client.connect("127.0.0.1", port)
    client.loop_start()
    dice, began = random.Random(1), time.time()
    rate = args.rate or args.devices * (2 + args.cameras) / WINDOW
    stream, given = messages(args, dice), deque[paho.MQTTMessageInfo](maxlen=20_000)
    while not stop.is_set():
        due = int((time.time() - began) * rate)
        while sent[0] < due and not stop.is_set():
            topic, body = next(stream)
            given.append(client.publish(topic, json.dumps(body), qos=1))
            sent[0] += 1
        time.sleep(0.02)
    given[-1].wait_for_publish(30)
    sent[2] = sum(not one.is_published() for one in given)
    sent[1] = time.time()
    client.disconnect()


def messages(args, dice):
    """(topic, body) of all devices, minute after minute: no two of the same series and end."""
    began, number = time.time(), 0
    while True:
        at = (
            began + number // args.devices * WINDOW / 60
        )  # a second for each round: fast rounds are told apart
        for topic, body in windows(number % args.devices, args.cameras, at, dice):
            yield topic, {**body, "start": moment(at - 1), "end": moment(at)} if args.rate else body
        number += 1


def collector(number, port, url):
    command = [sys.executable, "-m", "agent", "collect", "--broker", f"mqtt://127.0.0.1:{port}"]
    process = subprocess.Popen(
        [*command, "--store", url, "--name", f"c{number}"], stdout=subprocess.PIPE, text=True
    )
    while process.stdout and "connected" not in process.stdout.readline():
        pass
    return process


def used(process):
    """CPU seconds of a process and of its children, those that have ended too."""
    times = process.cpu_times()
    found = times.user + times.system + times.children_user + times.children_system
    for child in process.children():
        with suppress(psutil.NoSuchProcess):
            found += sum(child.cpu_times()[:2])
    return found


def measure(args, server, broker, collectors):
    stop, sent = threading.Event(), [0, 0.0, 0]
    processes = {"postgres": [server.process], "mosquitto": [broker], "collectors": collectors}
    time.sleep(3)
    before = {name: [used(psutil.Process(p.pid)) for p in found] for name, found in processes.items()}
    publisher = threading.Thread(target=publish, args=(args.port, args, stop, sent))
    began = time.monotonic()
    publisher.start()
    lost = 0.0
    if args.kill:
        time.sleep(args.seconds / 2)
        lost = used(psutil.Process(collectors[0].pid)) - before["collectors"][0]
        collectors[0].kill()
        collectors[0].wait()
        time.sleep(5)
        collectors[0] = collector(0, args.port, server.url)
        before["collectors"][0] = 0.0
    time.sleep(max(0.0, args.seconds - (time.monotonic() - began)))
    after = {name: [used(psutil.Process(p.pid)) for p in found] for name, found in processes.items()}
    passed = time.monotonic() - began
    stop.set()
    publisher.join()
    written = waited(server, sent[0] - sent[2])
    cores = {name: sum(after[name]) - sum(before[name]) for name in processes}
    cores["collectors"] += lost
    return {
        "published": sent[0],
        "not_acknowledged_by_the_broker": sent[2],
        "messages_a_second": round(sent[0] / passed),
        "written": written,
        "written_after_seconds": round(time.time() - sent[1], 1),
        "of_a_core_percent": {name: round(100 * value / passed, 1) for name, value in cores.items()},
        "memory_mb": [round(psutil.Process(p.pid).memory_info().rss / 1e6) for p in collectors],
        "database_mb": round(server.count("SELECT pg_database_size('postgres')") / 1e6),
    }


def waited(server, wanted):
    """The windows in the database, once they are as many as wanted, or no more come."""
    found, same = -1, 0
    while found < wanted and same < 20:
        now = server.count('SELECT count(*) FROM vedette."window"')
        same = same + 1 if now == found else 0
        found = now
        time.sleep(0.5)
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--cameras", type=int, default=2, help="of each device")
    parser.add_argument("--collectors", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument(
        "--rate", type=float, default=0, help="messages a second, whatever the devices would send"
    )
    parser.add_argument("--kill", action="store_true", help="kill a collector at half time")
    parser.add_argument("--port", type=int, default=21884)
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="vedette-pg-")
    config = Path(folder) / "mosquitto.conf"
    config.write_text(f"listener {args.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    server = Server(folder)
    broker = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)
    time.sleep(1)
    collectors = [collector(number, args.port, server.url) for number in range(args.collectors)]
    try:
        found = measure(args, server, broker, collectors)
        print(json.dumps({"devices": args.devices, "collectors": args.collectors, **found}, indent=2))
    finally:
        for process in (*collectors, broker, server.process):
            process.terminate()
        for process in (*collectors, broker, server.process):
            process.wait(60)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
