"""Against a real Alertmanager (Debian package prometheus-alertmanager)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from datetime import datetime

import pytest
from structlog.testing import capture_logs

from agent.core.errors import ConfigError
from agent.notifiers.alertmanager import AlertmanagerNotifier, AlertmanagerOptions
from tests.clocks import Machine
from tests.waiting import wait_until

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
        wait_until(lambda: is_ready(url), 15, (folder / "log").read_text)
        yield url
    finally:
        process.terminate()
        process.wait(10)


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


@pytest.mark.parametrize("error", [-1200.0, 1200.0, -56 * 365.25 * 86400, 20 * 365.25 * 86400])
def test_alerts_of_a_box_with_a_wrong_clock_are_shown_and_end(
    alertmanager, make_alert, make_notice, monkeypatch, error
):
    box = Machine(true=time.time(), error=error, synced=False)
    box.install(monkeypatch)
    notifier = AlertmanagerNotifier(AlertmanagerOptions(url=alertmanager, hold=900.0))
    with capture_logs() as logs:
        notifier.send(make_notice(make_alert(at=box.wall() - 60)))
        (found,) = alerts(alertmanager)
        notifier.send(make_notice(make_alert(at=box.wall() - 60)))
    assert found["status"]["state"] in {"active", "unprocessed"}
    starts, ends = (
        datetime.fromisoformat(found[key].replace("Z", "+00:00")).timestamp()
        for key in ("startsAt", "endsAt")
    )
    assert starts == pytest.approx(box.true - 60, abs=30)
    assert ends == pytest.approx(box.true + 900, abs=30)
    (warning,) = [line for line in logs if line["log_level"] == "warning"]
    assert ("behind" if error < 0 else "ahead of") in warning["event"]
    assert notifier.refresh_seconds == 300
    notifier.send(make_notice(make_alert(at=box.wall(), state="resolved")))
    assert alerts(alertmanager) == []


def test_a_clock_set_between_two_notices_hides_no_alert(alertmanager, make_alert, make_notice, monkeypatch):
    box = Machine(true=time.time())
    box.install(monkeypatch)
    notifier = AlertmanagerNotifier(AlertmanagerOptions(url=alertmanager, hold=900.0))
    notifier.send(make_notice(make_alert(at=box.wall())))
    alert = make_alert(at=box.wall())
    for step in (-3600.0, 7200.0):
        box.step(step)
        notifier.send(make_notice(alert))
        (found,) = alerts(alertmanager)
        assert found["status"]["state"] in {"active", "unprocessed"}
    notifier.send(make_notice(make_alert(at=box.wall(), state="resolved")))
    assert alerts(alertmanager) == []


def test_a_server_that_names_no_time_gets_alerts_without_times(receiver, make_alert, make_notice):
    receiver.dated = False
    notifier = AlertmanagerNotifier(AlertmanagerOptions(url=receiver.url, hold=900.0))
    notifier.send(make_notice(make_alert()))
    notifier.send(make_notice(make_alert(state="resolved")))
    empty, (firing,), _, (resolved,) = receiver.bodies()
    assert empty == []
    assert not firing.keys() & {"startsAt", "endsAt"}
    assert resolved["endsAt"].startswith("1970-01-01T00:00:01")
    assert notifier.refresh_seconds <= 100, "well before Alertmanager's resolve_timeout of 5 min"


def test_a_password_belongs_into_its_own_key():
    with pytest.raises(ConfigError) as caught:
        AlertmanagerNotifier(AlertmanagerOptions(url="http://me:secret@127.0.0.1:1"))
    assert "secret" not in str(caught.value)
