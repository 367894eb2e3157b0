"""What Prometheus and whoever watches the process are told over HTTP."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest
from structlog.testing import capture_logs

from agent.app.kinds import KINDS
from agent.config.load import parse
from agent.core.errors import ConfigError, MissingExtra
from agent.core.types import Alert, AlertState, Observation, Severity
from agent.core.worker import Health
from agent.exporter import NoExporter, make_exporter
from agent.exporter.about import About
from agent.exporter.server import MOST_CONNECTIONS, ExporterWorker
from tests.exporter.conftest import ROOT
from tests.waiting import accepts, wait_until

FIRING = Alert(
    id="x", rule="gpu_lost", state=AlertState.FIRING, severity=Severity.CRITICAL, labels={"gpu": "0"}, what="",
    expected="", window="", advice="", first_seen=0, changed_at=0,
)  # fmt: skip


class Told:
    """What the agent would say; changed by the tests."""

    def __init__(self):
        self.parts = [Health(name="delivery", silent_seconds=0.1)]
        self.missing = []
        self.about = About(
            info=lambda: {
                "version": "1.2",
                "gpu_count": 1,
                "gpu_0_name": 'A "quoted" GPU',
                "model_name": "m",
            },
            alerts=lambda: [FIRING],
            parts=lambda: self.parts,
            missing=lambda: self.missing,
            device="box",
            site="north",
        )


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def serve(told, port):
    stop, threads = threading.Event(), []

    def start(listen=None):
        exporter = ExporterWorker(listen or f"127.0.0.1:{port}", told.about)
        threads.append(threading.Thread(target=exporter.run, args=(stop,)))
        threads[-1].start()
        return exporter

    yield start
    stop.set()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


def ask(port, path="/metrics", host="127.0.0.1", **headers):
    """(status, content type, text), once it listens."""
    wait_until(lambda: accepts(port, host.strip("[]")))
    try:
        request = urllib.request.Request(f"http://{host}:{port}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def test_metrics_in_both_formats(serve, port):
    exporter = serve()
    exporter.observe([Observation(metric="camera.online", value=1.0, at=0.0, labels={"camera": "front"})])
    status, kind, text = ask(port)
    assert (status, kind.partition(";")[0]) == (200, "text/plain")
    assert 'vedette_camera_state{camera="front",state="online"} 1.0' in text
    assert 'vedette_alert_firing{camera="",gpu="0",rule="gpu_lost",severity="critical"} 1.0' in text
    assert 'vedette_alerts_firing{severity="warning"} 0.0' in text
    assert r'model="A \"quoted\" GPU"' in text
    assert "process_resident_memory_bytes" in text
    _, kind, text = ask(port, Accept="application/openmetrics-text;version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


def test_health_and_readiness(serve, told, port):
    serve()
    assert ask(port, "/healthz")[0] == 200
    told.parts = [Health(name="delivery", silent_seconds=45.0, stuck=True)]
    status, _, text = ask(port, "/healthz")
    assert (status, json.loads(text)["parts"][0]["state"]) == (503, "stuck")
    assert ask(port, "/readyz")[0] == 200
    told.missing = ["the model is not loaded yet"]
    status, _, text = ask(port, "/readyz")
    assert (status, json.loads(text)["missing"]) == (503, told.missing)
    assert "vedette_ready 0.0" in ask(port)[2]


def test_other_paths_and_methods(serve, port):
    serve()
    assert "/metrics" in ask(port, "/")[2]
    assert ask(port, "/metrics/?x=1")[0] == 200
    assert ask(port, "/etc/passwd")[0] == 404
    with socket.create_connection(("127.0.0.1", port)) as channel:
        channel.sendall(b"POST /metrics HTTP/1.0\r\n\r\n")
        assert b" 501 " in channel.recv(1000)
    with socket.create_connection(("127.0.0.1", port)) as channel:
        channel.sendall(b"\x00\xff\r\n\r\n")
        assert b"400" in channel.recv(1000)
    assert ask(port)[0] == 200


def test_clients_that_say_nothing_hold_up_nobody(serve, port):
    serve()
    assert ask(port)[0] == 200
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    try:
        assert ask(port)[0] == 200
    finally:
        for channel in idle:
            channel.close()


def test_clients_that_speak_by_the_byte_take_neither_threads_without_end_nor_the_metrics(
    serve, port, monkeypatch
):
    monkeypatch.setattr("agent.exporter.server._Handler.timeout", 3.0)
    serve()
    assert ask(port)[0] == 200
    before, over, most = threading.active_count(), threading.Event(), 0
    channels = [socket.create_connection(("127.0.0.1", port)) for _ in range(3 * MOST_CONNECTIONS)]

    def says(channel):
        try:
            channel.send(b"G")
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def drip():
        open_ = list(channels)
        for channel in open_:
            channel.setblocking(False)
        while open_ and not over.wait(0.02):
            open_ = [channel for channel in open_ if says(channel)]

    dripping = threading.Thread(target=drip)
    dripping.start()
    deadline, answered = time.monotonic() + 20, False
    try:
        while not answered:
            most = max(most, threading.active_count())
            with contextlib.suppress(OSError):  # while all threads are taken, the connection is closed
                answered = ask(port)[0] == 200
            assert time.monotonic() < deadline, "they hold the metrics"
        assert most - before <= MOST_CONNECTIONS + 1
    finally:
        over.set()
        dripping.join()
        for channel in channels:
            channel.close()


def test_a_taken_port_is_waited_for(serve, port, monkeypatch):
    monkeypatch.setattr("agent.exporter.server.RETRY_SECONDS", 0.05)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        exporter = serve()
        beats, beat = [], exporter.beat
        exporter.beat = lambda: beats.append(beat())
        wait_until(lambda: len(beats) > 3)  # it beats at each try
        assert exporter.silent_seconds() < 1
    assert ask(port)[0] == 200


def test_ipv6(serve, port):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    serve(f"[::1]:{port}")
    assert ask(port, host="[::1]")[0] == 200


def test_off_unless_configured(told):
    exporter = make_exporter("", told.about)
    assert isinstance(exporter, NoExporter)
    exporter.observe([])


@pytest.mark.parametrize(
    "listen", ["9477", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", "::1:9477", "box:9477"]
)
def test_an_address_that_cannot_be_is_told_with_its_line(listen):
    with pytest.raises(ConfigError, match=r"2.*prometheus\.listen.*ADDRESS:PORT"):
        parse(f'[prometheus]\nlisten = "{listen}"\n', KINDS)


@pytest.mark.parametrize("listen", ["127.0.0.1:9477", "[::1]:9477", "0.0.0.0:1", "localhost:9477"])
def test_an_address_that_can_be(listen):
    assert parse(f'[prometheus]\nlisten = "{listen}"\n', KINDS).prometheus.listen == listen


def test_without_the_library_the_extra_is_named(told, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("prometheus_client")]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("agent.exporter.server", "agent.exporter.exposition"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(MissingExtra, match=r"\[prometheus\] listen needs.*: .*(pip|install\.sh).*prometheus"):
        make_exporter("127.0.0.1:9477", told.about)


STARVED = """
import resource, socket, sys, threading, time
from agent.app.control_socket import SOCKET_NAME, ControlServer
from agent.exporter.about import About
from agent.exporter.server import ExporterWorker
from pathlib import Path
from tests.waiting import wait_until

