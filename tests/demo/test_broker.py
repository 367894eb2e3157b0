"""The demo's broker: mosquitto where it is, else the pure Python one; either carries messages."""

import io
import tempfile

import pytest
from paho.mqtt import publish
from rich.console import Console

from agent.app.service import Service
from agent.config.delivery_settings import BrokerSettings
from agent.core.errors import ConfigError, VedetteError
from agent.dashboard.subscriber import Subscriber
from agent.demo import broker as module
from agent.demo.broker import DemoBroker
from agent.demo.show import Demo


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_messages_get_through(kind, monkeypatch):
    if kind == "amqtt":
        pytest.importorskip("amqtt")
        monkeypatch.setattr(module.shutil, "which", lambda *_, **__: None)
    with DemoBroker() as broker:
        if broker.kind != kind:
            pytest.skip(f"needs {kind}")
        with Subscriber(BrokerSettings(url=broker.url)) as subscriber:
            publish.single(
                "vedette/a/b/status", b'{"state": "online"}', qos=1, hostname="127.0.0.1", port=broker.port
            )
            assert subscriber.take(timeout=10) == ("vedette/a/b/status", b'{"state": "online"}')


def test_a_demo_that_cannot_begin_leaves_no_broker_and_no_folder_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    begun = []
    start = DemoBroker._start_mosquitto

    def noted(self, program):
        start(self, program)
        begun.append(self)

    def missing(_self):
        raise VedetteError("the model cannot be opened")

    monkeypatch.setattr(DemoBroker, "_start_mosquitto", noted)
    monkeypatch.setattr(Service, "open", missing)
    with pytest.raises(VedetteError, match="cannot be opened"), Demo(Console(file=io.StringIO())):
        pass
    if not begun:
        pytest.skip("needs mosquitto")
    monkeypatch.setattr(module, "START_SECONDS", 0.0)
    with pytest.raises(VedetteError, match="did not start within"), DemoBroker():
        pass
    assert [one._process.poll() is not None for one in begun] == [True, True]
    assert list(tmp_path.iterdir()) == []


def test_a_subscriber_reports_what_is_wrong():
    with pytest.raises(VedetteError, match="is it running"):
        Subscriber(BrokerSettings(url=f"mqtt://user:secret@127.0.0.1:{module.free_port()}")).open()
    with pytest.raises(ConfigError, match="is not a broker address"):
        Subscriber(BrokerSettings(url="ftp://x"))


def test_the_python_broker_logs_nothing_of_connections_that_close_without_a_word(monkeypatch, caplog, capfd):
    pytest.importorskip("amqtt")
    monkeypatch.setattr(module.shutil, "which", lambda *_, **__: None)
    with DemoBroker() as broker:
        for _ in range(3):
            with module.socket.create_connection(("127.0.0.1", broker.port)):
                pass
        with Subscriber(BrokerSettings(url=broker.url)):
            pass
    assert [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"] == []
    assert capfd.readouterr().err == ""
