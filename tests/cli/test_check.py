"""`vedette check` finds what the service finds, and does it no harm."""

import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from agent.__main__ import main
from agent.app.control_socket import ControlServer
from agent.cli import credentials
from agent.cli.broker_check import check_broker
from agent.config.delivery_settings import BrokerSettings, DeviceSettings
from agent.config.schema import Settings
from agent.core.errors import PermanentDelivery, RetryableDelivery, VedetteError
from agent.core.secret import Masked
from agent.delivery.mqtt import ping
from agent.delivery.mqtt.address import broker_addresses
from agent.delivery.mqtt.login import read_credentials
from agent.delivery.mqtt.ping import PublishRight
from tests.delivery.conftest import Drafts
from tests.servers.strict_broker import StrictBroker

pytestmark = pytest.mark.usefixtures("hurried")
URL = "mqtts://broker:8883"
CONNECTED = {"broker": URL, "state": "connected", "version": "5"}


@contextmanager
def agent(folder, broker, **outbox):
    """A running agent, as far as its socket goes."""
    server = ControlServer(folder, {"status": lambda _: {"broker": broker, "outbox": outbox}})
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    try:
        while not server.path.exists():
            assert thread.is_alive()
            stop.wait(0.02)
        yield
    finally:
        stop.set()
        thread.join()


def settings_of(folder, url=URL, **broker):
    return Settings(
        state_directory=str(folder),
        device=DeviceSettings(name="box", site="dock"),
        broker=BrokerSettings(url=Masked(url), **broker),
    )


