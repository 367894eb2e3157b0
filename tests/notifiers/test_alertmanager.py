"""Against a real Alertmanager (Debian package prometheus-alertmanager)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from agent.notifiers.alertmanager import AlertmanagerNotifier, AlertmanagerOptions

BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory):
    if BINARY is None:
        pytest.skip("no Alertmanager is installed")
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "config.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    url = f"http://127.0.0.1:{free_port()}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [BINARY, f"--config.file={folder}/config.yml", f"--storage.path={folder}",
             f"--web.listen-address={url.removeprefix('http://')}", "--cluster.listen-address="],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_until_ready(url, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def wait_until_ready(url, log: Path):
    deadline = time.monotonic() + 15
    while not is_ready(url):
        if time.monotonic() > deadline:
            pytest.fail(log.read_text())
        time.sleep(0.1)


def is_ready(url):
    try:
        urllib.request.urlopen(f"{url}/-/ready", timeout=1).close()
    except OSError:
        return False
    return True


def alerts(url):
    with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=5) as answer:
        return json.load(answer)


def test_an_alert_fires_and_ends_there(alertmanager, make_alert, make_notice):
    notifier = AlertmanagerNotifier(AlertmanagerOptions(url=alertmanager, hold=900.0))
    now = time.time()
    notifier.send(make_notice(make_alert(at=now)))
    (found,) = alerts(alertmanager)
    assert found["labels"] == {
        "alertname": "camera_down", "camera": "front", "severity": "critical", "device": "edge-1", "site": "plant",
    }  # fmt: skip
    assert found["annotations"]["summary"] == "camera front is down: connection refused"
    assert found["status"]["state"] in {"active", "unprocessed"}
    notifier.send(make_notice(make_alert(at=now, state="resolved")))
    assert alerts(alertmanager) == []


def test_what_fires_is_refreshed_well_before_it_would_end():
    notifier = AlertmanagerNotifier(AlertmanagerOptions(url="http://127.0.0.1:1", hold=900.0))
    assert notifier.refresh_seconds == 300


def test_a_password_belongs_into_its_own_key():
    with pytest.raises(ConfigError) as caught:
        AlertmanagerNotifier(AlertmanagerOptions(url="http://me:secret@127.0.0.1:1"))
    assert "secret" not in str(caught.value)
