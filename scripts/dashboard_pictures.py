"""Takes the pictures of docs/dashboard.md: a simulated fleet on a real broker, its pages in headless Chromium.

    python scripts/dashboard_pictures.py FOLDER [--docs]

Needs mosquitto, Chromium with its driver, and the development extras. FOLDER gets a PNG file for each page, dark and light,
and for a phone; with --docs docs/images gets those that the page shows, as WebP, but for that of a camera: it is of
`vedette demo`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from selenium import webdriver

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from agent.config.delivery_settings import BrokerSettings  # noqa: E402  (from a clone without an installation)
from agent.core.secret import Masked  # noqa: E402  (as above)
from agent.dashboard.subscriber import Subscriber  # noqa: E402  (as above)
from agent.dashboard.web.collector import Collector  # noqa: E402  (as above)
from agent.dashboard.web.commands import Commands  # noqa: E402  (as above)
from agent.dashboard.web.history import History  # noqa: E402  (as above)
from agent.dashboard.web.server import Dashboard, Options  # noqa: E402  (as above)
from agent.dashboard.web.stream import RowStream  # noqa: E402  (as above)
from agent.delivery.messages import rfc3339  # noqa: E402  (as above)
from benchmarks.chromium import chromium  # noqa: E402  (as above)

Message = tuple[str, dict[str, Any]]
NOW = time.time() // 60 * 60
SITES = {"north": 9, "harbour": 7, "city": 8}
CAMERAS = ("gate", "yard", "belt", "dock")
SHOWN, DRIFTING, OFFLINE, SLOW = (
    ("north", "edge-03"),
    ("harbour", "edge-02"),
    ("city", "edge-05"),
    ("north", "edge-06"),
)
THROTTLED = ("city", "edge-02")


def fleet() -> Iterator[tuple[str, str]]:
    """All devices, by site and name."""
    return ((site, f"edge-{number:02d}") for site, count in SITES.items() for number in range(1, count + 1))


def retained(device: tuple[str, str], now: float) -> Iterator[Message]:
    """Status, info and alerts of a device."""
    dice = random.Random(str(device))
    began = now - (7800 if device == SHOWN else dice.uniform(2, 20) * 86400)
    state: dict[str, Any] = {
        "state": "online",
        "since": rfc3339(began),
        "started_at": rfc3339(began),
        "version": "1.0.0",
    }
    if device == OFFLINE:
        state |= {"state": "offline", "since": rfc3339(now - 1460), "reason": "connection lost"}
    if device in {DRIFTING, SLOW, THROTTLED}:
        state |= {"state": "degraded", "since": rfc3339(now - 2700), "reason": "an alert fires"}
    yield "status", state
    jetson = dice.random() < 0.6
    yield "info", {
        "time": rfc3339(began), "cameras": ",".join(cameras(device)), "profile": "normal", "model_name": "yolo11s",
        "model_provider": "TensorRT" if jetson else "CUDA", "model_sha256": "9f2c41d07be5" + "0" * 52,
        "config_sha256": "c05d9a71e2f4" + "0" * 52,
        "machine_model": "NVIDIA Jetson Orin NX" if jetson else "Lenovo SE350", "cpu_count": 8, "architecture":
        "aarch64" if jetson else "x86_64", "os_name": "Ubuntu 22.04", "kernel_version": "5.15.148-tegra" if jetson else "6.8.0",
        "gpu_0_name": "Orin" if jetson else "NVIDIA L4", "python_version": "3.10.12", **({"jetpack_version": "6.2"} if jetson else {}),
    }  # fmt: skip
    if device == DRIFTING:
        yield "advice/gate", {
            "action": "wait", "words": "wait: fog goes by itself; look again in the afternoon", "cause": "fog", "cause_confidence": 0.86,
            "command": "vedette drift explain --camera gate", "for_it": "contrast fell, brightness rose; the same hour was normal for 9 days",
            "against": "it has lasted for 58 min",
        }  # fmt: skip
        yield "accuracy/gate", {
            "f1_ratio": 0.91, "f1_low_ratio": 0.87, "f1_high_ratio": 0.94, "precision_ratio": 0.93, "precision_low_ratio": 0.9,
            "precision_high_ratio": 0.96, "recall_ratio": 0.89, "recall_low_ratio": 0.83, "recall_high_ratio": 0.93,
            "frames_labelled": 240, "evaluated_at": rfc3339(now - 86400),
        }  # fmt: skip
    began_firing = now - dice.uniform(900, 4000)
    for number, found in enumerate(ALERTS.get(device, ())):
        usual = {
            "id": f"{found['rule']}-{number}", "state": "firing", "first_seen": rfc3339(began_firing),
            "changed_at": rfc3339(began_firing + 60), "runbook": f"docs/runbooks/{found['rule']}.md",
            "controls": {"acknowledged": {"who": "ada", "why": "on my way", "at": rfc3339(now - 300)}} if device == SLOW else {},
            "evidence": {},
        }  # fmt: skip
        yield f"alert/{usual['id']}", {**usual, **found}


ALERTS: dict[tuple[str, str], Sequence[dict[str, Any]]] = {
    DRIFTING: [{
        "rule": "drift", "severity": "warning", "what": "camera gate sees other images than when its reference was made",
        "expected": "drift below 1, the limit of its reference", "window": "30 min", "value": 2.31, "label_camera": "gate",
        "advice": "look at the frames; clean the lens, or accept the new scene as a reference",
        "evidence": {"feature": "contrast", "ratio": 2.31, "limit": 1},
    }],
    SLOW: [{
        "rule": "latency_p99", "severity": "critical", "what": "camera belt: results come late", "expected": "p99 below 80 ms",
        "window": "5 min", "value": 0.212, "label_camera": "belt", "advice": "look at the load of the GPU",
        "evidence": {"latency_p99_seconds": 0.212, "limit": 0.08},
    }],
    THROTTLED: [{
        "rule": "gpu_throttled", "severity": "warning", "what": "GPU 0 is slowed down by heat", "expected": "no throttling",
        "window": "10 min", "value": 0.4, "advice": "look at fan, dust and the temperature around the box", "evidence": {},
    }],
}  # fmt: skip


def cameras(device: tuple[str, str]) -> Sequence[str]:
    """The cameras of a device."""
    return CAMERAS[: 2 + random.Random(str(device)).randrange(3)] if device != SHOWN else CAMERAS


def windows(device: tuple[str, str], end: float) -> Iterator[Message]:
    """One minute of a device."""
    dice, place = random.Random(f"{device}{end}"), random.Random(str(device)).uniform(0, 6)
    covers = {"start": rfc3339(end - 60), "end": rfc3339(end), "time": rfc3339(end), "complete": True}
    day, hot = math.sin(2 * math.pi * (end / 86400 - 0.3)), device == THROTTLED
    load = 0.42 + 0.16 * day + dice.gauss(0, 0.015) + 0.03 * math.sin(end / 500 + place)
    yield "host", covers | {
        "cpu_ratio": load, "memory_used_ratio": 0.55 + 0.02 * math.sin(end / 7000 + place), "process_cpu_ratio": load * 0.4,
        "temperature_celsius": 52 + 11 * load + 5 * day + dice.gauss(0, 0.3), "model_busy_ratio": load + 0.1,
        "model_busy_limit_ratio": 0.7 if hot else 1.0, "power_watts": 9 + 9 * load + dice.gauss(0, 0.2),
        "process_memory_bytes": 3.1e8 + 4e6 * math.sin(end / 9000), "disk_used_ratio": 0.38, "root_disk_used_ratio": 0.44,
        "network_receive_bytes_per_second": 1.9e6 + dice.gauss(0, 6e4), "network_transmit_bytes_per_second": 4100 + dice.gauss(0, 250),
        "outbox_messages": 0,
    }  # fmt: skip
    yield "gpu/0", covers | {
        "gpu_utilization_ratio": min(1.0, load + 0.12 + dice.gauss(0, 0.02)), "gpu_memory_used_ratio": 0.47,
        "gpu_temperature_celsius": (84 if hot else 57) + 9 * load + 4 * day + dice.gauss(0, 0.3), "throttled_ratio": 0.4 if hot else 0.0,
        "gpu_power_watts": 6 + 7 * load + dice.gauss(0, 0.15), "gpu_clock_sm_hertz": 9.2e8 - (2.6e8 if hot else 0) + 1e7 * dice.random(),
    }  # fmt: skip
    for number, name in enumerate(cameras(device)):
        drifts = device == DRIFTING and name == "gate" and end > NOW - 3600
        slow = device == SLOW and name == "belt" and end > NOW - 3000
        drift = (
            2.31 if drifts else 0.35 + 0.08 * math.sin(end / 2500 + number + place) + abs(dice.gauss(0, 0.04))
        )
        cars, people = (
            max(0, int(many * max(0.2, 0.6 + day) + dice.gauss(0, many / 20))) for many in (240, 90)
        )
        yield f"camera/{name}", covers | {
            "state": "online", "fps_in": 25.0, "fps_inferred": 12.5 + dice.gauss(0, 0.1) - (6.0 if slow else 0.0),
            "latency_p50_seconds": 0.024 + 0.002 * dice.random(), "latency_p99_seconds": (0.2 if slow else 0.045) + 0.012 * dice.random(),
            "frames_seen": 1500, "frames_inferred": 750, "frames_dropped": 300 if slow else 0, "detections": cars + people,
            "detections_car": cars, "detections_person": people, "detections_per_frame": (cars + people) / 750,
            "drift_ratio": drift, "drift_state": "drift" if drifts else "normal", "drift_feature": "contrast" if drifts else "brightness",
            "drift_contrast_ratio": drift, "drift_brightness_ratio": drift * 0.8, "light_mode": "day" if day > -0.3 else "night",
            **({"drift_cause": "fog", "drift_cause_confidence": 0.86, "drift_since": rfc3339(NOW - 3500)} if drifts else {}),
        }  # fmt: skip


def fill(folder: Path) -> None:
    """A history: 30 hours of the device that is shown, 45 minutes of the others, some changes."""
    history = History(folder)
    history.open()
    settings = BrokerSettings(url=Masked("mqtt://127.0.0.1"))
    collector = Collector(
        Subscriber(settings), history, RowStream(1), Commands("vedette", lambda *_: None), "vedette"
    )
    for device in fleet():
        minutes = 30 * 60 if device == SHOWN else 45
        for minute in range(minutes, -1, -1):
            end = NOW - 60 * minute
            if not (device == OFFLINE and minute < 25):
                for topic, body in windows(device, end):
                    collector.process(
                        f"vedette/{device[0]}/{device[1]}/{topic}", json.dumps(body).encode(), end
                    )
        began = NOW - 7800
        changed = {
            "time": rfc3339(began - 9000),
            "model_name": "yolo11n",
            "model_sha256": "41aa" * 16,
            "config_sha256": "77b0" * 16,
        }
        before = {
            "state": "online",
            "since": rfc3339(began - 9000),
            "started_at": rfc3339(began - 9000),
            "version": "0.9.4",
        }
        for topic, body in (("info", changed), ("status", before)):
            collector.process(
                f"vedette/{device[0]}/{device[1]}/{topic}", json.dumps(body).encode(), began - 9000
            )
        reloaded = changed | {"time": rfc3339(began - 3600), "config_sha256": "c05d9a71e2f4" + "0" * 52}
        collector.process(
            f"vedette/{device[0]}/{device[1]}/info", json.dumps(reloaded).encode(), began - 3600
        )
        for topic, body in retained(device, NOW):
            collector.process(f"vedette/{device[0]}/{device[1]}/{topic}", json.dumps(body).encode(), NOW)
    for number, (what, rule) in enumerate(
        (("camera yard shows no picture", "camera_black"), ("the outbox fills", "outbox_filling"))
    ):
        for state, ago in (("firing", 30_000), ("resolved", 27_000)):
            body = {
                "id": f"{rule}-{number}", "rule": rule, "state": state, "severity": "warning", "what": what,
                "first_seen": rfc3339(NOW - 30_000), "changed_at": rfc3339(NOW - ago + 4000 * number), "expected": "",
                "runbook": f"docs/runbooks/{rule}.md", "controls": {}, "evidence": {},
            }  # fmt: skip
            collector.process(f"vedette/city/edge-0{number + 1}/alert/x", json.dumps(body).encode(), NOW)
    while history.roll_up(NOW):
        history.commit()
    history.close()


GONE = ("info", {"cameras": "gate", "model_name": "yolo11n"})
"""What is retained of a device that is no more."""


def publish(port: int) -> None:
    """All that is retained, and six minutes of every device, so that there are lines to draw."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    sent = [client.publish(f"vedette/city/edge-11/{GONE[0]}", json.dumps(GONE[1]), 1, retain=True)]
    for device in fleet():
        for topic, body in retained(device, NOW):
            sent.append(
                client.publish(f"vedette/{device[0]}/{device[1]}/{topic}", json.dumps(body), 1, retain=True)
            )
        for minute in range(20, -1, -1):
            for topic, body in (
                windows(device, NOW - 60 * minute) if device != OFFLINE or minute == 20 else ()
            ):
                sent.append(client.publish(f"vedette/{device[0]}/{device[1]}/{topic}", json.dumps(body), 1))
    for one in sent:
        one.wait_for_publish(60)
    client.disconnect()


