"""A running agent (drawn cameras, a GPU by the fake NVML) and a real Prometheus that scrapes it, once for all tests."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from agent.exporter.about import About
from agent.exporter.server import ExporterWorker
from agent.telemetry.probes.tegra import TegraProbe
from agent.telemetry.sampler import observations
from tests.telemetry.fake_nvml.library import build
from tests.waiting import accepts, wait_until

ROOT = Path(__file__).parents[2]
PROMETHEUS = shutil.which("prometheus", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
PROMTOOL = shutil.which("promtool", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")

LEFT_OUT = re.compile(
    r"camera\.(start|end|\w+_since)"  # moments
    r"|camera\.(drift_(?!recorded)\w+|frames_outlying)"  # verdicts are observed as drift.*
    r"|host\.process_(memory_bytes|files|uptime_seconds)"  # the client library's own process_* say it
    r"|host\.outbox_lost"  # lately; the counter says it
)
"""Observations that are not exported on purpose."""

CONFIG = """
state_directory = "{folder}/state"
[device]
site = "north"
[broker]
url = "mqtt://127.0.0.1:1"
[windows]
length = "1s"
[drift]
feature_fps = 10
reference_length = "4m"
[prometheus]
listen = "127.0.0.1:{port}"
[[cameras]]
name = "front"
kind = "synthetic"
[[cameras]]
name = "gone"
kind = "stream"
url = "rtsp://127.0.0.1:1/none"
[[rules]]
name = "alive"
when = "camera.fps_in > 0"
severity = "info"
"""

SCRAPE = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
scrape_configs:
  - job_name: vedette
    static_configs: [{{targets: ["127.0.0.1:{port}", "127.0.0.1:{jetson}"]}}]
"""


class Jetson:
    """The exporter, told what the probe reads of a recorded Orin."""

    def __init__(self, port):
        about = About(
            info=lambda: {"version": "0", "machine_model": "a Jetson", **self._probe.facts()},
            alerts=list,
            parts=list,
            missing=list,
            device="orin",
            site="south",
        )
        self._exporter = ExporterWorker(f"127.0.0.1:{port}", about)
        self._probe = TegraProbe(ROOT / "tests/telemetry/trees/orin")
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._measure), threading.Thread(target=self._serve)]

    def start(self):
        self._probe.open()
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(5)

    def _serve(self):
        self._exporter.run(self._stop)

    def _measure(self):
        while not self._stop.is_set():
            told = [
                one
                for reading in self._probe.read()
                for one in observations(reading.entity, reading.values, 0.0)
            ]
            self._exporter.observe(told)
            self._stop.wait(1.0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


class Scraped:
    """The agent's port, and questions to Prometheus."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.port, self.prometheus_port, jetson_port = free_port(), free_port(), free_port()
        self._processes = []
        self._jetson = Jetson(jetson_port)
        (self.folder / "p.yml").write_text(SCRAPE.format(port=self.port, jetson=jetson_port))

    def start(self):
        (self.folder / "v.toml").write_text(CONFIG.format(folder=self.folder, port=self.port))
        self._jetson.start()
        self._run("agent", [sys.executable, "-m", "agent", "run", "--config", self.folder / "v.toml"])
        self._run(
            "prometheus",
            [
                PROMETHEUS, f"--config.file={self.folder}/p.yml", f"--storage.tsdb.path={self.folder}/tsdb",
                f"--web.listen-address=127.0.0.1:{self.prometheus_port}", "--log.level=warn",
            ],
        )  # fmt: skip

    def _run(self, name, command):
        with (self.folder / f"{name}.log").open("w") as log:
            environment = {**os.environ, "LD_LIBRARY_PATH": str(self.folder), "FAKE_NVML": "throttle"}
            words = [str(word) for word in command]
            self._processes.append(subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log, env=environment))

    def stop(self):
        """May be called twice."""
        self._jetson.stop()
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            process.wait(20)
        self._processes = []

    def logs(self):
        return "\n".join(path.read_text()[-2000:] for path in self.folder.glob("*.log"))

    free_port = staticmethod(free_port)

    def metrics(self, path="/metrics", port=None):
        """What the agent answers; waits a little for one that is about to listen."""
        if port:
            wait_until(lambda: accepts(port))
        return fetch(f"http://127.0.0.1:{port or self.port}{path}")

    def openmetrics(self):
        headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
        return fetch(urllib.request.Request(f"http://127.0.0.1:{self.port}/metrics", headers=headers))

    def reload(self):
        """What `vedette reload` says."""
        words = [sys.executable, "-m", "agent", "reload", "--config", str(self.folder / "v.toml")]
        told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
        return told.stdout + told.stderr

    def query(self, expression):
        """The samples of an instant query; fails where Prometheus refuses the expression."""
        words = urllib.parse.urlencode({"query": expression})
        answer = json.loads(fetch(f"http://127.0.0.1:{self.prometheus_port}/api/v1/query?{words}"))
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def wait(self, expression, seconds=60):
        """The samples of a query, once there are any."""
        return wait_until(
            lambda: self.query(expression),
            seconds,
            lambda: f"{expression}\n{self.logs()}",
            passing=OSError,  # Prometheus is still starting
            every=0.25,
        )


_running = []


def pytest_runtest_teardown(item, nextitem):
    """Agent and Prometheus end with the last test here, not with the session: they take a quarter of a core."""
    if nextitem is None or nextitem.path.parent != item.path.parent:
        while _running:
            _running.pop().stop()


@pytest.fixture(scope="session")
def scraped(tmp_path_factory):
    if PROMETHEUS is None:
        pytest.skip("needs prometheus (Debian package prometheus)")
    folder = tmp_path_factory.mktemp("scraped")
    build(folder)
    agent = Scraped(folder)
    agent.start()
    _running.append(agent)
    try:
        agent.wait('rate(vedette_camera_frames_seen_total{camera="front"}[1m]) > 0')
        agent.wait("vedette_alert_firing")
        yield agent
    finally:
        agent.stop()