@pytest.fixture
def alone(monkeypatch):
    """No connection to a broker is made."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setattr(ping, "_ping", lambda *_: pytest.fail("it connected, and threw the agent off"))


@pytest.mark.usefixtures("alone")
def test_the_running_agent_is_asked_and_no_second_connection_made(tmp_path):
    with agent(tmp_path, CONNECTED):
        found = check_broker(settings_of(tmp_path), tmp_path / "v.toml")
    assert "the running agent is connected with MQTT 5" in found


@pytest.mark.usefixtures("alone")
def test_a_running_agent_that_is_refused_reports_it_and_what_to_do(tmp_path):
    with (
        agent(tmp_path, CONNECTED, refused="camera/front: not authorized"),
        pytest.raises(PermanentDelivery) as caught,
    ):
        check_broker(settings_of(tmp_path), tmp_path / "v.toml")
    assert "refuses camera/front: not authorized" in str(caught.value)
    assert "write vedette/dock/box/#" in str(caught.value)


@pytest.mark.usefixtures("alone")
def test_an_agent_without_a_connection_reports_why(tmp_path):
    state = {"broker": URL, "state": "waiting", "reason": "not authorized", "version": ""}
    with agent(tmp_path, state), pytest.raises(RetryableDelivery, match="not authorized"):
        check_broker(settings_of(tmp_path), tmp_path / "v.toml")


def test_an_agent_of_another_broker_is_no_answer(tmp_path, monkeypatch):
    tried = []

    def pinged(address, *_):
        tried.append(address.host)
        return ping.PingResult(broker=address.shown, ok=True)

    monkeypatch.setattr(ping, "_ping", pinged)
    with agent(tmp_path, {**CONNECTED, "broker": "mqtt://old:1883"}):
        check_broker(settings_of(tmp_path), tmp_path / "v.toml")
    assert tried == ["broker"]


@pytest.mark.usefixtures("alone")
def test_with_a_certificate_the_same_broker_by_another_name_is_not_connected_to_either(tmp_path):
    with agent(tmp_path, {**CONNECTED, "broker": "mqtts://localhost:8883"}):
        found = check_broker(
            settings_of(tmp_path, "wss://127.0.0.1:443/mqtt", cert_file="client.crt"), tmp_path / "v.toml"
        )
    assert "the running agent is connected" in found


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "words",
    [("check",), ("verify", "--for", "1s", "--config"), ("watch", "--seconds", "1", "--config")],
    ids=lambda words: words[0],
)
def test_an_agent_that_cannot_be_asked_keeps_its_certificate_to_itself(tmp_path, monkeypatch, capsys, words):
    """A broker that knows clients by certificate would take the second connection for the first."""

    def closed(*_, **__):
        raise VedetteError("/run/vedette/control.sock: permission denied; use sudo or join its group")

    monkeypatch.setattr("agent.app.control_socket.call", closed)
    for name in ("ca.crt", "client.crt", "client.key"):
        (tmp_path / name).write_text("")
    config = tmp_path / "v.toml"
    config.write_text(
        f'state_directory = "."\n[broker]\nurl = "{URL}"\nca_file = "ca.crt"\ncert_file = "client.crt"\n'
        'key_file = "client.key"\n[[cameras]]\nname = "a"\nkind = "synthetic"\nfps = 30\n'
    )
    assert main([*words, str(config)]) == 1
    output = re.sub(r"\s+", " ", "".join(capsys.readouterr()))
    assert "not tried: " in output
    assert "permission denied" in output


def test_a_listener_with_the_agents_certificate_does_not_connect_while_it_runs(tmp_path, capsys):
    (tmp_path / "client.crt").write_text("")
    config = tmp_path / "v.toml"
    config.write_text(f'state_directory = "."\n[broker]\nurl = "{URL}"\ncert_file = "client.crt"\n')
    with agent(tmp_path, CONNECTED):
        assert main(["verify", "--for", "1s", "--config", str(config)]) == 1
    assert "--cert-file" in capsys.readouterr().err


# -- may we publish? ----------------------------------------------------------------------------------------


def with_rules(mosquitto, folder, *rules):
    acl = folder / "acl"
    acl.write_text("".join(f"{rule}\n" for rule in ("topic read #", *rules)))
    acl.chmod(0o700)
    return mosquitto("allow_anonymous true", f"acl_file {acl}")


@pytest.mark.broker
def test_a_broker_that_refuses_this_devices_topics_is_reported(mosquitto, tmp_path):
    broker = with_rules(mosquitto, tmp_path, "topic write vedette/elsewhere/#")
    with pytest.raises(PermanentDelivery) as caught:
        check_broker(settings_of(tmp_path, broker.url), tmp_path / "v.toml")
    assert "refuses vedette/dock/box/host: not authorized; vedette/dock/box/gpu/check: not" in str(
        caught.value
    )
    assert "and 5 more" in str(caught.value)
    assert "write vedette/dock/box/#" in str(caught.value)


@pytest.mark.broker
def test_a_broker_that_takes_them_is_reported_and_keeps_nothing(mosquitto, tmp_path, capsys):
    broker = with_rules(mosquitto, tmp_path, "topic write vedette/dock/box/#")
    found = check_broker(settings_of(tmp_path, broker.url), tmp_path / "v.toml")
    assert "may publish below vedette/dock/box; the agent's client id is vedette-" in found
    assert main(["verify", "--for", "1s", "--broker", broker.url]) == 1
    assert "no messages were received" in capsys.readouterr().out, "nothing is left at the broker"


@pytest.mark.broker
def test_the_families_that_are_refused_are_named_and_no_others(mosquitto, tmp_path):
    allowed = ("host", "gpu/+", "camera/+", "reply/+", "replay/#", "sketch/+")
    broker = with_rules(mosquitto, tmp_path, *(f"topic write vedette/dock/box/{one}" for one in allowed))
    with pytest.raises(PermanentDelivery) as caught:
        check_broker(settings_of(tmp_path, broker.url), tmp_path / "v.toml")
    assert "refuses vedette/dock/box/alert/check: not authorized; its access rules" in str(caught.value)


@pytest.mark.parametrize("protocol", ["5"])
def test_topics_on_which_the_broker_hangs_up_are_named_each(protocol):
    strict = StrictBroker(pause=0.0, ends_on="/camera/", refuses={"p/host"})
    found = ping.ping(
        BrokerSettings(url=strict.url, protocol=protocol),
        "p/check",
        families=["p/camera/a", "p/gpu/a", "p/host", "p/camera/b", "p/alert/a"],
    )[0]
    strict.close()
    assert list(found.refused) == ["p/camera/a", "p/host", "p/camera/b"]
    assert "disconnects because of it" in found.refused["p/camera/b"]
    assert found.right is PublishRight.REFUSED and found.ok
    assert [topic for topic, payload, retained in strict.published if payload or retained] == []


def test_a_subscription_that_is_refused_is_named():
    strict = StrictBroker(pause=0.0, refuses_subscription=True)
    found = ping.ping(BrokerSettings(url=strict.url), "p/check", subscriptions=["p/command/+"])[0]
    strict.close()
    assert list(found.refused) == ["p/command/+"]


@pytest.mark.broker
def test_mqtt_311_cannot_report_it_unless_the_broker_hangs_up(mosquitto, tmp_path):
    broker = with_rules(mosquitto, tmp_path, "topic write vedette/elsewhere/#")
    try:
        found = check_broker(settings_of(tmp_path, broker.url, protocol="3.1.1"), tmp_path / "v.toml")
    except PermanentDelivery as refused:  # Mosquitto 2.0.11 does
        found = str(refused)
        assert (
            "the broker refuses vedette/dock/box/" in found
            and "the broker disconnects because of it" in found
        )
    else:
        assert "this broker does not report" in found


@pytest.mark.broker
def test_the_running_agent_knows_what_is_refused(mosquitto, tmp_path, publish):
    broker = with_rules(mosquitto, tmp_path, "topic write vedette/dock/box/status")
    running = publish(broker.url)
    running.publisher.publish(Drafts().host())
    running.until(lambda publisher: "host: not authorized" in publisher.report()["outbox"]["refused"])


# -- the service's password ---------------------------------------------------------------------------------


@pytest.fixture
def no_password(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("VEDETTE_BROKER_PASSWORD", raising=False)


def password_of(config, **more):
    broker = BrokerSettings(url=Masked("mqtt://u@h"), **more)
    found = credentials.with_service_password(broker, config)
    return read_credentials(found, broker_addresses(found)[0]).password.reveal()


@pytest.mark.usefixtures("no_password")
def test_the_documented_credential_counts_beside_the_config(tmp_path):
    config = tmp_path / "config.toml"
    assert password_of(config) == ""
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "broker_password").write_text("right\n")
    assert password_of(config) == "right"
    (tmp_path / "own").write_text("other\n")
    assert password_of(config, password_file=str(tmp_path / "own")) == "other", "the config goes before"


@pytest.mark.usefixtures("no_password")
def test_systemd_knows_where_the_service_has_its_password_from(tmp_path, monkeypatch):
    config, secret, systemctl = (
        tmp_path / "config.toml",
        tmp_path / "elsewhere",
        tmp_path / "bin" / "systemctl",
    )
    secret.write_text("from systemd\n")
    systemctl.parent.mkdir()
    systemctl.write_text(
        '#!/bin/sh\n[ "$*" = "cat vedette.service" ] || exit 1\n'
        f"echo '[Service]'; echo LoadCredential=other:/nowhere\necho LoadCredential=broker_password:{secret}\n"
    )
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{systemctl.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(credentials, "SYSTEM_CONFIG", config)
    assert password_of(config) == "from systemd"
    assert password_of(tmp_path / "mine.toml") == "", "not for another config"


AS_NOBODY = """
import os, sys
from pathlib import Path
from agent.cli import credentials
from agent.config.delivery_settings import BrokerSettings
from agent.delivery.mqtt import login
from agent.core.errors import VedetteError
from agent.core.secret import Masked
os.chroot(sys.argv[1])  # what is above may be closed to others
os.setgid(65534), os.setuid(65534)
try:
    credentials.with_service_password(BrokerSettings(url=Masked("mqtt://u@h")), Path("/config.toml"))
except VedetteError as error:
    print(error)
"""


@pytest.mark.usefixtures("no_password")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
@pytest.mark.parametrize(
    ("mode", "expected"), [(0o755, "which you may not read"), (0o700, "which you may not open")]
)
def test_who_may_not_read_the_services_password_is_reported(tmp_path, mode, expected):
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "broker_password").touch(0o600)
    folder.chmod(mode)
    tmp_path.chmod(0o711)
    output = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert expected in output.stdout, output.stderr
    assert "/credentials" in output.stdout
