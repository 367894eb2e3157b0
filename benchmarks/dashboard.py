"""What the dashboard in the browser costs: processor, memory, bytes a viewer, first answer, for a simulated fleet.

python benchmarks/dashboard.py [--devices N] [--cameras N] [--seconds S] [--viewers N] [--postgres] [--page] [--capacity]

A real mosquitto, a real `vedette dashboard` in a process of its own, and devices that publish host, GPU and cameras once
a minute, spread over it. Needs mosquitto and the extra `dashboard`. `--postgres` keeps the history in a PostgreSQL of its
own (Debian's package postgresql, the extra dashboard-postgres). `--page` opens fleet, a device and a camera in headless
Chromium (chromium-driver, selenium): first paint, first content, and the time from one frame to the next while it updates.
`--capacity` needs no broker: it measures how many messages a second one core of the collector takes into its history.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path

import paho.mqtt.client as paho
import psutil
from paho.mqtt.enums import CallbackAPIVersion

WINDOW = 60.0


def moment(at):
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def windows(device, cameras, at, dice):
    """(topic, body) of one device's minute."""
    base, covers = (
        f"vedette/site-{device % 20}/edge-{device:05d}",
        {"start": moment(at - WINDOW), "end": moment(at)},
    )
    wave = math.sin(at / 900 + device)
    yield f"{base}/host", covers | {
        "cpu_ratio": round(0.4 + 0.1 * wave + dice.gauss(0, 0.02), 4), "memory_used_ratio": 0.61,
        "temperature_celsius": round(55 + 6 * wave, 1), "process_memory_bytes": 310_000_000, "outbox_messages": 0,
        "model_busy_ratio": round(0.5 + 0.1 * wave, 4), "model_busy_limit_ratio": 1.0, "alerts_firing": 0,
    }  # fmt: skip
    yield f"{base}/gpu/0", covers | {
        "gpu_utilization_ratio": round(0.5 + 0.2 * wave, 4), "gpu_temperature_celsius": round(60 + 5 * wave, 1),
        "gpu_memory_used_ratio": 0.48, "gpu_power_watts": 11.2, "gpu_state": "ok",
    }  # fmt: skip
    for camera in range(cameras):
        yield f"{base}/camera/camera-{camera}", covers | {
            "state": "online", "fps_in": 25.0, "fps_inferred": round(12.5 + dice.gauss(0, 0.2), 2),
            "latency_p50_seconds": 0.031, "latency_p99_seconds": round(0.05 + abs(dice.gauss(0, 0.005)), 4),
            "frames_seen": 1500, "frames_inferred": 750, "frames_dropped": 2, "frames_failed": 0,
            "detections": 900, "detections_car": 600, "detections_person": 300, "detections_per_frame": 1.2,
            "confidence_mean": 0.62, "drift_ratio": round(abs(dice.gauss(0.4, 0.1)), 3), "drift_state": "normal",
            "drift_feature": "brightness", "drift_brightness_ratio": 0.4, "drift_contrast_ratio": 0.3,
        }  # fmt: skip


def publish(port, args, stop, sent):
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for device in range(args.devices):
        body = {"state": "online", "since": moment(time.time()), "version": "1.0"}
        client.publish(f"vedette/site-{device % 20}/edge-{device:05d}/status", json.dumps(body), retain=True)
    dice, number, began = random.Random(1), 0, time.time()
    while not stop.is_set():
        due = int((time.time() - began) / WINDOW * args.devices)
        while number < due:
            for topic, body in windows(number % args.devices, args.cameras, time.time(), dice):
                client.publish(topic, json.dumps(body))
                sent[0] += 1
            number += 1
        time.sleep(0.05)
    client.disconnect()


def view(url, stop, counts, place):
    revision = json.loads(urllib.request.urlopen(f"{url}/api/fleet").read())["revision"]
    with urllib.request.urlopen(f"{url}/api/events?after={revision}", timeout=60) as stream:
        while not stop.is_set():
            counts[place] += len(stream.readline())


def measure(process, args, url, stop):
    counts = [0] * args.viewers
    for place in range(args.viewers):
        threading.Thread(target=view, args=(url, stop, counts, place), daemon=True).start()
    time.sleep(2)
    before, cpu, began = list(counts), sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(args.seconds)
    passed = time.monotonic() - began
    used = (sum(process.cpu_times()[:2]) - cpu) / passed
    began = time.monotonic()
    request = urllib.request.Request(f"{url}/api/fleet", headers={"accept-encoding": "gzip"})
    size = len(urllib.request.urlopen(request).read())
    return {
        "cpu_of_a_core_percent": round(100 * used, 1),
        "memory_mb": round(process.memory_info().rss / 1e6),
        "kB_a_second_a_viewer": round(
            sum(counts[i] - before[i] for i in range(args.viewers)) / args.viewers / passed / 1e3, 2
        ),
        "all_rows_ms": round((time.monotonic() - began) * 1e3),
        "all_rows_kB": round(size / 1e3),
    }


WATCHED = """
window.shown = 0;
new MutationObserver((_, watcher) => {
  if (document.querySelector('.body .row, .chart:not([hidden]) canvas')) { window.shown = performance.now(); watcher.disconnect(); }
}).observe(document, { childList: true, subtree: true });
"""
FRAMES = """
const [seconds, done] = arguments, gaps = [], began = performance.now();
let last = began;
function frame(now) {
  gaps.push(now - last);
  last = now;
  if (now - began < seconds * 1000) requestAnimationFrame(frame);
  else done(gaps.slice(2));
}
requestAnimationFrame(frame);
"""