PAGES = {
    "fleet": "/#/",
    "device": f"/#/device/{SHOWN[0]}/{SHOWN[1]}?range=21600",
    "alerts": "/#/alerts?id=latency_p99-0",
    "drift": f"/#/camera/{DRIFTING[0]}/{DRIFTING[1]}/gate",
    "ghosts": "/#/ghosts",
    "login": "/login",
}


def shoot(url: str, folder: Path) -> None:
    """Every page, wide in both themes and narrow in one."""
    for theme in ("dark", "light"):
        for width, height, kind in ((1440, 900, ""), (390, 844, "-phone")):
            driver = _browser(width, height, theme)
            for name, path in PAGES.items():
                driver.get("about:blank")
                driver.get(url + path)
                time.sleep(4)
                full = driver.execute_script("return document.documentElement.scrollHeight")  # type: ignore[no-untyped-call]
                _size(driver, width, min(max(height, int(full)), 2000) if not kind else height)
                time.sleep(2)
                driver.save_screenshot(str(folder / f"{name}-{theme}{kind}.png"))
                _size(driver, width, height)
            driver.quit()


IMAGES = Path(__file__).parents[1] / "docs" / "images"
SHOWN_AS = {
    "dashboard-fleet-dark": "fleet-dark",
    "dashboard-device-dark": "device-dark",
    "dashboard-alerts-light": "alerts-light",
}
PHONES = ("fleet-dark-phone", "drift-light-phone", "alerts-dark-phone")
QUALITY = 82


