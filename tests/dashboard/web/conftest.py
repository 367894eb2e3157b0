"""A simulated device that publishes as an agent does, and a dashboard on a real broker."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from agent.config.delivery_settings import BrokerSettings
from agent.core import clock
from agent.core.secret import Masked
from agent.dashboard.web.server import Dashboard, Options
from agent.delivery.messages import rfc3339
from tests.conftest import Mosquitto
from tests.waiting import wait_until

try:
    import psycopg
except ModuleNotFoundError:
    psycopg = None


@pytest.fixture
def mosquitto(tmp_path):
    server = Mosquitto(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
def publish(mosquitto):
    """Publishes as a device of site `north`."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.reconnect_delay_set(0.1, 0.2)
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()

    def send(topic, body=b"", *, retain=False, device="box"):
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        client.publish(f"vedette/north/{device}/{topic}", payload, qos=1, retain=retain).wait_for_publish(60)

    send.client = client
    yield send
    client.disconnect()
    client.loop_stop()


def window(end, seconds=60.0, **fields):
    return {"start": rfc3339(end - seconds), "end": rfc3339(end), "time": rfc3339(end), **fields}


def camera_window(end, **fields):
    usual = {
        "state": "online", "fps_inferred": 12.5, "fps_in": 25.0, "latency_p50_seconds": 0.02,
        "latency_p99_seconds": 0.05, "frames_seen": 1500, "frames_inferred": 750, "frames_dropped": 3,
        "detections_car": 40, "drift_ratio": 0.4, "drift_state": "normal", "drift_feature": "brightness",
        "drift_brightness_ratio": 0.4,
    }  # fmt: skip
    return window(end, **{**usual, **fields})


def alert(at, number="latency_p99-front-ab12", state="firing", **fields):
    usual = {
        "id": number, "rule": "latency_p99", "state": state, "severity": "critical", "what": "camera front is slow",
        "expected": "below 50 ms", "window": "5 min", "advice": "look at the GPU", "runbook": "docs/runbooks/latency_p99.md",
        "value": 0.12, "first_seen": rfc3339(at - 60), "changed_at": rfc3339(at), "label_camera": "front",
        "evidence": {"limit": 0.05}, "controls": {},
    }  # fmt: skip
    return {**usual, **fields}


class Web:
    """A dashboard that serves, and a client for it."""

    def __init__(self, url, *, trust=None, **options):
        self._openers = [urllib.request.HTTPSHandler(context=trust)] if trust else []
        settings = BrokerSettings(url=Masked(url))
        self.dashboard = Dashboard(settings, Options(listen="127.0.0.1:0", **options))

    def __enter__(self):
        self.dashboard.__enter__()
        self._thread = threading.Thread(target=self.dashboard.serve)
        self._thread.start()
        self.url = self.dashboard.url
        self.until(lambda: self.get("/login"))
        return self

    def __exit__(self, *_):
        self.dashboard.stop()
        self._thread.join()
        self.dashboard.__exit__()

    def open(self, path, body=None, **headers):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)
        return urllib.request.build_opener(_NoRedirect, *self._openers).open(request, timeout=20)

    def get(self, path, **headers):
        with contextlib.suppress(urllib.error.URLError), self.open(path, **headers) as answer:
            data = answer.read()
            return json.loads(data) if "json" in answer.headers["content-type"] else data.decode()

    def post(self, path, body, **headers):
        """(status, answer, headers)."""
        try:
            with self.open(path, body, **headers) as answer:
                return answer.status, json.loads(answer.read()), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read()), error.headers

    def until(self, wanted, timeout=60.0):
        return wait_until(wanted, timeout)

    def rows(self):
        found = self.get("/api/fleet")
        names = ["number", *found["columns"]]
        return {row["name"]: row for row in (dict(zip(names, row, strict=True)) for row in found["rows"])}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


# -- a browser ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    from tests.dashboard.web.browser import Browser

    found = Browser()
    yield found
    found.driver.quit()


@pytest.fixture
def page(browser, monkeypatch):
    """The browser, at a time that stays: NOW, of the dashboard too, unless `at` sets another."""
    from tests.dashboard.web.browser import NOW

    def at(moment):
        monkeypatch.setattr(clock, "wall", lambda: moment)
        browser.set_clock(moment)

    at(NOW)
    browser.at = at
    browser.set_width(1280)
    yield browser
    browser.leave()


# -- PostgreSQL ------------------------------------------------------------------------------------------------------

POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None) or (
    Path(found).resolve().parent if (found := shutil.which("initdb")) else None
)


class Postgres:
    """A server of its own in a folder: it listens at a socket there, and never as root. Stopped by its pid."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.process = None
        self._as = {}
        if os.geteuid() == 0:
            self._as = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.folder, "postgres", "postgres")
        self._run(
            "initdb", "-D", "data", "-U", "vedette", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"
        )

    def _run(self, program, *arguments):
        command = [str(POSTGRES / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, **self._as)
        assert done.returncode == 0, done.stderr

    def start(self):
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(POSTGRES / "postgres"), "-D", "data", "-k", str(self.folder), "-c", "listen_addresses=",
                 "-c", "fsync=off", "-c", "shared_buffers=32MB", "-c", "max_connections=40", "-c", "wal_level=minimal", "-c", "max_wal_senders=0"],
                cwd=self.folder, stdout=log, stderr=log, **self._as,
            )  # fmt: skip
        wait_until(
            lambda: psycopg.connect(self.url("postgres")).close() or True,
            60,
            (self.folder / "log").read_text,
            alive=lambda: self.process.poll() is None,
            passing=psycopg.OperationalError,
            every=0.05,
        )
        return self

    def url(self, name):
        return f"postgresql://vedette@/{name}?host={self.folder}"

    def sql(self, statement, name="postgres"):
        with psycopg.connect(self.url(name), autocommit=True) as db:
            cursor = db.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def stop(self, *, kill=False):
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT if kill else signal.SIGINT)
            self.process.wait(60)
            self.process = None


@pytest.fixture(scope="session")
def postgres_server():
    if POSTGRES is None or psycopg is None:
        pytest.skip("needs PostgreSQL (Debian package postgresql) and psycopg")
    folder = tempfile.mkdtemp(prefix="vedette-pg-")  # short: the path of a socket has 107 bytes at most
    server = Postgres(folder).start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def database(postgres_server):
    """A database without a table of ours."""
    if postgres_server.process is None:
        postgres_server.start()
    postgres_server.sql("DROP SCHEMA IF EXISTS vedette CASCADE")
    return Bound(postgres_server, "postgres")


class Bound:
    """One database of a server."""

    def __init__(self, server, name):
        self.server, self.name, self.url = server, name, server.url(name)

    def sql(self, statement):
        return self.server.sql(statement, self.name)