def page(url, args):
    """What people wait for in a browser, for each page: milliseconds to first paint and content, and between frames."""
    from benchmarks.chromium import chromium

    driver = chromium("--window-size=1440,900")
    driver.set_script_timeout(args.page_seconds + 60)
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCHED})
    device = "site-3/edge-00003"
    paths = {"fleet": "/#/", "device": f"/#/device/{device}", "camera": f"/#/camera/{device}/camera-0"}
    found = {}
    try:
        for name, path in paths.items():
            first, shown = [], []
            for _ in range(5):
                driver.get("about:blank")
                driver.get(url + path)
                while not driver.execute_script("return window.shown"):
                    time.sleep(0.05)
                first.append(
                    driver.execute_script("return performance.getEntriesByName('first-paint')[0].startTime")
                )
                shown.append(driver.execute_script("return window.shown"))
            gaps = sorted(driver.execute_async_script(FRAMES, args.page_seconds))
            found[name] = {
                "first_paint_ms": [round(value) for value in sorted(first)],
                "content_ms": [round(value) for value in sorted(shown)],
                "frames_a_second": round(1000 * len(gaps) / sum(gaps), 1),
                "frame_p50_p99_longest_ms": [
                    round(gaps[min(len(gaps) - 1, int(len(gaps) * rank))], 1) for rank in (0.5, 0.99, 1)
                ],
                "heap_mb": round(driver.execute_script("return performance.memory.usedJSHeapSize") / 1e6, 1),
                "elements": driver.execute_script("return document.querySelectorAll('*').length"),
            }
    finally:
        driver.quit()
    return found


def capacity(args):
    """Minutes of the fleet handed to the collector as fast as it takes them, until `seconds` have passed."""
    from agent.config.delivery_settings import BrokerSettings
    from agent.core.secret import Masked
    from agent.dashboard.subscriber import Subscriber
    from agent.dashboard.web.collector import Collector
    from agent.dashboard.web.commands import Commands
    from agent.dashboard.web.history import History
    from agent.dashboard.web.stream import RowStream

    away = Subscriber(
        BrokerSettings(url=Masked("mqtt://127.0.0.1"))
    )  # never opened: the messages are handed over
    dice, taken, minute, wall = random.Random(1), 0, 0, time.time()
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        history.open()
        collector = Collector(away, history, RowStream(1), Commands("vedette", lambda *_: None), "vedette")
        cpu = 0.0
        while cpu < args.seconds:
            now = wall + WINDOW * minute
            messages = [
                (topic, json.dumps(body).encode())
                for device in range(args.devices)
                for topic, body in windows(device, args.cameras, now, dice)
            ]
            before = time.process_time()
            for topic, payload in messages:
                collector.process(topic, payload, now)
            collector.flush(now)
            cpu, taken, minute = cpu + time.process_time() - before, taken + len(messages), minute + 1
        history.close()
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    return {
        "messages_a_second_of_one_core": round(taken / cpu),
        "minutes": minute,
        "bytes_a_message": round(size / taken),
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--cameras", type=int, default=2, help="of each device")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--viewers", type=int, default=1)
    parser.add_argument("--port", type=int, default=21883)
    parser.add_argument("--postgres", action="store_true", help="keep the history in PostgreSQL")
    parser.add_argument("--page", action="store_true", help="open the pages in Chromium, too")
    parser.add_argument("--page-seconds", type=float, default=20, help="of each page, for its frames")
    parser.add_argument("--capacity", action="store_true", help="of the collector alone, without a broker")
    args = parser.parse_args()
    if args.capacity:
        print(json.dumps({"devices": args.devices, "cameras": args.cameras, **capacity(args)}, indent=2))
        return
    stop, sent = threading.Event(), [0]
    with ExitStack() as closing, tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mosquitto.conf"
        config.write_text(f"listener {args.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
        broker = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)
        time.sleep(1)
        command = [sys.executable, "-m", "agent", "dashboard", "--broker", f"mqtt://127.0.0.1:{args.port}"]
        store = ["--data", f"{folder}/data"]
        if args.postgres:
            from collect import Server

            database = Server(closing.enter_context(tempfile.TemporaryDirectory(prefix="vedette-pg-")))
            closing.callback(database.process.wait, 20)
            closing.callback(database.process.terminate)
            store = ["--store", database.url]
        server = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0", *store],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            first = server.stdout.readline() if server.stdout else ""
            url = re.findall(r"http\S+", first)[0]
            process = psutil.Process(server.pid)
            idle = round(process.memory_info().rss / 1e6)
            threading.Thread(target=publish, args=(args.port, args, stop, sent), daemon=True).start()
            time.sleep(
                WINDOW + 5 if args.page else min(WINDOW + 5, args.seconds)
            )  # each device has published once
            counted, since = sent[0], time.monotonic()
            found = {"load": round(os.getloadavg()[0], 1), **measure(process, args, url, stop)}
            rate = round((sent[0] - counted) / (time.monotonic() - since))
            if args.page:
                found["page"] = page(url, args)
            note = json.loads(urllib.request.urlopen(f"{url}/api/fleet").read())["note"]
            stop.set()
            found |= {
                "idle_mb": idle,
                "messages_a_second": rate,
                "dropped": note["dropped"],
            }
            if args.postgres:
                found["windows"] = database.count('SELECT count(*) FROM vedette."window"')
            else:
                size = sum(path.stat().st_size for path in Path(f"{folder}/data").iterdir())
                found["history_mb"] = round(size / 1e6)
            print(json.dumps({"devices": args.devices, "cameras": args.cameras, **found}, indent=2))
        finally:
            stop.set()
            server.terminate()
            server.wait(20)
            broker.terminate()
            broker.wait(10)


if __name__ == "__main__":
    main()