def for_docs(folder: Path) -> None:
    """The pictures of docs/dashboard.md: some whole, three phones beside each other, and all pages small."""
    for name, source in SHOWN_AS.items():
        _write(name, _read(folder, source)[:1844])
    _write("dashboard-phone", _beside([_read(folder, source) for source in PHONES], 844))
    rows = [
        _beside([_read(folder, f"{page}-{theme}")[:1500] for theme in ("dark", "light", "dark-phone", "light-phone")], 420)
        for page in PAGES
    ]  # fmt: skip
    width = max(row.shape[1] for row in rows)
    padded = [
        cv2.copyMakeBorder(row, 6, 6, 0, width - row.shape[1], cv2.BORDER_CONSTANT, value=GAP) for row in rows
    ]
    _write("dashboard-all", np.concatenate(padded))


GAP = (136, 136, 136)


def _read(folder: Path, name: str) -> Any:
    image = cv2.imread(str(folder / f"{name}.png"))
    if image is None:
        raise SystemExit(f"{folder / name}.png cannot be read")
    return image


def _write(name: str, image: Any) -> None:
    cv2.imwrite(str(IMAGES / f"{name}.webp"), image, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])


def _beside(images: Sequence[Any], height: int) -> Any:
    """Images of one height beside each other."""
    scaled = [
        cv2.resize(one, (round(one.shape[1] * height / one.shape[0]), height), interpolation=cv2.INTER_AREA)
        for one in images
    ]
    return np.concatenate(
        [cv2.copyMakeBorder(one, 0, 0, 0, 14, cv2.BORDER_CONSTANT, value=GAP) for one in scaled], axis=1
    )


def _browser(width: int, height: int, theme: str) -> webdriver.Chrome:
    driver = chromium("--hide-scrollbars")
    feature = {"name": "prefers-color-scheme", "value": theme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    _size(driver, width, height)
    return driver


def _size(driver: webdriver.Chrome, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--docs", action="store_true", help="write the pictures of docs/dashboard.md, too")
    args = parser.parse_args()
    folder = args.folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        probe.close()
        config = Path(scratch) / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
        broker = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)
        data = Path(scratch) / "data"
        data.mkdir()
        fill(data)
        settings = BrokerSettings(url=Masked(f"mqtt://127.0.0.1:{port}"))
        try:
            with Dashboard(settings, Options(listen="127.0.0.1:0", data=data)) as dashboard:
                server = threading.Thread(target=dashboard.serve)
                server.start()
                publish(port)
                time.sleep(5)
                shoot(dashboard.url, folder)
                dashboard.stop()
                server.join()
        finally:
            broker.terminate()
            broker.wait(20)
    if args.docs:
        for_docs(folder)


if __name__ == "__main__":
    main()