folder, port = Path(sys.argv[1]), int(sys.argv[2])
about = About(info=dict, alerts=list, parts=list, missing=list, device="b", site="s")
workers = ControlServer(folder, {}), ExporterWorker(f"127.0.0.1:{port}", about)
stop = threading.Event()
for worker in workers:
    threading.Thread(target=worker.run, args=(stop,), daemon=True).start()
wait_until((folder / SOCKET_NAME).exists, 30)
clients = [socket.socket(socket.AF_UNIX), socket.socket()]
free = socket.socket()
resource.setrlimit(resource.RLIMIT_NOFILE, (free.fileno() + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
clients[0].connect(str(folder / SOCKET_NAME))
wait_until(lambda: clients[1].connect_ex(("127.0.0.1", port)) in {0, 106}, 30)
began = time.process_time()
stop.wait(2.0)
print(f"RESULT {time.process_time() - began:.3f}")
free.close()
clients[0].sendall(b"{}\\n")
print("RESULT", clients[0].recv(9) == b'{"ok": fa')
"""


def test_without_a_file_left_to_open_who_comes_waits_and_no_core_is_spent_on_it(tmp_path, port):
    """A connection that cannot be taken is still there at the next look: both servers looked at once, again and again."""
    done = subprocess.run(
        [sys.executable, "-c", STARVED, str(tmp_path), str(port)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seconds, served = re.findall(r"^RESULT (.*)$", done.stdout, re.MULTILINE)
    assert float(seconds) < 0.5 and served == "True"


def test_a_system_without_threads_takes_the_place_of_no_later_request(port, told, monkeypatch):
    monkeypatch.setattr("agent.exporter.server.MOST_CONNECTIONS", 2)
    worker, stop = ExporterWorker(f"127.0.0.1:{port}", told.about), threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    wait_until(lambda: accepts(port), 30)
    with monkeypatch.context() as patched, capture_logs():
        patched.setattr(threading.Thread, "start", no_thread)
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.settimeout(30)
                assert client.recv(1) == b""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
        assert answer.status == 200
    stop.set()
    thread.join(30)


def no_thread(_self):
    raise RuntimeError("can't start new thread")
